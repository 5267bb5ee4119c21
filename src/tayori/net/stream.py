"""One connection as bytes: reading with a time limit, writing, TLS at any moment. No SMTP here.

TLS runs over memory BIOs (net/tls.py), so STARTTLS changes nothing but the pump: the socket and its
transport stay. The stream never buffers more than HIGH_WATER bytes that nobody has read.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

from tayori.net.tls import TlsContext, TlsEngine, TlsError, TlsSession
from tayori.net.unixpath import short

HIGH_WATER = 256 * 1024
FAREWELL = 30.0
CROWDED_SECONDS = 0.05
_CREDENTIALS = struct.Struct("3i")


class Stream(asyncio.Protocol):
    """A connection. `timeout` (seconds) bounds each read, drain and handshake; it may be changed at any time.

    `local`: our own address, where the listener knows it. Methods raise TimeoutError when the limit passes,
    ConnectionError when the peer is gone while writing, TlsError when a handshake fails. `read` gives b"" at the end
    of the input.
    """

    def __init__(
        self,
        on_connect: Callable[[Stream], None] | None = None,
        timeout: float = 300.0,
        local: tuple[str, int] | None = None,
    ) -> None:
        self.timeout = timeout
        self.peer: tuple[str, int] = ("", 0)
        self.local: tuple[str, int] = local or ("", 0)
        self.tls: TlsSession | None = None
        self.tls_wanted = False
        self.lost = False
        self._loop = asyncio.get_running_loop()
        self._on_connect = on_connect
        self._transport: asyncio.Transport | None = None
        self._buffer: list[bytes] = []
        self._size = 0
        self._eof = False
        self._paused = False
        self._reader: asyncio.Future[bytes] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._engine: TlsEngine | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands."""
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _address(transport.get_extra_info("peername"))
        if not self.local[0]:
            self.local = _address(transport.get_extra_info("sockname"))
        if self._on_connect is not None:
            self._on_connect(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        reader = self._reader
        if reader is not None and not self._buffer:
            self._reader = None
            if not reader.done():
                reader.set_result(data)
                return
        self._buffer.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """asyncio: the peer will send no more; what we still have to say goes out."""
        self._eof = True
        self._no_more()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone."""
        self.lost = self._eof = True
        self._no_more()
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        """asyncio: the peer reads too slowly."""
        if self._writer is None:
            self._writer = self._loop.create_future()

    def resume_writing(self) -> None:
        """asyncio: the peer has caught up."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)
        self._writer = None

    def _no_more(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(b"")

    def _expire(self) -> None:
        self._timer = None
        waiting = self._reader
        if waiting is None or waiting.done():
            return
        left = self._deadline - self._loop.time()
        if left > 0.001:
            self._timer = self._loop.call_later(left, self._expire)
        else:
            self._reader = None
            waiting.set_exception(TimeoutError())

    def _raw(self) -> asyncio.Future[bytes]:
        """A future rather than a coroutine: what comes wakes the reader without a frame between."""
        loop = self._loop
        reader = loop.create_future()
        if self._buffer or self._eof:
            reader.set_result(self._taken())
            return reader
        self._deadline = loop.time() + self.timeout
        if self._timer is None:
            self._timer = loop.call_later(self.timeout, self._expire)
        elif self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = loop.call_later(self.timeout, self._expire)
        self._reader = reader
        return reader

    def _taken(self) -> bytes:
        if not self._buffer:
            return b""
        data = self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer)
        self._buffer.clear()
        self._size = 0
        self._resume()
        return data

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self.lost:
            self._paused = False
            self._transport.resume_reading()

    def read(self) -> Awaitable[bytes]:
        """The next bytes, decrypted; b"" at the end. To be awaited at once, by one reader at a time."""
        return self._raw() if self._engine is None else self._decrypted(self._engine)

    async def _decrypted(self, engine: TlsEngine) -> bytes:
        while True:
            data = engine.receive()
            if data is not None:
                return data
            self._flush_tls()
            raw = await self._raw()
            if not raw:
                return b""
            engine.feed(raw)

    def peer_uid(self) -> int:
        """The user number of a Unix socket's peer (SO_PEERCRED); -1 when it cannot be told."""
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        if sock is None:
            return -1
        _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return int(uid)

    def hung_up(self) -> bool:
        """Whether the peer has closed its end by now, though what it sent before may be unread yet."""
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        if self.lost or self._eof or sock is None:
            return True
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    def pending(self) -> bool:
        """Whether bytes have come that nobody has read (reject_unauth_pipelining, STARTTLS)."""
        return bool(self._buffer)

    def discard(self) -> int:
        """Throw away what has come and was not read (RFC 3207 4.2); how many bytes that was."""
        dropped = self._size
        self._buffer.clear()
        self._size = 0
        self._resume()
        return dropped

    def write(self, data: bytes) -> None:
        """Send, without waiting. Quietly nothing after the peer has gone."""
        if self._transport is None or self.lost:
            return
        if self._engine is None:
            self._transport.write(data)
        else:
            self._engine.send(data)
            self._flush_tls()

    def _flush_tls(self) -> None:
        if self._engine is not None and self._transport is not None and not self.lost:
            data = self._engine.outgoing()
            if data:
                self._transport.write(data)

    @property
    def clogged(self) -> bool:
        """Whether the peer is behind with reading: `drain` would wait."""
        return self._writer is not None and not self.lost

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was written. Raises TimeoutError, ConnectionError."""
        if self._writer is not None:
            await asyncio.wait_for(asyncio.shield(self._writer), self.timeout)
        if self.lost:
            raise ConnectionResetError("the peer closed the connection")

    async def start_tls(self, context: TlsContext, server_side: bool, server_hostname: str = "") -> TlsSession:
        """Do a TLS handshake now. Raises TlsError, TimeoutError. Unread clear bytes must be discarded first."""
        engine = context.engine(server_side, server_hostname)
        deadline = self._loop.time() + self.timeout
        while not engine.handshake():
            self._send_raw(engine.outgoing())
            if self._loop.time() > deadline:
                raise TimeoutError
            raw = await self._raw()
            if not raw:
                raise TlsError("the peer closed the connection during the handshake")
            engine.feed(raw)
        self._send_raw(engine.outgoing())
        self._engine = engine
        self.tls = engine.session()
        return self.tls

    def _send_raw(self, data: bytes) -> None:
        if data and self._transport is not None and not self.lost:
            self._transport.write(data)

    def close(self) -> None:
        """Send what is written, then close; a peer that does not take it within FAREWELL seconds loses it."""
        if self._engine is not None:
            self._engine.close()
            self._flush_tls()
        if self._transport is not None:
            if self._transport.get_write_buffer_size() and not self.lost:
                self._loop.call_later(FAREWELL, self._transport.abort)
            self._transport.close()

    def write_eof(self) -> None:
        """Say that nothing more will come; reading goes on."""
        if self._transport is not None and not self.lost and self._engine is None and self._transport.can_write_eof():
            self._transport.write_eof()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


def bound(sock: socket.socket) -> tuple[str, int] | None:
    """Where connections to a listening socket arrive; None when it takes those of several addresses."""
    host, port = _address(sock.getsockname())
    return None if host in ("", "0.0.0.0", "::") else (host, port)


def _address(name: object) -> tuple[str, int]:
    if isinstance(name, tuple) and len(name) >= 2:
        host = str(name[0])
        if host.startswith("::ffff:") and "." in host:
            host = host[7:]
        return host.partition("%")[0], int(name[1])
    return "", 0


async def connect(host: str, port: int, *, timeout: float, source_address: str = "") -> Stream:
    """Connect to an address (no name look-up happens here). Raises OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    local = (source_address, 0) if source_address else None
    _, protocol = await asyncio.wait_for(
        loop.create_connection(lambda: Stream(timeout=timeout), host, port, local_addr=local), timeout
    )
    return protocol


async def connect_unix(path: str, *, timeout: float) -> Stream:
    """Connect to a Unix stream socket. Raises OSError, TimeoutError. One that has too many waiting is asked again."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout
    while True:
        try:
            with short(path) as name:
                _, protocol = await asyncio.wait_for(
                    loop.create_unix_connection(lambda: Stream(timeout=timeout), name), timeout
                )
        except BlockingIOError:  # the kernel does not wait for room as it does with TCP
            if loop.time() > until:
                raise
            await asyncio.sleep(CROWDED_SECONDS)
        else:
            return protocol


def no_delay(sock: socket.socket) -> None:
    """Turn Nagle's algorithm off: replies are small and must not wait."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
