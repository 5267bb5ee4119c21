"""STARTTLS and implicit TLS (RFC 3207, RFC 8314)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.net.tls import TlsError
from tayori.policy.facts import TlsFacts
from tayori.protocol import smtp_commands as say
from tayori.protocol.reply import Reply

if TYPE_CHECKING:
    from tayori.programs.daemons.smtpd.session import Session


async def starttls(session: Session, argument: bytes) -> Reply | None:
    """STARTTLS: afterwards the session is as new (RFC 3207 4.2)."""
    if argument:
        return say.STARTTLS_SYNTAX
    if session.tls is not None:
        return say.TLS_ACTIVE
    if session.options.tls_level == "none":
        return say.NOT_IMPLEMENTED
    if session.service.tls is None:
        return say.TLS_TROUBLE
    if session.service.rates.tls(session.client.address) and not await session.listed(session.service.event_exempt):
        session.note(f"warning: Refusing STARTTLS request from {session.peer} for service smtpd")
        return Reply(454, "4.7.0", f"Error: too many new TLS sessions from {session.peer}")
    # whatever came in the same read was sent in the clear, perhaps by somebody else: away with it
    session.framing.discard()
    session.stream.discard()
    session.say(say.TLS_READY)
    session.flush()
    await handshake(session)
    session.helo = None
    session.esmtp = False
    session.login = None
    session.reset()
    return None


async def handshake(session: Session) -> None:
    """TLS now. Raises TlsError, TimeoutError, ConnectionError: the session ends."""
    context = session.service.tls
    if context is None:
        raise TlsError("no certificate")
    options = session.options
    try:
        tls = await session.stream.start_tls(context, server_side=True)
    except TlsError as error:
        session.note(f"SSL_accept error from {session.peer}: {error}")
        raise
    session.tls = TlsFacts(
        tls.protocol,
        tls.cipher,
        tls.bits,
        tls.verified,
        tls.subject_cn(),
        tls.issuer_cn(),
        tls.cert_fingerprint(options.tls_fingerprint),
        tls.pubkey_fingerprint(options.tls_fingerprint),
    )
    authenticator = session.service.authenticator
    if authenticator is not None and tls.peer_certificate is not None:
        session.external = await authenticator.identity(tls)
    if options.tls_loglevel > 0:
        trust = "Trusted" if tls.verified else "Untrusted" if tls.peer_certificate else "Anonymous"
        session.note(
            f"{trust} TLS connection established from {session.peer}: "
            f"{tls.protocol} with cipher {tls.cipher} ({tls.bits}/{tls.bits} bits)"
        )
    if options.tls_require_cert and options.tls_level == "encrypt" and not tls.verified:
        session.note(f"NOQUEUE: abort: TLS from {session.peer}: no trusted client certificate")
        raise TlsError("no trusted client certificate")
