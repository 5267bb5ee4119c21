"""AUTH (RFC 4954): the exchange between client and authenticator; mechanisms know nothing of SMTP."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from tayori.policy.facts import LoginFacts
from tayori.protocol import smtp_commands as say
from tayori.protocol.reply import Reply
from tayori.sasl.names import known
from tayori.sasl.record import LoginRecord, one_word
from tayori.sasl.steps import Challenge, Failure, Success

if TYPE_CHECKING:
    from tayori.programs.daemons.smtpd.session import Session

ABORTED = Reply(501, "5.7.0", "Authentication aborted")
SUCCESS = Reply(235, "2.7.0", "Authentication successful")
TEMPORARY = Reply(454, "4.7.0", "Temporary authentication failure")
UNREACHABLE = "Connection lost to authentication server"
TOO_LONG = Reply(500, "5.5.6", "SASL response limit exceeded")


async def auth(session: Session, argument: bytes) -> Reply | None:
    """AUTH mechanism [initial-response]."""
    refused = await _not_now(session, argument)
    if refused is not None:
        return refused
    words = argument.split()
    name = known(say.printable(words[0]))
    authenticator = session.service.authenticator
    assert authenticator is not None
    tls = session.stream.tls
    initial, broken = _decode(words[1]) if len(words) > 1 else (None, "")
    exchange = authenticator.begin(
        name,
        initial,
        client_address=session.client.address,
        tls=tls is not None,
        channel_bindings=tls.bindings if tls else {},
        external=session.external,
        server_address=session.client.server_address,
    )
    framing, limit = session.framing, session.options.sasl_response_limit
    framing.line_limit = limit - 1  # as in Postfix, a line of the limit itself is too long
    try:
        step: Challenge | Success | Failure = exchange.refuse(broken) if broken else await exchange.step(None)
        while isinstance(step, Challenge):
            session.say(Reply(334, "", base64.b64encode(step.data).decode("ascii")))
            line = await session.read_line()
            if line.text == b"*":
                exchange.cancel()
                session.note(f"warning: {session.peer}: SASL {name} authentication aborted")
                return ABORTED
            if line.overlong:
                exchange.cancel()
                session.note(f"warning: {session.peer}: SASL {name} response longer than {limit}")
                return TOO_LONG
            response, broken = _decode(line.text)
            step = exchange.refuse(broken) if broken else await exchange.step(response)
    except BaseException:  # the client is gone, or this worker goes: what the exchange holds is given back
        exchange.cancel()
        raise
    finally:
        framing.line_limit = session.options.line_limit
    return _ended(session, name, step, exchange.record)


async def _not_now(session: Session, argument: bytes) -> Reply | None:
    """The refusals that come before any mechanism is asked."""
    if session.options.helo_required and session.helo is None:
        return say.SEND_HELO
    if session.service.authenticator is None or not session.options.sasl_enable:
        return Reply(503, "5.5.1", "Error: authentication not enabled")
    if session.transaction is not None:
        return say.IN_TRANSACTION
    if session.login is not None:
        return Reply(503, "5.5.1", "Error: already authenticated")
    if session.options.tls_auth_only and session.tls is None:
        return Reply(538, "5.7.0", "Encryption required for requested authentication mechanism")
    if not 1 <= len(argument.split()) <= 2:
        return Reply(501, "5.5.4", "Syntax: AUTH mechanism")
    if session.service.rates.auth(session.client.address) and not await session.listed(session.service.event_exempt):
        session.note(f"warning: AUTH command rate limit exceeded: {session.peer} for service smtpd")
        return Reply(450, "4.7.1", f"Error: too many AUTH commands from {session.client.address}")
    return None


def _decode(word: bytes) -> tuple[bytes, str]:
    """The response, and what is wrong with it ("" for nothing)."""
    if word == b"=":
        return b"", ""
    try:
        return base64.b64decode(word, validate=True), ""
    except (binascii.Error, ValueError):
        return b"", "malformed base64 from the client"


def _ended(session: Session, name: str, step: Success | Failure, record: LoginRecord) -> Reply:
    """The last reply. The warning's words are those that fail2ban and others look for in Postfix's log, so each
    refusal gets one; smtpd_hard_error_limit bounds them, as in Postfix. A back end's trouble has the words that
    fail2ban passes over: nobody is shut out because a database is down."""
    if isinstance(step, Success):
        session.login = LoginFacts(step.username, name)
        return SUCCESS
    shown = one_word(record.username) if record.username else "(unavailable)"
    why = f"{UNREACHABLE} ({step.why})" if step.temporary and not record.held else step.why
    session.note(f"warning: {session.peer}: SASL {name} authentication failed: {why}, sasl_username={shown}")
    session.trail.login_failed(name, record.username, step.why)
    if step.temporary:
        return TEMPORARY
    authenticator = session.service.authenticator
    cyrus = authenticator is not None and authenticator.dovecot is None
    if step.unknown:
        why = "no mechanism available" if cyrus else "Invalid authentication mechanism"
    else:
        why = "bad protocol / cancel" if step.malformed and cyrus else "authentication failure"
    return Reply(535, "5.7.8", f"Error: authentication failed: {why}")
