"""PLAIN (RFC 4616): `[authzid] NUL authcid NUL password` in one response."""

from __future__ import annotations

from tayori.sasl.mechanisms.base import (
    BLANKS,
    Broken,
    ClientContext,
    ClientDialogue,
    ClientTalk,
    ServerContext,
    ServerDialogue,
    ServerTalk,
    acting_as,
    full,
    name,
    refusal,
    utf8,
)
from tayori.sasl.steps import Challenge, CheckPassword, Failure, SaslError


def serve(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """Without an initial response an empty challenge asks for it, as Postfix does (RFC 4954 4)."""
    response: bytes = initial if initial is not None else (yield Challenge(b""))
    parts = response.split(b"\0")
    if len(parts) != 3:
        raise Broken(f"PLAIN needs two NULs, got {len(parts) - 1}")
    authzid = utf8(parts[0], "authorisation name").strip(BLANKS)
    authcid = name(parts[1])
    password = utf8(parts[2], "password")
    if not password:
        return Failure("empty password", username=authcid)
    if authzid and full(authzid, context.realm) != full(authcid, context.realm):
        return Failure(f"{authcid} may not act as {authzid}", username=authcid)
    verdict = yield CheckPassword(authcid, password, authzid, context.realm)
    return refusal(verdict) or acting_as(verdict.username, authzid, authcid, context.realm)


def speak(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    """The whole login is the initial response."""
    fields = (context.authzid, context.username, context.password)
    if any("\0" in text for text in fields) or not context.username or not context.password:
        raise SaslError("PLAIN needs a name and a password without NUL")
    talk.complete = True
    yield "\0".join(fields).encode()


def server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve, context)


def client(context: ClientContext) -> ClientTalk:
    return ClientTalk(speak, context)
