"""LOGIN: user name and password as answers to two prompts. No RFC; draft-murchison-sasl-login-00 describes it.

Old clients compare the prompts, so they are those of Cyrus SASL: "Username:" and "Password:".
"""

from __future__ import annotations

from tayori.sasl.mechanisms.base import (
    ClientContext,
    ClientDialogue,
    ClientTalk,
    ServerContext,
    ServerDialogue,
    ServerTalk,
    acting_as,
    name,
    refusal,
    utf8,
)
from tayori.sasl.steps import Challenge, CheckPassword, Failure, SaslError


def serve(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """An initial response is the user name, as Cyrus takes it."""
    given = initial if initial is not None else (yield Challenge(b"Username:"))
    secret = yield Challenge(b"Password:")  # asked for even after a bad name, so that a client never gets out of step
    authcid = name(given)
    password = utf8(secret, "password")
    if not password:
        return Failure("empty password", username=authcid)
    verdict = yield CheckPassword(authcid, password, "", context.realm)
    return refusal(verdict) or acting_as(verdict.username, "", authcid)


def speak(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    """The server speaks first; its prompts' wording is not looked at, as they differ in the field."""
    if not context.username or not context.password:
        raise SaslError("LOGIN needs a name and a password")
    yield None
    yield context.username.encode()
    talk.complete = True
    yield context.password.encode()


def server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve, context)


def client(context: ClientContext) -> ClientTalk:
    return ClientTalk(speak, context)
