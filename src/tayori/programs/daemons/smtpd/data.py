"""DATA: the message itself, and its way into the queue (RFC 5321 4.1.1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from tayori.policy.facts import Stage
from tayori.policy.policy import PERMITTED
from tayori.policy.verdict import Action
from tayori.programs.daemons.smtpd import large
from tayori.programs.daemons.smtpd.commands import on_message
from tayori.programs.daemons.smtpd.large import Received
from tayori.programs.daemons.smtpd.service import Envelope, Explained
from tayori.protocol import smtp_commands as say
from tayori.protocol.received import transmission
from tayori.protocol.reply import Reply

if TYPE_CHECKING:
    from tayori.programs.daemons.smtpd.session import Session


async def data(session: Session, argument: bytes) -> Reply | None:
    """From `DATA` to the reply that says the message is on stable storage."""
    transaction = session.transaction
    if session.incoming is not None:
        return say.DATA_AFTER_BDAT
    if transaction is None or not transaction.recipients:
        return say.NEED_RCPT if transaction is None else say.NO_VALID_RECIPIENTS
    if argument:
        return say.DATA_SYNTAX
    refusal = await refused(session)
    if refusal is not None:
        return refusal
    session.say(say.GO_AHEAD)
    started = session.now()
    return await finish(session, await _receive(session), started)


async def refused(session: Session) -> Reply | None:
    """The refusal of the data restrictions, if any; their effects are kept with the transaction."""
    transaction = session.transaction
    assert transaction is not None
    # a message that is thrown away anyway passes (access(5) DISCARD)
    verdict = PERMITTED if transaction.discard else await session.judge(Stage.DATA, session.service.policy.data)
    if verdict.reply is not None and not verdict.permitted:
        return session.soften(verdict.reply)
    kept = on_message(verdict)
    if kept or verdict.action is Action.DISCARD:
        discard = "DISCARD" if verdict.action is Action.DISCARD else transaction.discard
        session.transaction = replace(transaction, effects=transaction.effects + kept, discard=discard)
    return None


async def finish(session: Session, received: Received, started: float) -> Reply:
    """From the whole content to the reply that says it is on stable storage; the transaction is over."""
    session.where = "END-OF-MESSAGE"
    try:
        found = received.refusal or await _finish(session, received, started)
        reply = session.soften(found)
    finally:
        received.end()
    if reply.code >= 400:
        reason = found.reason if isinstance(found, Explained) else None
        reply = session.trail.last_word("END-OF-MESSAGE", b"", reply, reason)
    session.trail.answered(reply, received.body.content)
    session.reset()
    if reply.code < 400:
        session.errors = 0
    return reply


async def _trusted(session: Session) -> bool:
    """local_header_rewrite_clients; a table that cannot answer counts as no."""
    tls = session.tls
    prints = (tls.cert_fingerprint, tls.pubkey_fingerprint) if tls is not None and tls.cert_fingerprint else ()
    verified = tls is not None and tls.verified
    found = await session.service.trusted.match(session.client.address, session.login is not None, verified, prints)
    return found is True


async def _receive(session: Session) -> Received:
    session.framing.bare = await session.bare_mode()
    session.framing.start_body(session.options.size_limit)
    try:
        while True:
            body = session.framing.body()
            if body is not None:
                return Received(body)
            if session.framing.pending() > session.service.intake.in_memory:
                return await large.receive(session)
            await session.input()
    except (ConnectionError, TimeoutError):
        session.where = f"DATA ({session.framing.body_lines()} bytes)"
        raise


def bare_newline(session: Session, where: str) -> Reply:
    """The refusal of content with a bare LF in it (smtpd_forbid_bare_newline = reject)."""
    session.note_refusal(session.facts(Stage.END_OF_DATA), "bare <LF> received", where)
    text = f"{session.options.hostname} Error: bare <LF> received"
    return Reply(session.options.bare_newline_code, "5.5.2", text)


async def _finish(session: Session, received: Received, started: float) -> Reply:
    transaction, body = session.transaction, received.body
    assert transaction is not None
    if body.bare and session.framing.bare == "reject":
        return bare_newline(session, "END-OF-MESSAGE")
    if body.bare and session.framing.bare == "note":
        session.note(f"{transaction.queue_id}: info: END-OF-MESSAGE from {session.peer}: bare <LF> received")
    if body.content is None:
        session.note(f"warning: {transaction.queue_id}: queue file size limit exceeded")
        return say.BODY_TOO_LARGE
    transaction = session.transaction = replace(transaction, size=body.size)
    if transaction.discard:
        return Reply(250, "2.0.0", f"Ok: queued as {transaction.queue_id}")
    verdict = await session.judge(Stage.END_OF_DATA, session.service.policy.end_of_data)
    if verdict.reply is not None and not verdict.permitted:
        return verdict.reply
    kept = on_message(verdict)
    if kept:
        transaction = replace(transaction, effects=transaction.effects + kept)
    if verdict.action is Action.DISCARD:
        return Reply(250, "2.0.0", f"Ok: queued as {transaction.queue_id}")
    return await session.service.intake.receive(
        Envelope(
            transaction=transaction,
            client=session.client,
            helo=session.helo or "",
            protocol=transmission(
                session.esmtp, session.tls is not None, session.login is not None, transaction.smtputf8
            ),
            tls=session.tls,
            login=session.login,
            options=session.options,
            content=body.content,
            spool=received.spool,
            trusted=await _trusted(session),
            started=started,
        )
    )
