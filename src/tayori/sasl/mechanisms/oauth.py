"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's and Microsoft's older form): a bearer token instead of a password.

A token that is refused gets a JSON message as a challenge; the client answers it with a dummy and then is told
that it failed (RFC 7628 3.2.2).
"""

from __future__ import annotations

import json
import re

from tayori.sasl.mechanisms.base import (
    Broken,
    ClientContext,
    ClientDialogue,
    ClientTalk,
    ServerContext,
    ServerDialogue,
    ServerTalk,
    name,
    utf8,
)
from tayori.sasl.mechanisms.gs2 import decode_name, encode_name
from tayori.sasl.steps import Challenge, CheckToken, Failure, SaslError, Success
from tayori.sasl.verifiers.base import Accepted, TryLater

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*", re.ASCII)  # b64token of RFC 6750 2.1
_KEY = re.compile(r"[A-Za-z]+", re.ASCII)


def _pairs(text: str) -> dict[str, str]:
    """`key=value` fields, each ended by 0x01, the whole by another (RFC 7628 3.1)."""
    if not text.endswith("\x01\x01"):
        raise Broken("OAuth message does not end with two 0x01")
    found: dict[str, str] = {}
    for item in text[:-2].split("\x01"):
        key, equals, value = item.partition("=")
        if not equals or not _KEY.fullmatch(key) or key in found:
            raise Broken("OAuth message is not a list of fields")
        found[key] = value
    return found


def _bearer(value: str) -> str:
    scheme, _, token = value.partition(" ")
    token = token.strip(" ")
    return token if scheme.lower() == "bearer" and _TOKEN.fullmatch(token) else ""


def _judge(authcid: str, token: str, problem: dict[str, str], context: ServerContext) -> ServerDialogue:
    """Ask the verifier; on refusal send the JSON message first, whose answer does not matter."""
    why = "no bearer token"
    if token:
        verdict = yield CheckToken(authcid, token)
        if isinstance(verdict, Accepted):
            return Success(verdict.username)
        if isinstance(verdict, TryLater):
            return Failure(verdict.why, temporary=True)
        why = verdict.why
    yield Challenge(json.dumps({**problem, **context.oauth}, separators=(",", ":")).encode())
    return Failure(why)


def serve_bearer(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """OAUTHBEARER: `n,a=user,` then fields; `auth` holds the token."""
    response: bytes = initial if initial is not None else (yield Challenge(b""))
    header, separator, rest = utf8(response, "OAuth message").partition("\x01")
    parts = header.split(",")
    if not separator or len(parts) != 3 or parts[0] not in ("n", "y") or parts[2]:
        raise Broken("OAUTHBEARER needs a header n,a=name,")
    authcid = ""
    if parts[1]:
        if not parts[1].startswith("a="):
            raise Broken("OAUTHBEARER header has an unknown part")
        authcid = name(decode_name(parts[1][2:]).encode())
    token = _bearer(_pairs(rest).get("auth", "")) if rest != "\x01" else ""
    problem = {"status": "invalid_token" if token else "invalid_request"}
    return (yield from _judge(authcid, token, problem, context))


def serve_xoauth2(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """XOAUTH2: `user=` and `auth=Bearer`; the message says 401 as Google's does."""
    response: bytes = initial if initial is not None else (yield Challenge(b""))
    fields = _pairs(utf8(response, "OAuth message"))
    authcid = name(fields.get("user", "").encode())
    token = _bearer(fields.get("auth", ""))
    problem = {"status": "401" if token else "400", "schemes": "bearer"}
    return (yield from _judge(authcid, token, problem, context))


def _finish(message: bytes, dummy: bytes, talk: ClientTalk) -> ClientDialogue:
    """Send the token; a further challenge is the server's reason for refusing it."""
    talk.complete = True
    challenge = yield message
    talk.complete = False
    talk.note = challenge.decode("utf-8", "replace")[:500]
    yield dummy


def _check(context: ClientContext) -> None:
    if not _TOKEN.fullmatch(context.token):
        raise SaslError("the OAuth token is empty or not a bearer token (RFC 6750 2.1)")
    if "\x01" in context.username + context.host:
        raise SaslError("the user name holds 0x01")


def speak_bearer(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    _check(context)
    user = context.authzid or context.username
    fields = [f"n,a={encode_name(user)}," if user else "n,,"]
    if context.host:
        fields.append(f"host={context.host}")
    if context.port:
        fields.append(f"port={context.port}")
    fields.append(f"auth=Bearer {context.token}")
    yield from _finish("\x01".join([*fields, "\x01"]).encode(), b"\x01", talk)


def speak_xoauth2(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    _check(context)
    message = f"user={context.username}\x01auth=Bearer {context.token}\x01\x01"
    yield from _finish(message.encode(), b"", talk)


def bearer_server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve_bearer, context)


def bearer_client(context: ClientContext) -> ClientTalk:
    return ClientTalk(speak_bearer, context)


def xoauth2_server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve_xoauth2, context)


def xoauth2_client(context: ClientContext) -> ClientTalk:
    return ClientTalk(speak_xoauth2, context)
