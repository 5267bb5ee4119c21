"""GSSAPI (RFC 4752), through the library `gssapi` (extra `tayori[gssapi]`), without a security layer.

The server needs a key for `smtp@hostname` in its keytab (KRB5_KTNAME), the client a ticket. The library does its own
I/O: the server reads keytab and replay cache, a client may ask a KDC: drive both from a thread.
"""

from __future__ import annotations

import importlib
from typing import Any

from tayori.config.origin import ConfigError
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
from tayori.sasl.steps import Challenge, Failure, SaslError

NO_LAYER = 1  # the bit for "no security layer" (RFC 4752 3.3)
MAX_TOKENS = 10  # of one context establishment; Kerberos needs one or two


def library() -> Any:
    """The library; ConfigError names the extra when it is absent."""
    try:
        return importlib.import_module("gssapi")
    except ImportError as error:
        raise ConfigError(f"GSSAPI needs a library: pip install 'tayori[gssapi]' ({error})") from error


def _local_name(principal: str, acceptor: str) -> str:
    """`user` for a principal of the server's own realm, else the whole principal."""
    user, _, realm = principal.rpartition("@")
    return user if user and realm == acceptor.rpartition("@")[2] else principal


def serve(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """Establish the context, offer no layer, and take the authorisation identity."""
    gss = library()
    token: bytes = initial if initial is not None else (yield Challenge(b""))
    try:
        host_name = gss.Name(f"{context.service}@{context.hostname}", gss.NameType.hostbased_service)
        own = gss.Credentials(name=host_name, usage="accept")
        session = gss.SecurityContext(creds=own, usage="accept")
    except gss.exceptions.GSSError as error:
        return Failure(f"no usable Kerberos key of our own: {_text(error)}", temporary=True)
    try:
        for _ in range(MAX_TOKENS):
            reply = session.step(token)
            if session.complete:
                break
            token = yield Challenge(reply or b"")
        else:
            raise Broken("GSSAPI: too many tokens")
        if reply and (yield Challenge(reply)):
            raise Broken("GSSAPI: the answer to the last token must be empty")
        offer = session.wrap(bytes([NO_LAYER, 0, 0, 0]), False).message
        chosen: bytes = session.unwrap((yield Challenge(offer))).message
        principal, own_name = str(session.initiator_name), str(session.target_name)
    except gss.exceptions.GSSError as error:
        return Failure(f"GSSAPI: {_text(error)}")
    if len(chosen) < 4 or chosen[0] != NO_LAYER or any(chosen[1:4]) or len(chosen) > MAX_NAME:
        raise Broken("GSSAPI: the client asks for a security layer that was not offered")
    username = _local_name(principal, own_name)
    return acting_as(username, utf8(chosen[4:], "authorisation name"), principal)


def speak(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    """The ticket speaks for us; the name goes along as authorisation identity only when one was asked for."""
    gss = library()
    try:
        target = gss.Name(f"{context.service}@{context.host}", gss.NameType.hostbased_service)
        flags = gss.RequirementFlag.mutual_authentication | gss.RequirementFlag.integrity
        session = gss.SecurityContext(name=target, usage="initiate", flags=flags)
        token = session.step()
        for _ in range(MAX_TOKENS):
            challenge = yield token or b""
            if session.complete:
                break
            token = session.step(challenge)
        if not session.complete:
            raise SaslError("GSSAPI: too many tokens")
        offer: bytes = session.unwrap(challenge).message
        if len(offer) != 4 or not offer[0] & NO_LAYER:
            raise SaslError("GSSAPI: the server insists on a security layer")
        talk.complete = True
        yield session.wrap(bytes([NO_LAYER, 0, 0, 0]) + context.authzid.encode(), False).message
    except gss.exceptions.GSSError as error:
        raise SaslError(f"GSSAPI: {_text(error)}") from error


def _text(error: Exception) -> str:
    """The library's words on one line."""
    return " ".join(str(error).split())[:300]


def server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve, context)


def client(context: ClientContext) -> ClientTalk:
    return ClientTalk(speak, context)
