"""The pipe process: runs commands with their users' rights: those of master.cf's pipe services (pipe(8)), and those
of aliases and .forward files (special.py).

A worker has given up the rights that this needs, and it should not fork. One connection is one delivery: a request
frame and a content frame in, an answer frame out.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Hashable, Iterable
from typing import Protocol

import msgspec

from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.pipe import PipeAgent, pipe_agent
from tayori.delivery.smtp_job import Attempt
from tayori.net.listen import BACKLOG
from tayori.net.stream import Stream, connect_unix
from tayori.programs import ipc
from tayori.programs.daemons.layout import Layout
from tayori.programs.daemons.local_client import LocalAgent
from tayori.programs.daemons.member import Start, encoded
from tayori.programs.daemons.once import Once
from tayori.programs.daemons.special import Order, Special
from tayori.queue.content import Content, Unreadable, close, opened
from tayori.queue.model import Attributes, Recipient
from tayori.queue.threads import in_thread
from tayori.rewrite.aliases import Aliases
from tayori.rewrite.classes import Classes
from tayori.rewrite.keys import Finder
from tayori.rewrite.results import Deferred
from tayori.tables.registry import Tables

_log = logging.getLogger("tayori.pipe")
_OUTCOMES: dict[str, type[Delivered] | type[DeferredDelivery] | type[BouncedDelivery]] = {
    "sent": Delivered,
    "deferred": DeferredDelivery,
    "bounced": BouncedDelivery,
}
_WORDS = {kind: word for word, kind in _OUTCOMES.items()}
CONNECT_SECONDS = 10.0
ORDER_SECONDS = 7200.0
"""Commands have their own time limit (command_time_limit); this one only catches a stuck process."""
STOP_SECONDS = 5.0
SETTLE_SECONDS = 0.05


class Job(msgspec.Struct, frozen=True):
    """One delivery, as the worker asks for it. `size` above 0: the message is the last `size` bytes of its content
    file, and the content frame is empty. `start`: only an expansion is asked for; `order`: one of special.py. Both in
    msgpack."""

    transport: str
    nexthop: str
    sender: str
    queue_id: str
    recipients: tuple[Recipient, ...]
    attributes: Attributes
    size: int = 0
    start: bytes = b""
    order: bytes = b""


Row = tuple[str, str, str, str, str]
"""An outcome on its way: word, text, enhanced, relay, what the command said."""


class Answer(msgspec.Struct, frozen=True):
    """`outcomes` by delivery number; of an expansion its `leaves`, or the `trouble` that there is."""

    outcomes: dict[int, Row]
    leaves: bytes = b""
    trouble: str = ""


GetContent = Callable[[Job, bytes], Content]
"""What a job is about: its frame, or its content file. Raises Unreadable."""
_job = msgspec.msgpack.Decoder(Job).decode
_answer = msgspec.msgpack.Decoder(Answer).decode
_start = msgspec.msgpack.Decoder(Start).decode
_order = msgspec.msgpack.Decoder(Order).decode


class Runner(Protocol):
    """delivery.pipe.PipeAgent, a client of this process, or the one that only says why not."""

    async def deliver(
        self,
        nexthop: str,
        sender: str,
        content: Content,
        recipients: Iterable[Recipient],
        attributes: Attributes | None = None,
        queue_id: str = "",
    ) -> Attempt:
        """One outcome per recipient."""
        ...

    def close(self) -> None:
        """Nothing is kept."""
        ...


class Unavailable:
    """A pipe service that cannot run here; each delivery says why and waits, as with Postfix."""

    def __init__(self, why: str) -> None:
        self.why = why

    async def deliver(
        self,
        nexthop: str,
        sender: str,
        content: Content,
        recipients: Iterable[Recipient],
        attributes: Attributes | None = None,
        queue_id: str = "",
    ) -> Attempt:
        """Deferred, all of them; the log gets the reason, mailq a word."""
        _log.warning("%s: %s", queue_id, self.why)
        outcome = DeferredDelivery("mail system configuration error", "4.3.5", "pipe")
        return Attempt({r.n: outcome for r in recipients})

    def close(self) -> None:
        """Nothing is kept."""


class PipeClient:
    """The worker's side: asks the pipe process."""

    def __init__(self, path: str, transport: str) -> None:
        self._path = path
        self._transport = transport

    async def deliver(
        self,
        nexthop: str,
        sender: str,
        content: Content,
        recipients: Iterable[Recipient],
        attributes: Attributes | None = None,
        queue_id: str = "",
    ) -> Attempt:
        """Deferred when the process cannot be reached or dies; the command may then have run."""
        everyone = tuple(recipients)
        data, size = (content, 0) if isinstance(content, bytes) else (b"", len(content))
        job = Job(self._transport, nexthop, sender, queue_id, everyone, attributes or Attributes(), size)
        try:
            stream = await connect_unix(self._path, timeout=CONNECT_SECONDS)
            try:
                stream.timeout = ORDER_SECONDS
                stream.write(ipc.pack(msgspec.msgpack.encode(job)) + ipc.pack(data))
                answer = await read_answer(stream)
                return Attempt({n: outcome_of(row) for n, row in answer.outcomes.items()})
            finally:
                stream.close()
        except (OSError, TimeoutError, ipc.BadFrame, msgspec.DecodeError, KeyError) as error:
            why = DeferredDelivery(f"the pipe process does not answer: {error}", "4.3.0", "pipe")
            return Attempt({r.n: why for r in everyone})

    def close(self) -> None:
        """Nothing is kept."""


def outcome_of(row: Row) -> DeliveryOutcome:
    """Raises KeyError."""
    return _OUTCOMES[row[0]](*row[1:4], unix=row[4])


