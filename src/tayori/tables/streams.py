"""Servers asked over a socket by the loop itself: connections kept open, one exchange at a time on each.

Contract: an exchange ends within the time limit or raises Unreachable; a kept connection that turns out to be dead is
replaced once; after a server could not be reached, exchanges fail at once for BREAK_SECONDS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

log = logging.getLogger("tayori.tables")

MAX_CONNECTIONS = 16
MAX_WAITING = 1024
IDLE_SECONDS = 60.0
BREAK_SECONDS = 5.0
CONNECT_SECONDS = 10.0
READ_LIMIT = 256 * 1024

T = TypeVar("T")
Reader = Callable[[asyncio.StreamReader], Awaitable[T]]


class Unreachable(Exception):
    """No answer, or none that makes sense. The text is for the log."""


def parse_endpoint(text: str) -> tuple[str, str]:
    """`inet:host:port`, `host:port` or `unix:/path`: (host, port) or ("", path). Raises ValueError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError("the path of the socket is missing")
        return "", path
    host, colon, port = text.removeprefix("inet:").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port or not host:
        raise ValueError(f'"{text}" is not host:port or unix:/path')
    return host, port


def answer_text(raw: bytes) -> str:
    """A value up to a null byte. Raises ValueError for one that is no UTF-8."""
    try:
        return raw.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        raise ValueError("the value found is not valid UTF-8") from None


class StreamPool:
    """Connections to one server."""

    def __init__(self, name: str, endpoint: tuple[str, str], limit: float, clock: Callable[[], float]) -> None:
        self._name = name
        self._host, self._port = endpoint
        self._limit = limit
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._waiting = 0
        self._broken_until = 0.0
        self._why = ""

    async def exchange(self, request: bytes, read: Reader[T]) -> T:
        """Send and read one answer. Raises Unreachable; what `read` raises as ValueError becomes Unreachable."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._idle.clear()
            self._free = asyncio.Semaphore(MAX_CONNECTIONS)
            self._waiting = 0
        if self._clock() < self._broken_until:
            raise Unreachable(self._why)
        if self._waiting >= MAX_WAITING:
            raise Unreachable(f"more than {MAX_WAITING} look-ups are waiting")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limit), self._free:
                return await self._attempt(request, read)
        except TimeoutError:
            self._breaks(f"no answer within {self._limit:g} s")
            raise Unreachable(self._why) from None
        finally:
            self._waiting -= 1

    async def _attempt(self, request: bytes, read: Reader[T]) -> T:
        for fresh in (False, True):
            kept = None if fresh else self._take()
            reader, writer = kept if kept is not None else await self._connect()
            done = False
            try:
                writer.write(request)
                await writer.drain()
                answer = await read(reader)
                done = True
            except (OSError, EOFError) as error:
                if kept is not None:
                    continue
                self._breaks(f"the connection was lost ({_reason(error)})")
                raise Unreachable(self._why) from None
            except (ValueError, asyncio.LimitOverrunError) as error:
                raise Unreachable(f"the answer makes no sense: {error}") from None
            finally:
                # An exchange that did not end (error, time-out, cancelled) leaves a connection nobody can use.
                if not done:
                    writer.close()
            self._idle.append((time.monotonic(), reader, writer))
            if self._why:
                self._why = ""
                log.info("%s can be reached again", self._name)
            return answer
        raise Unreachable("the connection was lost twice")

    def _take(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        now = time.monotonic()
        while self._idle:
            since, reader, writer = self._idle.pop()
            if now - since < IDLE_SECONDS and not writer.is_closing() and not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(min(CONNECT_SECONDS, self._limit)):
                if self._host:
                    return await asyncio.open_connection(self._host, self._port, limit=READ_LIMIT)
                return await asyncio.open_unix_connection(self._port, limit=READ_LIMIT)
        except (OSError, TimeoutError) as error:
            self._breaks(f"cannot be reached ({_reason(error)})")
            raise Unreachable(self._why) from None

    def _breaks(self, why: str) -> None:
        if not self._why:
            log.warning('%s: %s; look-ups answer "try later"', self._name, why)
        self._why = why
        self._broken_until = self._clock() + BREAK_SECONDS

    def close(self) -> None:
        """Close kept connections."""
        for _, _, writer in self._idle:
            with contextlib.suppress(RuntimeError):
                writer.close()
        self._idle.clear()


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_SERVICE:
        return "there is no such port"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
