"""The pipe process: runs the commands of master.cf's pipe services with their users' rights (pipe(8)).

It exists only where the master is root and master.cf has such services: a worker has given up the rights that
`user=` needs. One connection is one delivery: a request frame and a content frame in, an answer frame out.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.pipe import PipeAgent, pipe_agent
from tayori.delivery.smtp_job import Attempt
from tayori.net.stream import Stream, connect_unix
from tayori.programs import ipc
from tayori.programs.daemons.layout import Layout
from tayori.queue.content import Content, Unreadable, close, opened
from tayori.queue.model import Attributes, Recipient
from tayori.queue.threads import in_thread

_log = logging.getLogger("tayori.pipe")
_OUTCOMES: dict[str, type[Delivered] | type[DeferredDelivery] | type[BouncedDelivery]] = {
    "sent": Delivered,
    "deferred": DeferredDelivery,
    "bounced": BouncedDelivery,
}
_WORDS = {kind: word for word, kind in _OUTCOMES.items()}
CONNECT_SECONDS = 10.0


class Job(msgspec.Struct, frozen=True):
    """One delivery, as the worker asks for it. `size` above 0: the message is the last `size` bytes of its content
    file, and the content frame is empty."""

    transport: str
    nexthop: str
    sender: str
    queue_id: str
    recipients: tuple[Recipient, ...]
    attributes: Attributes
    size: int = 0


class Answer(msgspec.Struct, frozen=True):
    """n -> (word, text, enhanced, relay)."""

    outcomes: dict[int, tuple[str, str, str, str]]


GetContent = Callable[[Job, bytes], Content]
"""What a job is about: its frame, or its content file. Raises Unreadable."""
_job = msgspec.msgpack.Decoder(Job).decode
_answer = msgspec.msgpack.Decoder(Answer).decode


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
                # commands have their own time limit (command_time_limit); this one only catches a stuck process
                stream.timeout = 7200.0
                stream.write(ipc.pack(msgspec.msgpack.encode(job)) + ipc.pack(data))
                return Attempt({n: _OUTCOMES[row[0]](*row[1:]) for n, row in (await _read(stream)).outcomes.items()})
            finally:
                stream.close()
        except (OSError, TimeoutError, ipc.BadFrame, msgspec.DecodeError, KeyError) as error:
            why = DeferredDelivery(f"the pipe process does not answer: {error}", "4.3.0", "pipe")
            return Attempt({r.n: why for r in everyone})

    def close(self) -> None:
        """Nothing is kept."""


async def _read(stream: Stream) -> Answer:
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
    """Serve until SIGTERM; commands that run then are waited for by nobody, their mail is tried again. `owner`: whose
    the queue's files are."""
    contents = str(Layout.of(settings).queue / "content")

    def content(job: Job, data: bytes) -> Content:
        return opened(f"{contents}/{int(job.queue_id, 16):X}", job.size, owner) if job.size else data

    asyncio.run(_serve(listener, agents(settings, services), allowed_uids, content))


async def _serve(
    listener: socket.socket, found: dict[str, Runner], allowed_uids: set[int], content: GetContent
) -> None:
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    tasks: set[asyncio.Task[None]] = set()

    def connected(stream: Stream) -> None:
        if stream.peer_uid() not in allowed_uids:
            stream.abort()
            return
        task = loop.create_task(_one(stream, found, content))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await loop.create_unix_server(lambda: Stream(connected, 60.0), sock=listener)
    await end.wait()
    server.close()
    if tasks:
        await asyncio.wait(tasks, timeout=5.0)


async def _one(stream: Stream, found: dict[str, Runner], content: GetContent) -> None:
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
        attempt = await agent.deliver(
            job.nexthop, job.sender, data, job.recipients, job.attributes, queue_id=job.queue_id
        )
        answer = Answer({n: _row(outcome) for n, outcome in attempt.items()})
        stream.write(ipc.pack(msgspec.msgpack.encode(answer)))
        await stream.drain()
    except (ipc.BadFrame, msgspec.DecodeError, OSError, TimeoutError, Unreadable, ValueError) as error:
        _log.warning("a delivery was given up: %s", error)
    finally:
        close(data)
        stream.close()


def _row(outcome: DeliveryOutcome) -> tuple[str, str, str, str]:
    return _WORDS[type(outcome)], outcome.text, outcome.enhanced, outcome.relay