async def read_answer(stream: Stream) -> Answer:
    """The answer to one job. Raises OSError, BadFrame, DecodeError."""
    frames = ipc.Frames()
    while True:
        chunk = await stream.read()
        if not chunk:
            raise ConnectionResetError("it closed the connection")
        for frame in frames.feed(chunk):
            return _answer(frame)


def agents(settings: Settings, services: Iterable[Service]) -> dict[str, Runner]:
    """The pipe services that run in this process; one that cannot is there with its reason."""
    found: dict[str, Runner] = {}
    for service in services:
        if service.kind == "inet" or service.command != "pipe":
            continue
        try:
            agent: PipeAgent = pipe_agent(service.settings(settings), service.name, service.args, service.origin)
            found[service.name] = agent
        except ConfigError as error:
            found[service.name] = Unavailable(str(error))
    return found


def run(
    listener: socket.socket, settings: Settings, services: Iterable[Service], allowed_uids: set[int], owner: int
) -> None:
    """Serve until SIGTERM; commands that run then are waited for by nobody, their mail is tried again. SIGUSR1:
    another process has taken over, only what has begun is done. `owner`: whose the queue's files are."""
    contents = str(Layout.of(settings).queue / "content")

    def content(job: Job, data: bytes) -> Content:
        return opened(f"{contents}/{int(job.queue_id, 16):X}", job.size, owner) if job.size else data

    tables = Tables(settings)
    classes = Classes(settings, tables)
    local = LocalAgent(str(Layout.of(settings).local_socket))
    special = Special(settings, tables, Aliases(settings, tables, classes), Finder(settings, classes.is_local), local)
    asyncio.run(_serve(listener, agents(settings, services), special, allowed_uids, content))


async def _serve(
    listener: socket.socket, found: dict[str, Runner], special: Special, allowed_uids: set[int], content: GetContent
) -> None:
    loop = asyncio.get_running_loop()
    end, cut = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        end.set()
        cut.set()

    loop.add_signal_handler(signal.SIGUSR1, end.set)
    loop.add_signal_handler(signal.SIGTERM, stop)
    tasks: set[asyncio.Task[None]] = set()
    once = Once(_sent)

    def connected(stream: Stream) -> None:
        if stream.peer_uid() not in allowed_uids:
            stream.abort()
            return
        task = loop.create_task(_one(stream, found, special, content, once))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    # create_unix_server would remove the name when it is closed (Python 3.13), which the next process needs
    server = await loop.create_server(lambda: Stream(connected, 60.0), sock=listener, backlog=BACKLOG)
    await end.wait()
    server.close()
    # connections that were taken in this very moment
    await asyncio.sleep(SETTLE_SECONDS)
    cutting = loop.create_task(cut.wait())
    while tasks and not cut.is_set():
        await asyncio.wait((*tasks, cutting), return_when=asyncio.FIRST_COMPLETED)
    cutting.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_SECONDS)


def _sent(answer: Answer) -> bool:
    """Whether it must not be done again."""
    return bool(answer.outcomes) and all(row[0] == "sent" for row in answer.outcomes.values())


async def _one(
    stream: Stream, found: dict[str, Runner], special: Special, content: GetContent, once: Once[Answer]
) -> None:
    frames = ipc.Frames()
    got: list[bytes] = []
    data: Content = b""
    try:
        while len(got) < 2:
            chunk = await stream.read()
            if not chunk:
                return
            got.extend(frames.feed(chunk))
        job = _job(got[0])
        agent = found.get(job.transport) or Unavailable(f"there is no pipe service {job.transport}")
        data = await in_thread(content, job, got[1])
        if stream.hung_up():
            # the worker is dead: another has the message by now and asks anew
            return
        if job.start:
            answer = await _expanded(job, special)
        elif job.order:
            order = _order(job.order)
            answer = await once.do(
                _key_of(order), stream.hung_up, lambda wanted: _ordered(order, special, data, wanted)
            )
        else:
            who = tuple((recipient.n, recipient.origin, recipient.address) for recipient in job.recipients)
            key = (job.queue_id, job.transport, job.nexthop, who)
            answer = await once.do(key, stream.hung_up, lambda _: _piped(job, agent, data))
        stream.write(ipc.pack(msgspec.msgpack.encode(answer)))
        await stream.drain()
    except (ipc.BadFrame, msgspec.DecodeError, OSError, TimeoutError, Unreadable, ValueError) as error:
        _log.warning("a delivery was given up: %s", error)
    finally:
        close(data)
        stream.close()


def _key_of(order: Order) -> Hashable:
    """The same at every attempt."""
    recipient = order.recipient
    return order.number, recipient.origin or recipient.n, encoded(order.start, order.leaf)


async def _ordered(order: Order, special: Special, data: Content, wanted: Callable[[], bool]) -> Answer:
    return Answer({0: _row(await special.run(order, data, wanted))})


async def _piped(job: Job, agent: Runner, data: Content) -> Answer:
    attempt = await agent.deliver(
        job.nexthop, job.sender, data, job.recipients, job.attributes, queue_id=job.queue_id
    )
    return Answer({n: _row(outcome) for n, outcome in attempt.items()})


async def _expanded(job: Job, special: Special) -> Answer:
    """Raises DecodeError."""
    leaves = await special.expand(_start(job.start))
    if isinstance(leaves, Deferred):
        return Answer({}, trouble=leaves.why)
    return Answer({}, msgspec.msgpack.encode(leaves))


def _row(outcome: DeliveryOutcome) -> Row:
    return _WORDS[type(outcome)], outcome.text, outcome.enhanced, outcome.relay, outcome.unix
