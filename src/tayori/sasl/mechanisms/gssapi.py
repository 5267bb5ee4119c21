"""GSSAPI (RFC 4752), through the library `gssapi` (extra `tayori[gssapi]`), without a security layer.

The server needs a key for `smtp/$myhostname` in its keytab (`keytab` of smtpd.conf, else KRB5_KTNAME or krb5.conf's
own), the client a ticket (KRB5CCNAME). The library does its own I/O: the server reads keytab and replay cache, a
client may ask a KDC: drive both from a thread.

A principal of the server's own realm is known by its name alone, others by the whole principal, as in the Cyrus
library. An anonymous ticket (RFC 8062), which anybody may get of a KDC that gives them, logs nobody in.
"""

from __future__ import annotations

import importlib
from typing import Any

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
ANONYMOUS = "WELLKNOWN/ANONYMOUS@"  # RFC 8062 3, whatever the realm
NO_LIBRARY = "needs the gssapi library: pip install 'tayori[gssapi]' (Debian: apt install libkrb5-dev first)"


def library() -> Any:
    """The library. Raises ImportError."""
    return importlib.import_module("gssapi")


def _acceptor(gss: Any, service: str, hostname: str, keytab: str) -> Any:
    """Our own key, from the keytab."""
    name = gss.Name(f"{service}@{hostname}", gss.NameType.hostbased_service)
    store = {"keytab": keytab} if keytab else None
    # Kerberos and nothing that may choose another mechanism, such as SPNEGO (RFC 4752 3)
    return gss.Credentials(name=name, usage="accept", mechs=[gss.MechType.kerberos], store=store)


def trouble(service: str, hostname: str, keytab: str) -> str:
    """Empty when this machine can serve GSSAPI, else why not: no library, or no key of our own. Reads the keytab."""
    try:
        gss = library()
        _acceptor(gss, service, hostname, keytab)
    except ImportError:
        return NO_LIBRARY
    except gss.exceptions.GSSError as error:
        place = keytab or "the keytab (keytab in smtpd.conf, KRB5_KTNAME)"
        return f"no key for {service}/{hostname} in {place}: {words(error)}"
    return ""


def _local_name(principal: str, acceptor: str) -> str:
    """`user` for a principal of the server's own realm, else the whole principal."""
    user, _, realm = principal.rpartition("@")
    return user if user and realm == acceptor.rpartition("@")[2] else principal


def serve(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """Establish the context, offer no layer, and take the authorisation identity."""
    try:
        gss = library()
    except ImportError:
        return Failure(NO_LIBRARY, temporary=True)
    token: bytes = initial if initial is not None else (yield Challenge(b""))
    try:
        own = _acceptor(gss, context.service, context.hostname, context.keytab)
        session = gss.SecurityContext(creds=own, usage="accept")
    except gss.exceptions.GSSError as error:
        return Failure(f"no usable Kerberos key of our own: {words(error)}", temporary=True)
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
        principal, own_name = (utf8(bytes(n), "principal") for n in (session.initiator_name, session.target_name))
    except gss.exceptions.GSSError as error:
        return Failure(f"GSSAPI: {words(error)}")
    if len(chosen) < 4 or chosen[0] != NO_LAYER or any(chosen[1:4]) or len(chosen) > MAX_NAME:
        raise Broken("GSSAPI: the client asks for a security layer that was not offered")
    if principal.startswith(ANONYMOUS):
        return Failure("an anonymous ticket names nobody")
    username = _local_name(principal, own_name)
    return acting_as(username, utf8(chosen[4:], "authorisation name"), principal, context.realm)


def speak(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    """The ticket alone says who we are, whatever name the password map has: so does Postfix with Cyrus SASL."""
    try:
        gss = library()
    except ImportError as error:
        raise SaslError(f"GSSAPI {NO_LIBRARY}") from error
    try:
        target = gss.Name(f"{context.service}@{context.host}", gss.NameType.hostbased_service)
        flags = gss.RequirementFlag.mutual_authentication | gss.RequirementFlag.integrity
        session = gss.SecurityContext(name=target, mech=gss.MechType.kerberos, usage="initiate", flags=flags)
        token = session.step()
        for _ in range(MAX_TOKENS):
            challenge = yield token or b""
            if session.complete:
                break
            token = session.step(challenge)
        if not session.complete:
            raise SaslError("GSSAPI: too many tokens")
        if not session.actual_flags & gss.RequirementFlag.mutual_authentication:
            raise SaslError("GSSAPI: the server has not proved who it is")
        offer: bytes = session.unwrap(challenge).message
        if len(offer) != 4 or not offer[0] & NO_LAYER:
            raise SaslError("GSSAPI: the server insists on a security layer")
        talk.complete = True
        yield session.wrap(bytes([NO_LAYER, 0, 0, 0]) + context.authzid.encode(), False).message
    except gss.exceptions.GSSError as error:
        raise SaslError(f"GSSAPI: {words(error)}") from error


def words(error: Exception) -> str:
    """The library's own on one line, without its general remark ("Unspecified GSS failure …") where there is more."""
    whole = " ".join(str(error).split())
    return (whole.rpartition("): ")[2] or whole)[:200]


def server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve, context)


def client(context: ClientContext) -> ClientTalk:
    talk = ClientTalk(speak, context)
    talk.blocking = True
    return talk
