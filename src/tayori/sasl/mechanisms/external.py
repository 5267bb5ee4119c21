"""EXTERNAL (RFC 4422 A): who the client is was settled outside, by its TLS certificate."""

from __future__ import annotations

from tayori.sasl.mechanisms.base import (
    MAX_NAME,
    Broken,
    ClientContext,
    ClientDialogue,
    ClientTalk,
    ServerContext,
    ServerDialogue,
    ServerTalk,
    acting_as,
    utf8,
)
from tayori.sasl.steps import Challenge, Failure


def serve(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """The response is the authorisation identity, or empty: whoever the certificate says."""
    response: bytes = initial if initial is not None else (yield Challenge(b""))
    if len(response) > MAX_NAME:
        raise Broken("authorisation name is too long")
    authzid = utf8(response, "authorisation name")
    if not context.external:
        return Failure("no client certificate that names a user")
    return acting_as(context.external, authzid, context.external, context.realm)


def speak(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    """One response: the name of the password map; empty for whomever the server makes of our certificate."""
    talk.complete = True
    yield (context.authzid or context.username).encode()


def server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve, context)


def client(context: ClientContext) -> ClientTalk:
    return ClientTalk(speak, context)
