"""Recorded sessions against an edited configuration: what would differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tayori.config.origin import ConfigError, Origin
from tayori.programs.explain.stage import Play
from tayori.programs.explain.values import Question
from tayori.programs.explain.walk import Explainer
from tayori.programs.history.convert import asked
from tayori.programs.history.record import Asked, Record
from tayori.programs.history.replay import question

SIZE = "message_size_limit"
SYNTAX = "501 "
"""Begins the reply to what no rule was asked about."""
TOO_BIG = "552 5.3.4 Error: message file too big"
Judgement = tuple[str, Asked | None]


class Difference(msgspec.Struct):
    """One recipient that would be treated otherwise, or with `recipient` "" the mail as a whole, after DATA.

    `before`, `after`: the replies; "" is a yes whose words are not known. `count`: how many mails were just like it.
    """

    when: float
    client: str
    sender: str
    recipient: str
    before: str
    after: str
    before_by: Asked | None = None
    after_by: Asked | None = None
    count: int = 1


class Rehearsed(msgspec.Struct):
    """What came out: `mails` were judged again, `left_out` could not be (no service on their port).

    Of those whose content had come, `whole` had it in the queue still, `headers` a kept header, `unseen` nothing.
    """

    mails: int = 0
    left_out: int = 0
    whole: int = 0
    headers: int = 0
    unseen: int = 0
    differences: list[Difference] = []


class Again(msgspec.Struct):
    """A mail judged again: its recipients in order, then what DATA and the content got ("" when never sent)."""

    recipients: list[Judgement]
    end: Judgement


def verdicts(play: Play) -> Again:
    """For each recipient in order, the reply and what decided. A refused MAIL or HELO stands for all of them."""
    reasons = {}
    late = None
    for heard in play.judgements.heard:
        verdict, facts = heard.verdict, heard.facts
        if verdict is None or facts is None:
            continue
        if verdict.reason is not None and facts.recipient is not None and facts.stage.value == "RCPT":
            reasons[facts.recipient] = asked(verdict.reason)
        elif verdict.reason is not None and not verdict.permitted:
            late = asked(verdict.reason)
    lines = play.script.lines
    early = next((line.reply for line in lines if line.reply[:1] in "45" and line.reply), "")
    said = [line.reply for line in lines if line.command.startswith("RCPT TO:")]
    if not said:
        return Again([(early or "(closed)", late) for _ in play.question.recipients], ("", None))
    recipients = play.question.recipients
    end = next((line.reply for line in reversed(lines) if line.command in ("(message)", "DATA")), "")
    judged = [(reply, reasons.get(recipient)) for recipient, reply in zip(recipients, said, strict=False)]
    return Again(judged, (end, late if end[:1] in "45" else None))


def essence(reply: str) -> str:
    """What counts of a reply: its code and enhanced code; "2" for any yes."""
    if not reply or reply.startswith("2"):
        return "2"
    words = reply.split(" ", 2)
    return " ".join(words[:2]) if len(words) > 1 and words[1].count(".") == 2 else words[0]


class Rehearsal:
    """Judges records again. `content` gives what is left of a mail that waits in the queue, b"" for nothing."""

    def __init__(self, explainer: Explainer, content: Callable[[Record], bytes] = lambda _: b"") -> None:
        self.explainer = explainer
        self.found = Rehearsed()
        self._content = content
        self._known: dict[tuple[Question, int], Again | None] = {}
        self._seen: dict[tuple[str, str, str, str, str], Difference] = {}

    async def run(self, records: Iterable[Record], most: int) -> Rehearsed:
        """Judge up to `most` mails again; mails that are alike are judged once. Raises ConfigError."""
        for record in records:
            if self.found.mails >= most:
                break
            again = question(record)
            if again is not None:
                await self._one(record, again)
        self.found.differences = list(self._seen.values())
        return self.found

    async def _one(self, record: Record, again: Question) -> None:
        whole = self._content(record)
        again = msgspec.structs.replace(again, content=whole or record.head)
        key = msgspec.structs.replace(again, port=0), record.server_port
        if key not in self._known:
            self._known[key] = await self._judge(again, record.server_port)
        now = self._known[key]
        if now is None:
            self.found.left_out += 1
            return
        self.found.mails += 1
        before = [one for one in record.decisions if one.stage == "RCPT"]
        for old, (reply, by) in zip(before, now.recipients, strict=False):
            if old.by is None and old.reply.startswith(SYNTAX):
                continue  # bytes that were no address are not kept as they came
            self._compare(record, old.about, (old.reply, old.by), (reply, by))
        if record.reply:
            self.found.whole += bool(whole)
            self.found.headers += bool(record.head and not whole)
            self.found.unseen += not again.content
        self._end(record, again, now)

    def _end(self, record: Record, again: Question, now: Again) -> None:
        """DATA and what followed. Without the content only rules and the size can be compared."""
        late = next((one for one in reversed(record.refusals) if one.stage in ("DATA", "END-OF-MESSAGE")), None)
        rule = late.by if late and late.by and late.by.answer != "refused" else None  # not of the content
        old: Judgement = (late.reply, rule) if late else (record.reply, None)
        if not old[0] or not now.end[0]:
            return
        built = self.explainer.service("", record.server_port)
        limit = built.options.size_limit
        if record.accepted and limit and record.size > limit:
            self._compare(record, "", old, (TOO_BIG, _parameter(built.settings.origin(SIZE), SIZE)))
        elif again.content or old[1] is not None or now.end[1] is not None:
            self._compare(record, "", old, now.end)

    def _compare(self, record: Record, recipient: str, old: Judgement, new: Judgement) -> None:
        if essence(old[0]) == essence(new[0]):
            return
        same = (record.client, record.sender or "", recipient, essence(old[0]), essence(new[0]))
        if same in self._seen:
            self._seen[same].count += 1
            return
        self._seen[same] = Difference(
            record.when, record.client, record.sender or "", recipient, old[0], new[0], old[1], new[1]
        )

    async def _judge(self, again: Question, port: int) -> Again | None:
        """None: the edited configuration has no service on that port."""
        try:
            name = self.explainer.service("", port).service.name
        except ConfigError:
            return None
        return verdicts(await self.explainer.play(msgspec.structs.replace(again, service=name)))


def _parameter(origin: Origin | None, name: str) -> Asked:
    return Asked("END-OF-MESSAGE", name, name, file=origin.file if origin else "", line=origin.line if origin else 0)
