"""Contexts and a driver for mechanism tests: names and passwords from a dict, fixed randomness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tayori.sasl.mechanisms import ClientContext, ServerContext
from tayori.sasl.steps import (
    Challenge,
    CheckPassword,
    CheckToken,
    ClientMechanism,
    Failure,
    FetchSecret,
    Secret,
    ServerMechanism,
    Success,
)
from tayori.sasl.verifiers.base import Accepted, Refused

BINDINGS = {"tls-exporter": b"E" * 32, "tls-server-end-point": b"P" * 32}


def fixed(text: bytes) -> Callable[[int], bytes]:
    """A random source that is not."""
    return lambda n: (text * n)[:n]


def server_context(**changes: Any) -> ServerContext:
    base: dict[str, Any] = {
        "realm": "", "hostname": "mail.example.jp", "random": fixed(b"srv"), "clock": lambda: 1000.0,
        "server_key": b"key of the server",
    }  # fmt: skip
    return ServerContext(**{**base, **changes})


def client_context(username: str = "taro", password: str = "himitsu", **changes: Any) -> ClientContext:
    base: dict[str, Any] = {"random": fixed(b"cli"), "clock": lambda: 1000.0, "host": "mail.example.jp"}
    return ClientContext(username, password, **{**base, **changes})


def answer(step: object, users: dict[str, str]) -> object:
    """What a verifier over `users` says: passwords, and tokens "token-of-NAME"."""
    if isinstance(step, CheckPassword):
        known = users.get(step.authcid) == step.password
        return Accepted(step.authcid) if known else Refused("no")
    if isinstance(step, FetchSecret):
        if step.authcid not in users:
            return Refused("unknown user")
        return Secret({"userPassword": users[step.authcid].encode()})
    assert isinstance(step, CheckToken)
    owner = step.token.removeprefix("token-of-")
    return Accepted(owner) if owner in users and step.authcid in ("", owner) else Refused("bad token")


def login(
    server: ServerMechanism, client: ClientMechanism, users: dict[str, str], initial: bool = True
) -> Success | Failure:
    """Run both sides against each other; the client must be complete when the server says Success."""
    response = client.next(None)
    if not initial and response is not None:
        step = server.next(None)
        assert step == Challenge(b"")
        step = server.next(response)
    else:
        step = server.next(response)
    for _ in range(20):
        if isinstance(step, (Success, Failure)):
            assert client.complete or isinstance(step, Failure)
            return step
        if isinstance(step, Challenge):
            reply = client.next(step.data)
            assert reply is not None
            step = server.next(reply)
        else:
            step = server.next(answer(step, users))
    raise AssertionError("the exchange does not end")
