"""Recorded sessions against an edited configuration: what would differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from tayori.config.origin import ConfigError
from tayori.programs.explain.stage import Play
from tayori.programs.explain.values import Question
from tayori.programs.explain.walk import Explainer
from tayori.programs.history.convert import asked
from tayori.programs.history.record import Asked, Record
from tayori.programs.history.replay import question


class Difference(msgspec.Struct):
    """One recipient that would be treated otherwise. `count`: how many recorded mails were just like it."""

    when: float
    client: str
    sender: str
    recipient: str
    before: str
    after: str
    before_by: Asked | None = None
    after_by: Asked | None = None
    count: int = 1


@dataclass(slots=True)
class Rehearsal:
    """What came out: `mails` were judged again, `left_out` could not be."""

    mails: int = 0
    left_out: int = 0
    differences: list[Difference] = field(default_factory=list)


def verdicts(play: Play) -> list[tuple[str, Asked | None]]:
    """For each recipient in order, the reply and what decided. A refused MAIL or HELO stands for all of them."""
    reasons = {}
    for verdict, facts in play.judgements.all:
        if verdict.reason is not None and facts.recipient is not None:
            reasons[facts.recipient] = asked(verdict.reason)
    early = next((line.reply for line in play.script.lines if line.reply[:1] in "45" and line.reply), "")
    said = [line.reply for line in play.script.lines if line.command.startswith("RCPT TO:")]
    if not said:
        by = next((asked(v.reason) for v, _ in play.judgements.all if v.reason and not v.permitted), None)
        return [(early or "(closed)", by) for _ in play.question.recipients]
    recipients = play.question.recipients
    return [(reply, reasons.get(recipient)) for recipient, reply in zip(recipients, said, strict=False)]


def essence(reply: str) -> str:
    """What counts of a reply: its code and enhanced code; "2" for any yes."""
    if not reply or reply.startswith("2"):
        return "2"
    words = reply.split(" ", 2)
    return " ".join(words[:2]) if len(words) > 1 and words[1].count(".") == 2 else words[0]


async def rehearse(explainer: Explainer, records: Iterable[Record], most: int) -> Rehearsal:
    """Judge up to `most` mails again; mails that are alike are judged once. Raises ConfigError."""
    found = Rehearsal()
    known: dict[tuple[Question, int], list[tuple[str, Asked | None]] | None] = {}
    seen: dict[tuple[str, str, str, str, str], Difference] = {}
    for record in records:
        if found.mails >= most:
            break
        again = question(record)
        if again is None:
            continue
        key = msgspec.structs.replace(again, port=0), record.server_port
        if key not in known:
            known[key] = await _judge(explainer, again, record.server_port)
        now = known[key]
        if now is None:
            found.left_out += 1
            continue
        found.mails += 1
        before = [one for one in record.decisions if one.stage == "RCPT"]
        for old, (reply, by) in zip(before, now, strict=False):
            if essence(old.reply) == essence(reply):
                continue
            same = (record.client, record.sender or "", old.about, essence(old.reply), essence(reply))
            if same in seen:
                seen[same].count += 1
                continue
            seen[same] = Difference(
                record.when, record.client, record.sender or "", old.about, old.reply, reply, old.by, by
            )
    found.differences = list(seen.values())
    return found


async def _judge(explainer: Explainer, asked_again: Question, port: int) -> list[tuple[str, Asked | None]] | None:
    """None: the edited configuration has no service on that port."""
    try:
        name = explainer.service("", port).service.name
    except ConfigError:
        return None
    play = await explainer.play(msgspec.structs.replace(asked_again, service=name))
    return verdicts(play)
