"""CRAM-MD5 (RFC 2195): the server's challenge, keyed with the password. Off unless asked for: it can be guessed
from what was overheard, and the server proves nothing."""

from __future__ import annotations

import hmac

from tayori.sasl.mechanisms.base import (
    Broken,
    ClientContext,
    ClientDialogue,
    ClientTalk,
    ServerContext,
    ServerDialogue,
    ServerTalk,
    acting_as,
    name,
    refusal,
)
from tayori.sasl.steps import Challenge, Failure, FetchSecret, SaslError, Secret

WANTED = ("userPassword",)


def serve(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """`<digits.seconds@host>`, answered by `user hexdigest`. There is no initial response (RFC 2195 2)."""
    if initial is not None:
        raise Broken("CRAM-MD5 has no initial response")
    number = int.from_bytes(context.random(16), "big")
    challenge = f"<{number}.{int(context.clock())}@{context.hostname}>".encode()
    response: bytes = yield Challenge(challenge)
    user, blank, given = response.rpartition(b" ")
    if not blank or len(given) != 32:
        raise Broken("CRAM-MD5 response is not a name and a digest")
    authcid = name(user)
    answer = yield FetchSecret(authcid, WANTED, context.realm)
    password = answer.values.get("userPassword") if isinstance(answer, Secret) else None
    right = hmac.digest(password or b"?", challenge, "md5").hex().encode()
    same = hmac.compare_digest(right, given.lower())
    refused = refusal(answer)
    if refused:
        return refused
    if password is None:
        return Failure(f"no plain password is stored for {authcid}, as CRAM-MD5 needs")
    if not password or not same:
        return Failure("wrong password")
    return acting_as(answer.username or authcid, "", authcid)


def speak(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    """The server speaks first."""
    if not context.username or not context.password:
        raise SaslError("CRAM-MD5 needs a name and a password")
    challenge = yield None
    if not challenge:
        raise SaslError("CRAM-MD5: empty challenge")
    talk.complete = True
    yield f"{context.username} {hmac.digest(context.password.encode(), challenge, 'md5').hex()}".encode()


def server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve, context)


def client(context: ClientContext) -> ClientTalk:
    return ClientTalk(speak, context)
