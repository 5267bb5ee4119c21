"""Records as text: one line for `find`, the whole story for `trace`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from tayori.programs.explain.forms import forms
from tayori.programs.explain.text import asked, decided, stage
from tayori.programs.history.record import Decision, Outcome, Record
from tayori.programs.language import N_, Language

SHOWN = 3
REPLY = re.compile(r"\d{3}[ -]")
STATUS = {
    "sent": N_("delivered"),
    "deferred": N_("waits"),
    "bounced": N_("returned to the sender"),
    "forward": N_("sent on as {id}"),
    "notice": N_("a report was sent as {id}"),
}


def clock(when: float) -> str:
    """`2026-11-24 18:04:56`, local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def client(record: Record) -> str:
    """`name[address]`, or sendmail."""
    return "sendmail" if record.kind == "local" else f"{record.client_name}[{record.client}]"


def line(record: Record, say: Language) -> str:
    """One line for a list."""
    recipients = [f"<{one}>" for one in record.recipients]
    shown = ", ".join(recipients[:SHOWN]) + (" …" if len(recipients) > SHOWN else "")
    sender = "-" if record.named_sender is None else f"<{record.named_sender}>"
    return f"{clock(record.when)}  {client(record)}  {sender} → {shown or '-'}  {result(record, say)}"


def result(record: Record, say: Language) -> str:
    """How it ended, in a few words."""
    refusals = record.refusals
    codes = " ".join(f"r-{one.code}" for one in refusals if one.code)
    if record.accepted and not refusals:
        return say("accepted as {id}", id=record.queue_id or "-")
    if refusals:
        first = refusals[0]
        more = f" (+{len(refusals) - 1})" if len(refusals) > 1 else ""
        taken = say("accepted as {id}", id=record.queue_id) + "; " if record.accepted else ""
        return f"{taken}{say('refused')}: {first.reply}{more}  [{codes}]"
    return say("gave up: {reply}", reply=record.reply) if record.reply else say("no mail")


def story(record: Record, outcomes: Sequence[Outcome], say: Language) -> Iterator[str]:
    """Everything that is known of one record."""
    yield say(
        "{when}  {client}, port {port}", when=clock(record.when), client=client(record), port=record.server_port
    )
    facts = [f"{record.protocol}, HELO {record.helo}"] if record.helo is not None else []
    facts += [f"TLS: {record.tls}"] if record.tls else []
    facts += [say("logged in as {login}", login=record.login)] if record.login else []
    if facts:
        yield "  " + ", ".join(facts)
    for failed in record.failed:
        yield "  " + say("login failed: {method} as {user}: {why}", method=failed.method,
                         user=failed.username or "?", why=say.told(failed.why))  # fmt: skip
    if record.sender is not None:
        size = say(", {size} bytes", size=record.size) if record.size else ""
        yield "  " + say("from <{sender}>{size}", sender=record.sender, size=size)
    for shown in forms((record.sender, *record.recipients), say):
        yield f"  {shown}"
    for decision in record.decisions:
        yield from _decision(decision, say)
    if record.more:
        yield "  " + say("and {count} more commands", count=record.more)
    if record.reply:
        yield "  " + say("end of the message → {reply}", reply=record.reply)
    for outcome in outcomes:
        yield "  " + ended(outcome, say)


def _decision(decision: Decision, say: Language) -> Iterator[str]:
    code = f"  [r-{decision.code}]" if decision.code and f"r-{decision.code}" not in decision.reply else ""
    yield f"  {stage(decision)} → {decision.reply or say('accepted')}{code}"
    for one in decision.asked:
        yield f"  {asked(one, say)}"
    if decision.by is not None:
        yield f"    {decided(decision, say)}"


def ended(outcome: Outcome, say: Language) -> str:
    """One line of what became of a recipient."""
    word = say(STATUS[outcome.status], id=outcome.text) if outcome.status in STATUS else outcome.status
    if outcome.status in ("forward", "notice"):
        return f"{clock(outcome.when)}  {word}"
    original = f" ({outcome.original})" if outcome.original and outcome.original != outcome.address else ""
    return (
        f"{clock(outcome.when)}  <{outcome.address}>{original}: {word}, {outcome.enhanced}, "
        f"{outcome.relay}: {meaning(outcome.text, say)}"
    )


def meaning(text: str, say: Language) -> str:
    """What a delivery said of itself, in the reader's language; another server's reply as it came."""
    return text if REPLY.match(text) else say.told(text)
