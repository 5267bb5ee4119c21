"""The worker's side of the local delivery process: many deliveries at once over one connection.

Writes of one turn of the event loop leave together; answers come in any order. When the process dies every call in
flight raises AgentLost, and the caller repeats with `recovered=True`.
"""

from __future__ import annotations

import asyncio

import msgspec

from tayori.delivery.request import Deliver, Done, Result, Target
from tayori.net.unixpath import short
from tayori.programs import ipc
from tayori.queue.content import Content

PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)
"""Seconds before each attempt to connect; after the last the delivery is given up for now."""
BUFFER = 4 << 20
"""Bytes that may wait unsent before further deliveries wait."""

_DONE = msgspec.msgpack.Decoder(Done)


class AgentLost(Exception):
    """The local process went away, or cannot be reached: what became of the delivery is not known."""


class LocalAgent:
    """One connection to the Unix socket at `path`, opened when first needed and again when lost."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._link: _Link | None = None
        self._calls: dict[int, asyncio.Future[tuple[Result, ...]]] = {}
        self._seq = 0
        self._out: list[bytes] = []
        self._room = asyncio.Event()
        self._room.set()

    async def deliver(
        self, number: int, content: Content, targets: tuple[Target, ...], recovered: bool
    ) -> tuple[Result, ...]:
        """Deliver one message into mailboxes; one Result per target, in no particular order. Raises AgentLost. Large
        content must lie in the content file of `number`."""
        while self._transport is None or not self._room.is_set():
            if self._transport is None:
                await self._connect()
            else:
                await self._room.wait()
        self._seq += 1
        seq = self._seq
        answer: asyncio.Future[tuple[Result, ...]] = asyncio.get_running_loop().create_future()
        self._calls[seq] = answer
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        request = (
            Deliver(seq, number, content, targets, recovered)
            if isinstance(content, bytes)
            else Deliver(seq, number, b"", targets, recovered, len(content))
        )
        self._out.append(ipc.pack(ipc.encode(request)))
        try:
            return await answer
        finally:
            self._calls.pop(seq, None)

    def close(self) -> None:
        """End the connection; calls in flight raise AgentLost."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            link = self._link
            self._lost(link, "closed")
            # nothing may reach the local process any more: others may be given what was asked for
            link.transport.abort()

    async def _connect(self) -> None:
        """Connect once for all who wait."""
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._dial())
        task = self._connecting
        try:
            await asyncio.shield(task)
        finally:
            if task.done() and self._connecting is task:
                self._connecting = None

    async def _dial(self) -> None:
        why = ""
        for pause in PAUSES:
            await asyncio.sleep(pause)
            try:
                with short(self._path) as name:
                    await asyncio.get_running_loop().create_unix_connection(lambda: _Link(self), name)
                return
            except OSError as error:
                why = error.strerror or str(error)
        raise AgentLost(f"cannot connect to the local delivery process at {self._path}: {why}")

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and out:
            self._transport.write(b"".join(out))

    def _lost(self, link: _Link, why: str) -> None:
        if link is not self._link:
            return
        self._link = self._transport = None
        self._out = []
        self._room.set()
        calls, self._calls = self._calls, {}
        for answer in calls.values():
            if not answer.done():
                answer.set_exception(AgentLost(f"the local delivery process went away: {why}"))

    def _made(self, link: _Link) -> None:
        self._link = link
        self._transport = link.transport
        self._room.set()

    def _answered(self, payload: bytes) -> None:
        done = _DONE.decode(payload)
        answer = self._calls.get(done.seq)
        if answer is not None and not answer.done():
            answer.set_result(done.outcomes)


class _Link(asyncio.Protocol):
    """One connection of a LocalAgent; an old one's end does not touch the next."""

    transport: asyncio.Transport

    def __init__(self, agent: LocalAgent) -> None:
        self._agent = agent
        self._frames = ipc.Frames()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio.Protocol."""
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=BUFFER)
        self._agent._made(self)

    def data_received(self, data: bytes) -> None:
        """asyncio.Protocol: answers."""
        try:
            for payload in self._frames.feed(data):
                self._agent._answered(payload)
        except (ipc.BadFrame, msgspec.DecodeError) as error:
            self._agent._lost(self, str(error))
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio.Protocol."""
        self._agent._lost(self, str(exc) if exc else "connection closed")

    def pause_writing(self) -> None:
        """asyncio.Protocol."""
        self._agent._room.clear()

    def resume_writing(self) -> None:
        """asyncio.Protocol."""
        self._agent._room.set()
