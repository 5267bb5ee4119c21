"""Sessions with a next hop: one that is open, and the idle ones that may be used again.

Reuse saves a connection, a greeting and a handshake per message, most of what a small delivery costs. An idle session
is kept for `smtp_connection_cache_time_limit`, no longer than `smtp_connection_reuse_time_limit` in all; at most
MAX_IDLE are kept, the oldest goes first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from tayori.delivery.mx import Target
from tayori.delivery.reply_filter import ReplyFilter
from tayori.net.tls import TlsContext, TlsError, TlsSession
from tayori.protocol.smtp_client import Client
from tayori.protocol.smtp_client_values import ClientOptions, Event, Stage

MAX_IDLE = 100
PIECE = 65536


class Wire(Protocol):
    """What a session needs of net.stream.Stream."""

    timeout: float
    tls: TlsSession | None

    def read(self) -> Awaitable[bytes]:
        """Bytes, b"" at the end. Raises TimeoutError."""
        ...

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    async def drain(self) -> None:
        """Wait for the peer. Raises TimeoutError, ConnectionError."""
        ...

    async def start_tls(self, context: TlsContext, server_side: bool, server_hostname: str = "") -> TlsSession:
        """Handshake. Raises TlsError, TimeoutError."""
        ...

    def pending(self) -> bool:
        """Whether unread bytes have come."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class Session:
    """One connection and the machine that speaks on it."""

    def __init__(
        self,
        wire: Wire,
        target: Target,
        options: ClientOptions,
        timeouts: dict[Stage, int],
        now: float,
        replies: ReplyFilter | None = None,
    ) -> None:
        self.wire = wire
        self.target = target
        self.client = Client(options)
        self.clean = True
        self.used = 0
        self.born = now
        self._timeouts = timeouts
        self._replies = replies

    async def step(self) -> list[Event]:
        """Send what is to be sent, then wait for events. Raises TimeoutError; a lost peer is a Lost event."""
        self.flush()
        self.wire.timeout = self._timeouts.get(self.client.stage, 300)
        while True:
            try:
                data = await self.wire.read()
                if data and self._replies is not None:
                    data = await self._replies.feed(data)
                    if not data:
                        continue
            except (ConnectionError, TlsError):
                data = b""
            events = self.client.receive(data)
            if events or self.client.over:
                return events
            self.flush()
            self.wire.timeout = self._timeouts.get(self.client.stage, 300)

    def flush(self) -> None:
        """Send what the machine has to say."""
        data = self.client.outgoing()
        if data:
            self.wire.write(data)

    async def send_content(self, content: bytes | AsyncIterator[bytes]) -> None:
        """Content in wire form and the final dot, in pieces. Raises TimeoutError, and what the iterator does."""
        self.wire.timeout = self._timeouts[Stage.BODY]
        try:
            if not isinstance(content, bytes):
                async for piece in content:
                    self.client.content(piece, last=False)
                    self.flush()
                    await self.wire.drain()
                content = b""
            for at in range(0, len(content), PIECE):
                last = at + PIECE >= len(content)
                self.client.content(content[at : at + PIECE], last)
                self.flush()
                await self.wire.drain()
            if not content:
                self.client.content(b"")
                self.flush()
        except ConnectionError:
            # the next read says so too, and with it whatever the server had to say before it went
            return

    async def secure(self, context: TlsContext, server_name: str) -> None:
        """Do the handshake after StartTls. Raises TlsError, TimeoutError."""
        if self.wire.pending() or self.client.clear_pending():
            raise TlsError("bytes in the clear came after the reply to STARTTLS")
        self.wire.timeout = self._timeouts[Stage.STARTTLS]
        await self.wire.start_tls(context, False, server_name)
        self.client.secured()

    def close(self, *, quit_first: bool = True) -> None:
        """QUIT without waiting for the answer (smtp_skip_quit_response), then close."""
        if quit_first and not self.client.over:
            self.client.quit()
            self.flush()
        self.wire.close()


Key = tuple[str, ...]


class Cache:
    """Idle sessions by key (transport, next hop, and all else that must be the same)."""

    def __init__(self, time_limit: float, clock: Callable[[], float], most: int = MAX_IDLE) -> None:
        """`time_limit` seconds, 0 keeps nothing; `clock` is monotonic."""
        self._limit = time_limit
        self._clock = clock
        self._most = most
        self._idle: OrderedDict[int, tuple[Key, Session, float]] = OrderedDict()
        self._by_key: dict[Key, list[int]] = {}
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, key: Key) -> Session | None:
        """An idle session, the one used last first; None when there is none. A closed or noisy one is dropped."""
        while numbers := self._by_key.get(key):
            session = self._remove(numbers[-1])
            if not session.wire.pending() and not session.client.over:
                return session
            session.close(quit_first=False)
        return None

    def put(self, key: Key, session: Session) -> None:
        """Keep an idle session, or close it when none are kept."""
        if self._limit <= 0 or not session.client.idle:
            session.close()
            return
        self._next += 1
        self._idle[self._next] = key, session, self._clock() + self._limit
        self._by_key.setdefault(key, []).append(self._next)
        if len(self._idle) > self._most:
            self._remove(next(iter(self._idle))).close()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._limit, self._expire)

    def close(self) -> None:
        """Close all."""
        while self._idle:
            self._remove(next(iter(self._idle))).close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _remove(self, number: int) -> Session:
        key, session, _ = self._idle.pop(number)
        numbers = self._by_key[key]
        numbers.remove(number)
        if not numbers:
            del self._by_key[key]
        return session

    def _expire(self) -> None:
        self._timer = None
        now = self._clock()
        while self._idle:
            number, (_, _, end) = next(iter(self._idle.items()))
            if end > now:
                self._timer = asyncio.get_running_loop().call_later(max(0.05, end - now), self._expire)
                return
            self._remove(number).close()
