"""From what a session left behind to the Record that is kept. Runs in the writing thread."""

from __future__ import annotations

from tayori.policy.facts import Facts, TlsFacts
from tayori.policy.verdict import Reason, Step, Verdict
from tayori.programs.history.config_text import NO_TEXT, ConfigText
from tayori.programs.history.record import MOST, TEXT, Asked, Decision, Record
from tayori.programs.history.trail import Left, Note
from tayori.protocol.headers import header_end
from tayori.queue.model import Message

STAGES = ("CONNECT", "EHLO", "HELO", "AUTH", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE")
"""Of refusals that no restriction gave: the verbs that are named; others may be a password that came too late."""


def record(left: Left, config: ConfigText = NO_TEXT) -> Record:
    """One Record of a mail, or of a session without one, under that configuration."""
    sender = left.sender
    if sender is None:
        sender = next((n.facts.sender for n in reversed(left.notes) if n.facts and n.facts.sender is not None), None)
    return Record(
        when=left.when,
        client=left.client.address,
        client_name=left.client.name,
        client_port=left.client.port,
        server=left.client.server_address,
        server_port=left.client.server_port,
        helo=left.helo,
        protocol="ESMTP" if left.esmtp else "SMTP",
        tls=tls_text(left.tls),
        login=left.login.username if left.login else "",
        method=left.login.method if left.login else "",
        failed=left.failed,
        offered=left.offered,
        sender=sender,
        decisions=tuple(_decision(note, config) for note in left.notes),
        reply=left.reply,
        number=left.number,
        size=left.size,
        more=left.more,
        reverse_name=left.client.reverse_name,
        name_code=left.client.name_code,
        reverse_code=left.client.reverse_code,
        config=config.digest,
        head=left.head[: header_end(left.head)] if left.head else b"",
    )


def local_record(message: Message) -> Record:
    """Mail from sendmail."""
    attributes = message.attributes
    return Record(
        when=message.arrival,
        client="",
        client_name="sendmail",
        login=attributes.sasl_username,
        sender=message.sender,
        decisions=tuple(
            Decision("RCPT", recipient.original or recipient.address, "permit")
            for recipient in message.recipients[:MOST]
        ),
        number=message.number,
        size=message.size,
        kind="local",
        more=max(0, len(message.recipients) - MOST),
    )


def tls_text(tls: TlsFacts | None) -> str:
    """`TLSv1.3 cipher`, or ""."""
    return f"{tls.protocol} {tls.cipher}" if tls else ""


def asked(reason: Reason, answer: str = "dunno", text: str = "", source: str = "") -> Asked:
    """A restriction and its answer, as kept."""
    origin = reason.origin
    return Asked(
        reason.stage, reason.parameter, reason.restriction, reason.argument[:TEXT],
        origin.file if origin else "", origin.line if origin else 0,
        reason.looked_up[:TEXT], reason.answer[:TEXT], answer, text[:TEXT], source,
    )  # fmt: skip


def steps(trace: tuple[Step, ...]) -> tuple[Asked, ...]:
    """A whole trace."""
    return tuple(asked(step.reason, step.action, step.text) for step in trace[:MOST])


def decision(
    verdict: Verdict, facts: Facts, reply: str = "", code: str = "", config: ConfigText = NO_TEXT
) -> Decision:
    """What the policy decided about one command."""
    no = not verdict.permitted
    by = None
    if verdict.reason:
        origin = verdict.reason.origin
        source = config.line(origin.file, origin.line) if origin and no else ""
        by = asked(verdict.reason, verdict.action.value, source=source)
    return Decision(
        facts.stage.value,
        about(facts)[:TEXT],
        verdict.action.value,
        reply or (str(verdict.reply)[:TEXT] if verdict.reply and no else ""),
        by,
        steps(verdict.trace) if no else (),
        code,
    )


def about(facts: Facts) -> str:
    """What a stage's decision is about."""
    if facts.stage.value in ("RCPT", "VRFY"):
        return facts.recipient or ""
    if facts.stage.value == "MAIL":
        return facts.sender or ""
    if facts.stage.value in ("EHLO", "HELO"):
        return facts.helo or ""
    return facts.etrn or ""


def _decision(note: Note, config: ConfigText) -> Decision:
    if note.verdict is not None and note.facts is not None:
        return decision(note.verdict, note.facts, note.reply, note.code, config)
    stage = note.verb if note.verb in STAGES else "OTHER"
    by = None
    if note.by is not None:
        origin = note.by.origin
        by = asked(note.by, "refused", source=config.line(origin.file, origin.line) if origin else "")
    return Decision(stage, note.about, "refused", note.reply, by, (), note.code)
