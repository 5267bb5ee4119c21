"""Databases whose client libraries block: a bounded pool of threads and connections per table, and a breaker.

Contract: a look-up never blocks the event loop, ends within `limit` seconds, and answers TempFail, never NotFound,
when no server could be asked. Hosts are tried in random order (sockets first); one that fails is left alone for
RETRY_SECONDS; when all have failed, look-ups fail at once for BREAK_SECONDS. A connection that turns out to be dead
is replaced once within the look-up. Connections idle for IDLE_SECONDS are closed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from tayori.tables.lines import fold
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, TempFail
from tayori.tables.spec import Spec
from tayori.tables.template import Frame

log = logging.getLogger("tayori.tables")

THREADS = 4
MAX_WAITING = 256
IDLE_SECONDS = 60.0
RETRY_SECONDS = 30.0
BREAK_SECONDS = 5.0


class Lost(Exception):
    """The connection or the server is gone: another may do."""


class Wrong(Exception):
    """The server answered with an error: another connection would not help."""


class Backend(Protocol):
    """The blocking side of one kind of database. Errors are Lost and Wrong, with words for the log, no secrets."""

    def connect(self, host: str) -> Any:
        """Open a connection."""
        ...

    def fetch(self, connection: Any, key: str) -> list[str] | None:
        """All values for the key, row by row; None when the key lacks a part the query needs."""
        ...

    def disconnect(self, connection: Any) -> None:
        """Close it; never raises."""
        ...


class BlockingTable:
    """One database table."""

    partial = True

    def __init__(self, spec: Spec, frame: Frame, backend: Backend, hosts: tuple[str, ...], limit: float) -> None:
        self.name = spec.name
        self._frame = frame
        self._backend = backend
        self._hosts = hosts
        self._limit = limit
        self._fold = spec.fold
        self._clock = spec.clock
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Any]] = []
        self._down: dict[str, float] = {}
        self._broken_until = 0.0
        self._why = ""
        self._waiting = 0
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    async def lookup(self, key: str) -> Outcome:
        """Ask the database."""
        if self._fold:
            key = fold(key)
        if "\0" in key or not _encodable(key):
            return NOT_FOUND
        asks = await self._frame.asks(key)
        if isinstance(asks, TempFail):
            return asks
        if not asks:
            return NOT_FOUND
        if self._clock() < self._broken_until:
            return TempFail(f"{self.name}: {self._why}")
        if self._waiting >= MAX_WAITING:
            return TempFail(f"{self.name}: more than {MAX_WAITING} look-ups are waiting")
        self._waiting += 1
        try:
            values = await asyncio.wait_for(self._values(key), self._limit)
            text = None if values is None else self._frame.join(values, key)
        except TimeoutError:
            return TempFail(f"{self.name}: no answer within {self._limit:g} s")
        except (Lost, Wrong, ValueError) as error:
            return TempFail(f"{self.name}: {error}")
        finally:
            self._waiting -= 1
        return NOT_FOUND if text is None else Found(text)

    async def _values(self, key: str) -> list[str] | None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="table")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._fetch, key)

    def _fetch(self, key: str) -> list[str] | None:
        for fresh in (False, True):
            connection = None if fresh else self._take()
            reused = connection is not None
            if connection is None:
                connection = self._connect()
            try:
                values = self._backend.fetch(connection, key)
            except Lost as error:
                self._backend.disconnect(connection)
                if reused:
                    continue
                self._breaks(str(error))
                raise
            except Wrong:
                self._give_back(connection)
                raise
            except BaseException:
                self._backend.disconnect(connection)
                raise
            self._give_back(connection)
            return values
        raise Lost("the connection was lost twice")

    def _take(self) -> Any:
        now = self._clock()
        stale: list[Any] = []
        found = None
        with self._lock:
            while self._idle:
                since, connection = self._idle.pop()
                if now - since < IDLE_SECONDS:
                    found = connection
                    break
                stale.append(connection)
        for connection in stale:
            self._backend.disconnect(connection)
        return found

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append((self._clock(), connection))
                return
        self._backend.disconnect(connection)

    def _connect(self) -> Any:
        now = self._clock()
        sockets = [host for host in self._hosts if host.startswith(("unix:", "ldapi:"))]
        others = [host for host in self._hosts if host not in sockets]
        random.shuffle(sockets)
        random.shuffle(others)
        order = [*sockets, *others]
        with self._lock:
            ready = [host for host in order if self._down.get(host, 0.0) <= now] or order
        reasons = []
        for host in ready:
            try:
                connection = self._backend.connect(host)
            except Lost as error:
                reasons.append(str(error))
                with self._lock:
                    self._down[host] = now + RETRY_SECONDS
                continue
            with self._lock:
                self._down.pop(host, None)
            self._works()
            return connection
        why = "; ".join(reasons)
        self._breaks(why)
        raise Lost(why)

    def _works(self) -> None:
        with self._lock:
            told = bool(self._why)
            self._why, self._broken_until = "", 0.0
        if told:
            log.info("%s can be reached again", self.name)

    def _breaks(self, why: str) -> None:
        with self._lock:
            told = bool(self._why)
            self._why = why
            self._broken_until = self._clock() + BREAK_SECONDS
        if not told:
            log.warning('%s: %s; look-ups answer "try later"', self.name, why)

    def close(self) -> None:
        """Close idle connections; running look-ups close theirs."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, connection in idle:
            self._backend.disconnect(connection)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


class BrokenTable:
    """A table whose own configuration file cannot be read: TempFail until the next start or reload."""

    partial = True

    def __init__(self, spec: Spec, why: str) -> None:
        self.name = spec.name
        self.why = why
        place = f" ({spec.origin})" if spec.origin else ""
        self._answer = TempFail(f"{self.name}: {why}{place}")
        log.warning('%s: %s%s; look-ups answer "try later"', self.name, why, place)

    async def lookup(self, key: str) -> Outcome:
        """TempFail."""
        return self._answer

    def close(self) -> None:
        """Nothing to release."""


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


Opener = Callable[[Spec], Any]
