"""The dispatcher: every message that this worker owns, from accepted or claimed to settled (qmgr(8)).

A just-accepted message is delivered from the bytes still in memory; everything else is claimed from the queue when
due. Memory is bounded: beyond MEMORY bytes of content in hand (of a large message a part counts), or `limit`
messages, new mail is left in the queue for a later claim. A dead destination costs its messages a look, never a
connection, and nobody else's time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from tayori.delivery.discard import discard
from tayori.delivery.error import error, retry
from tayori.delivery.outcome import DeferredDelivery, Delivered, DeliveryOutcome
from tayori.programs.daemons.dispatch.ended import STATUS, Ended, Told, Work, log_line
from tayori.programs.daemons.dispatch.mailboxes import Mailboxes, repeated
from tayori.programs.daemons.dispatch.members import Members
from tayori.programs.daemons.dispatch.remote import Remote
from tayori.programs.daemons.dispatch.settle import Settler
from tayori.programs.daemons.dispatch.status_filter import StatusFilter
from tayori.programs.daemons.dispatch.ways_out import Forward, WaysOut
from tayori.programs.history.history import NoHistory
from tayori.programs.maillog import MailLog
from tayori.protocol.address import quote
from tayori.queue.content import weight
from tayori.queue.engine import SqliteQueue
from tayori.queue.model import ContentLost, Message, QueueBroken, QueueFull, Recipient, Settlement, Stored
from tayori.rewrite.resolve import Resolver
from tayori.rewrite.results import Deferred, Resolved

MEMORY = 64 * 1024 * 1024
CLAIM = 100
LOST_WAIT = 300
"""Seconds between two looks for a content file that is not there."""
POLL = 1.0
ENDING_SECONDS = 5.0
"""For attempts that have ended, until that is written, when the worker stops."""
AT_ONCE: dict[str, Callable[[str], DeliveryOutcome]] = {"error": error, "retry": retry, "discard": discard}
DISCARDED = Delivered("undeliverable postmaster notification discarded", relay="none")
"""What becomes of mail to double_bounce_sender: whoever it comes from, an answer would go round in a circle."""
_log = logging.getLogger("tayori.qmgr")


class Programs(Protocol):
    """Which master.cf program serves a transport name."""

    def program(self, transport: str) -> str:
        """`smtp` for relay, the name itself when master.cf does not list it."""
        ...


class Dispatcher:
    """All deliveries of one worker."""

    def __init__(
        self,
        queue: SqliteQueue,
        resolver: Resolver,
        mailboxes: Mailboxes,
        remote: Remote,
        settler: Settler,
        programs: Programs,
        log: MailLog,
        limit: int,
        history: NoHistory | None = None,
        ways_out: WaysOut | None = None,
        status: StatusFilter | None = None,
        digits: int = 2,
        nobody: Callable[[str], bool] = lambda address: False,
    ) -> None:
        """`digits`: delay_logging_resolution_limit. `nobody`: whether a local address is the sender
        of reports or probes."""
        self._nobody = nobody
        self._status = status or None
        self._digits = digits
        self._ways_out = ways_out if ways_out is not None and ways_out.active else None
        self._queue = queue
        self._resolver = resolver
        self._mailboxes = mailboxes
        if self._ways_out is not None:
            mailboxes.members = Members(self._ways_out, resolver, programs.program, self._member)
        self._remote = remote
        self._settler = settler
        self._programs = programs
        self._log = log
        self._limit = limit
        self._history = history or NoHistory()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ending: set[int] = set()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._draining = False

    @property
    def active(self) -> int:
        """Messages in hand."""
        return len(self._tasks)

    def has_room(self, size: int) -> bool:
        """Whether a new message may be delivered from memory; else it waits in the queue for a claim."""
        return not self._draining and len(self._tasks) < self._limit and self._bytes + weight(size) <= MEMORY

    def start(self, message: Message) -> None:
        """Deliver a message that this worker owns."""
        self._bytes += weight(message.size)
        self._tasks[message.number] = asyncio.create_task(self._guarded(message))

    def wake(self) -> None:
        """Look for due mail now (a flush, a bounce was born)."""
        self._wake.set()

    def begin(self) -> None:
        """Start claiming due mail."""
        self._poller = asyncio.create_task(self._poll())

    async def retire(self, cut: asyncio.Event, seconds: float) -> None:
        """Stop claiming, let deliveries that have begun come to their end, until `cut`: what is broken off after the
        last dot comes twice. Others wait in the queue."""
        self._stop_claiming()
        self._remote.close_slots()
        cutting = asyncio.create_task(cut.wait())
        ending = asyncio.get_running_loop().time() + seconds
        while self._tasks and not cut.is_set() and (left := ending - asyncio.get_running_loop().time()) > 0:
            some = [*self._tasks.values(), cutting]
            await asyncio.wait(some, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        cutting.cancel()

    async def drain(self, seconds: float) -> None:
        """Stop claiming; give what is in hand some time. What is not finished is released by the caller."""
        self._stop_claiming()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)
        for number, task in list(self._tasks.items()):
            if number not in self._ending:
                task.cancel()
        if self._ending:
            await asyncio.wait([self._tasks[number] for number in self._ending], timeout=ENDING_SECONDS)

    def _stop_claiming(self) -> None:
        self._draining = True
        if self._poller is not None:
            self._poller.cancel()

    async def _poll(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), POLL)
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._claim()
            except (QueueFull, QueueBroken) as error:
                _log.warning("the queue cannot be read: %s", error)
            except Exception:
                # whatever it was, deferred mail must go on being looked for
                _log.exception("looking for due mail failed unexpectedly")

    async def _claim(self) -> None:
        while len(self._tasks) < self._limit and self._bytes < MEMORY:
            now = time.time()
            due = await self._queue.call(lambda store: store.next_due())
            if due is None or due > now:
                return
            room = MEMORY - self._bytes
            messages = await self._queue.claim(now, min(CLAIM, self._limit - len(self._tasks)), room)
            for message in messages:
                self._qmgr(f"{message.id}: from=<{quote(message.sender)}>, size={message.size}, "
                           f"nrcpt={len(message.recipients)} (queue active)")  # fmt: skip
                self.start(message)
            if not messages:
                return
            await asyncio.sleep(0)

    def _qmgr(self, text: str) -> None:
        self._log.line("qmgr", text)

    async def _guarded(self, message: Message) -> None:
        gone: set[int] = set()
        try:
            await self._deliver(message, gone)
        except ContentLost as error:
            _log.error("%s: its content is lost, the message stays in the queue: %s", message.id, error)
            await self._put_back(message, gone, LOST_WAIT, "its content is lost: see the log of the mail system")
        except (QueueFull, QueueBroken) as error:
            _log.error("%s: the queue cannot give what it takes: %s", message.id, error)
            await self._put_back(message, gone, 60, "queue file read error")
        except Exception:
            # one message must never take the worker down; it stays in the queue and is tried later
            _log.exception("%s: delivery failed unexpectedly; tried again later", message.id)
            await self._put_back(message, gone, 300, "internal error")
        finally:
            self._bytes -= weight(message.size)
            self._tasks.pop(message.number, None)
            self._ending.discard(message.number)

    async def _put_back(self, message: Message, gone: set[int], seconds: float, reason: str) -> None:
        """Let go of a message that this attempt could not bring to an end, but for recipients that have it."""
        at = time.time() + seconds
        later = tuple(_later(r, max(r.due, at), reason) for r in message.recipients if r.n not in gone)
        try:
            await self._queue.settle(Settlement(message.number, done=tuple(gone), later=later))
        except (QueueFull, QueueBroken) as error:
            _log.error("%s: cannot be put back: %s", message.id, error)

    async def _deliver(self, message: Message, gone: set[int]) -> None:
        """`gone`: gets the numbers of recipients that have it."""
        begun = time.time()
        content = message.content
        if content is None:
            try:
                content = await self._queue.content(message.number)
            except KeyError:
                _log.warning("%s: somebody has deleted it meanwhile", message.id)
                return
        ready = tuple(r for r in message.recipients if r.due <= begun)
        waiting = tuple(r for r in message.recipients if r.due > begun)
        work = Work(message, content, begun)
        early: list[asyncio.Future[None]] = []

        async def told(part: list[Ended]) -> list[Ended]:
            """Others may take long, and this process may die meanwhile: who has it leaves the queue at once."""
            done = [end for end in part if _plain(end)]
            if not done or len(gone) + len(done) >= len(message.recipients):
                return part
            await self._report(work, done)
            numbers = tuple(end.recipient.n for end in done)
            gone.update(numbers)
            early.append(self._queue.settle(Settlement(message.number, done=numbers, release=False)))
            return [end for end in part if end.recipient.n not in gone]

        ended = await self._route(work, ready, told)
        self._ending.add(message.number)
        ended = await self._report(work, [end for end in ended if end.recipient.n not in gone])
        gone.update(end.recipient.n for end in ended if _plain(end))
        settlement = await self._settler.settle(work, ended, waiting, time.time(), frozenset(gone))
        if early:
            # in this order also where the disk is full
            await asyncio.gather(*early)
        if isinstance(content, Stored):
            await self._queue.settle_large(settlement)
        else:
            await self._queue.settle(settlement)
        if settlement.finished:
            self._qmgr(f"{message.id}: removed")
        if settlement.messages:
            for child in settlement.messages:
                self._history.born(message.number, child)
            self.wake()

    async def _report(self, work: Work, ended: list[Ended]) -> list[Ended]:
        """The same as the log and the history tell them, after delivery_status_filter and soft_bounce."""
        message = work.message
        if self._status is not None:
            ended = [await self._status.ended(end) for end in ended]
        ended = [self._settler.softened(end) for end in ended]
        now = time.time()
        for end in ended:
            if not end.forwards:
                self._log.line(end.program, log_line(end, message, work.begun, now, self._digits))
                recipient, status = end.recipient, STATUS.get(type(end.outcome), "deferred")
                self._history.outcome(
                    message.number, status, end.address or recipient.address, recipient.original, end.outcome
                )
        return ended

    async def _route(self, work: Work, recipients: Sequence[Recipient], told: Told) -> list[Ended]:
        """Resolve each recipient, then deliver per route, all routes at once; `told` of each that ends before the
        others."""
        ended: list[Ended] = []
        local: list[Recipient] = []
        virtual: list[Recipient] = []
        remote: dict[tuple[str, str, str], list[Recipient]] = defaultdict(list)
        chosen = work.message.attributes.filter
        for recipient in recipients:
            resolved: Resolved | Deferred
            if chosen:
                resolved = self._resolver.filtered(recipient.address, chosen)
            else:
                resolved = await self._resolver.resolve(recipient.address, work.message.sender)
            if isinstance(resolved, Deferred):
                text = f"address resolver failure: {resolved.why}"
                ended.append(Ended(recipient, DeferredDelivery(text, "4.3.0"), "error"))
                continue
            if resolved.address != recipient.address:
                original = recipient.original or recipient.address
                recipient = msgspec.structs.replace(recipient, address=resolved.address, original=original)
            program = self._programs.program(resolved.transport)
            if program == "local" and self._nobody(recipient.address):
                ended.append(Ended(recipient, DISCARDED, "qmgr"))
                continue
            if program == "local" and self._ways_out is not None:
                way = await self._ways_out.find(recipient, resolved, work.message.sender, work.header)
                if isinstance(way, Deferred):
                    ended.append(
                        Ended(recipient, DeferredDelivery(f"table unavailable: {way.why}", "4.3.0"), "local")
                    )
                    continue
                if isinstance(way, Forward):
                    done = Delivered("forwarded", relay="local")
                    ended.append(Ended(recipient, done, "local", part=True, forwards=(way.address,)))
                    continue
                recipient, resolved = way
                program = self._programs.program(resolved.transport)
            if program == "local":
                local.append(recipient)
            elif program == "virtual":
                virtual.append(recipient)
            elif program in AT_ONCE:
                ended.append(_at_once(recipient, resolved, program))
            else:
                remote[program, resolved.transport, resolved.nexthop].append(recipient)
        routes = [
            self._safely(work, self._remote.deliver(work, program, transport, nexthop, some, told), some)
            for (program, transport, nexthop), some in remote.items()
        ]
        if local or virtual:
            boxes = repeated(self._mailboxes, work, local, virtual, told)
            routes.append(self._safely(work, boxes, (*local, *virtual)))
        if len(routes) == 1:
            return ended + await routes[0]

        async def one(route: Awaitable[list[Ended]]) -> list[Ended]:
            return await told(await route)

        for part in await asyncio.gather(*(one(route) for route in routes)):
            ended += part
        return ended

    async def _safely(
        self, work: Work, route: Awaitable[list[Ended]], recipients: Sequence[Recipient]
    ) -> list[Ended]:
        """A route that fails by a fault of ours must not hide what has become of the others."""
        try:
            return await route
        except Exception:
            _log.exception("%s: delivery failed unexpectedly; tried again later", work.message.id)
            return [Ended(r, DeferredDelivery("internal error", "4.3.0"), "error") for r in recipients]

    async def _member(self, work: Work, recipient: Recipient, resolved: Resolved) -> list[Ended]:
        """A member of an alias whose mail does not go into the mailbox."""
        program = self._programs.program(resolved.transport)
        if program in AT_ONCE:
            return [_at_once(recipient, resolved, program)]
        return await self._remote.deliver(work, program, resolved.transport, resolved.nexthop, [recipient])


def _plain(end: Ended) -> bool:
    """Whether this recipient has it, and nothing else has to be done about that."""
    delivered = isinstance(end.outcome, Delivered) and not end.part and not end.forwards
    return delivered and "SUCCESS" not in end.recipient.notify


def _at_once(recipient: Recipient, resolved: Resolved, program: str) -> Ended:
    """The transports that ask nobody."""
    outcome = AT_ONCE[program](resolved.nexthop)
    return Ended(recipient, outcome, program)


def _later(recipient: Recipient, due: float, reason: str) -> Recipient:
    return msgspec.structs.replace(recipient, due=due, reason=reason, enhanced="4.3.0")
