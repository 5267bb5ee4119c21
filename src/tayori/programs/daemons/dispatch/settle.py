"""What the ends of an attempt mean for the queue: done, later, bounced, forwarded. Decides; no I/O but the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from tayori.bounce.options import BounceOptions
from tayori.bounce.report import only_headers, report
from tayori.bounce.rules import Entry, Kind, notices
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered
from tayori.programs.daemons.dispatch.ended import Ended, Work, log_line
from tayori.protocol.received import rfc5322_date
from tayori.queue.content import THRESHOLD, is_ascii, topped
from tayori.queue.model import Message, Recipient, Settlement, Stored
from tayori.queue.threads import in_thread
from tayori.schedule.backoff import Backoff

Log = Callable[[str, str], None]
Clean = Callable[[Message], Awaitable[Message | None]]


@dataclass(slots=True)
class _Tally:
    done: list[int] = field(default_factory=list)
    later: list[Recipient] = field(default_factory=list)
    extra: list[Recipient] = field(default_factory=list)
    failed: list[Entry] = field(default_factory=list)
    delayed: list[Entry] = field(default_factory=list)
    succeeded: list[Entry] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


class Settler:
    """Makes the Settlement of one attempt. `next_number` numbers the messages that are born of it."""

    def __init__(
        self, settings: Settings, next_number: Callable[[], int], clean: Clean, log: Log, backoff: Backoff
    ) -> None:
        """Raises ConfigError."""
        self._options = BounceOptions.of(settings)
        self._delivered_to = "forward" in settings.items("prepend_delivered_header")
        self._digits = settings.number("delay_logging_resolution_limit")
        self._soft_bounce = settings.flag("soft_bounce")
        self._next_number = next_number
        self._clean = clean
        self._hostname = settings.text("myhostname")
        self._mail_name = settings.text("mail_name")
        self._log = log
        self._backoff = backoff

    def softened(self, end: Ended) -> Ended:
        """soft_bounce: a permanent failure counts, and is logged, as one that is tried again."""
        outcome = end.outcome
        if not self._soft_bounce or not isinstance(outcome, BouncedDelivery):
            return end
        return replace(end, outcome=DeferredDelivery(outcome.text, "4" + outcome.enhanced[1:], outcome.relay))

    async def settle(
        self,
        work: Work,
        ended: list[Ended],
        waiting: tuple[Recipient, ...],
        now: float,
        before: frozenset[int] = frozenset(),
    ) -> Settlement:
        """`waiting` are recipients that were not due and stay as they are; `before`: numbers of those that are done
        already."""
        message, tally = work.message, _Tally()
        number = max((r.n for r in message.recipients), default=0)
        for end in ended:
            if end.forwards:
                tally.messages.append(self._forwarded(work, end, now))
                tally.done.append(end.recipient.n)
            elif isinstance(end.outcome, Delivered):
                tally.done.append(end.recipient.n)
                if "SUCCESS" in end.recipient.notify:
                    tally.succeeded.append((end.recipient, end.outcome))
            else:
                number += 1
                self._not_delivered(work, end, number, now, tally)
        await self._reports(work, tally, now)
        born = [await self._clean(m) for m in tally.messages]
        gone = set(tally.done)
        kept = {r.n for r in (*tally.later, *waiting)}
        finished = not kept and not tally.extra and gone | before >= {r.n for r in message.recipients}
        return Settlement(
            message.number,
            done=tuple(gone - kept),
            later=tuple(tally.later),
            extra=tuple(tally.extra),
            messages=tuple(m for m in born if m is not None),
            finished=finished,
            filed=not isinstance(work.content, bytes) or len(work.content) > THRESHOLD,
        )

    def _forwarded(self, work: Work, end: Ended, now: float) -> Message:
        """The copy that an alias sends on: a new message, marked so that a loop is seen (local(8) Delivered-To)."""
        message, recipient, number = work.message, end.recipient, self._next_number()
        date = rfc5322_date(datetime.fromtimestamp(now).astimezone())
        head = f"Received: by {self._hostname} ({self._mail_name})\n\tid {number:X}; {date}\n"
        if self._delivered_to:
            head += f"Delivered-To: {recipient.address}\n"
        content = topped(head.encode("utf-8", "surrogateescape"), work.content)
        original = (recipient.original or recipient.address) if end.forward_sender is None else ""
        text = f"forwarded as {number:X}"
        told = replace(end, outcome=Delivered(text, relay="local"))
        self._log("local", log_line(told, message, work.begun, now, self._digits))
        return Message(
            number=number,
            arrival=now,
            sender=message.sender if end.forward_sender is None else end.forward_sender,
            size=len(content),
            attributes=msgspec.structs.replace(message.attributes, rewrite_context="local", drop=""),
            recipients=tuple(
                Recipient(n, address, original or address, recipient.notify, recipient.orcpt)
                for n, address in enumerate(end.forwards, start=1)
            ),
            content=content,
        )

    def _not_delivered(self, work: Work, end: Ended, fresh: int, now: float, tally: _Tally) -> None:
        message, recipient, outcome = work.message, end.recipient, end.outcome
        shown = recipient
        if end.part and end.address:
            shown = msgspec.structs.replace(
                recipient, address=end.address, original=recipient.original or recipient.address
            )
        final = isinstance(outcome, BouncedDelivery)
        if final or (end.attempted and self._backoff.expired(message.arrival, message.sender, now)):
            tally.failed.append((shown, outcome))
            tally.done.append(recipient.n)
            return
        warn = self._backoff.warn(message.arrival, recipient.warned, message.sender, now)
        if warn:
            tally.delayed.append((shown, outcome))
        kept = msgspec.structs.replace(
            shown,
            n=fresh if end.part else recipient.n,
            attempts=recipient.attempts + int(end.attempted),
            due=end.until or self._backoff.due(message.arrival, now),
            enhanced=outcome.enhanced,
            reason=outcome.text,
            warned=recipient.warned or warn,
            expanded=recipient.expanded or end.part,
            member=end.member,
            origin=recipient.origin or (recipient.n if end.part else 0),
            delivered=recipient.delivered or (recipient.address if end.part else ""),
        )
        if end.part:
            tally.extra.append(kept)
            tally.done.append(recipient.n)
        else:
            tally.later.append(kept)

    async def _reports(self, work: Work, tally: _Tally, now: float) -> None:
        message = work.message
        for kind, entries in (
            (Kind.FAILED, tally.failed),
            (Kind.DELAYED, tally.delayed),
            (Kind.SUCCESS, tally.succeeded),
        ):
            if not entries:
                continue
            for notice in notices(kind, message, tuple(entries), self._options):
                seven = True
                if isinstance(work.content, Stored) and not only_headers(notice, work.content, self._options):
                    seven = await in_thread(is_ascii, work.content)
                born = report(notice, message, work.content, self._options, self._next_number(), now, seven)
                tally.messages.append(born)
                self._log("bounce", f"{message.id}: {self._name(notice, kind)}: {born.id}")

    @staticmethod
    def _name(notice: object, kind: Kind) -> str:
        copy = getattr(notice, "copy", False)
        word = {Kind.FAILED: "non-delivery", Kind.DELAYED: "delay", Kind.SUCCESS: "delivery status"}[kind]
        return f"{'postmaster' if copy else 'sender'} {word} notification"
