"""The worker's side of the queue: a writer thread with group commit, asyncio in front.

What sessions and deliveries hand in while the last transaction syncs becomes the next one: one sync
serves them all, and only then do their futures end. Settlements alone wait a little for company
(SETTLE_WAIT), since a lost settlement only repeats work that finds itself done.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tayori.queue.model import Message, QueueBroken, QueueFull, Settlement
from tayori.queue.store import Store

SETTLE_WAIT = 0.02
LOW_NUMBERS = 10_000
T = TypeVar("T")
_log = logging.getLogger("tayori.queue")


class _Work:
    """What waits for the next transaction."""

    def __init__(self) -> None:
        self.accepts: list[tuple[Message, int | None]] = []
        self.settlements: list[Settlement] = []
        self.calls: list[tuple[Callable[[Store], Any], asyncio.Future[Any]]] = []
        self.accepted: list[asyncio.Future[None]] = []
        self.settled: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self.accepts or self.settlements or self.calls)


class SqliteQueue:
    """The durable queue of one worker. `owner` is the worker's number, unique among all that ever ran at once.

    `minfree` (bytes) is queue_minfree: below it, or 1.5 × the message size, nothing new is accepted.
    """

    def __init__(self, folder: str, owner: int, minfree: int = 0) -> None:
        self.folder = folder
        self.owner = owner
        self.minfree = minfree
        self._loop = asyncio.get_running_loop()
        self._work = _Work()
        self._condition = threading.Condition()
        self._stop = False
        self._numbers: list[range] = []
        self._reserving = False
        self._space_checked = 0.0
        self._free = 0
        self._thread = threading.Thread(target=self._run, name="queue-writer", daemon=True)

    async def start(self, living: tuple[int, ...] = ()) -> None:
        """Open the file, reserve numbers and free what dead workers held (`living`: owners still at work)."""
        self._thread.start()
        self._numbers.append(await self.call(lambda store: store.reserve_numbers()))
        await self.call(lambda store: store.release((*living, self.owner)))

    async def stop(self) -> None:
        """Commit what waits, then close."""
        with self._condition:
            self._stop = True
            self._condition.notify()
        await asyncio.to_thread(self._thread.join, 30)

    def next_number(self) -> int:
        """A number for a new message, never given twice. Raises QueueBroken when none can be reserved."""
        if not self._numbers:
            raise QueueBroken("no message numbers left")
        first = self._numbers[0]
        number = first[0]
        rest = first[1:]
        if rest:
            self._numbers[0] = rest
        else:
            self._numbers.pop(0)
        if len(rest) < LOW_NUMBERS and len(self._numbers) < 2 and not self._reserving:
            self._reserving = True
            self._loop.create_task(self._reserve())
        return number

    async def _reserve(self) -> None:
        try:
            self._numbers.append(await self.call(lambda store: store.reserve_numbers()))
        except (QueueFull, QueueBroken) as error:
            _log.warning("cannot reserve message numbers: %s", error)
        finally:
            self._reserving = False

    def room(self, size: int) -> bool:
        """Whether `size` more bytes may come (queue_minfree, 1.5 × size); looked up at most once a second."""
        now = time.monotonic()
        if now - self._space_checked > 1.0:
            self._free = shutil.disk_usage(self.folder).free
            self._space_checked = now
        return self._free >= max(self.minfree, size + size // 2)

    def accept(self, message: Message, *, owned: bool = True) -> asyncio.Future[None]:
        """Keep a message; the future ends when it is durable, or raises QueueFull or QueueBroken."""
        future: asyncio.Future[None] = self._loop.create_future()
        with self._condition:
            self._work.accepts.append((message, self.owner if owned else None))
            self._work.accepted.append(future)
            self._condition.notify()
        return future

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Commit the end of an attempt; rides on the next group commit, tried again until it holds."""
        future: asyncio.Future[None] = self._loop.create_future()
        with self._condition:
            self._work.settlements.append(settlement)
            self._work.settled.append(future)
            self._condition.notify()
        return future

    def call(self, function: Callable[[Store], T]) -> asyncio.Future[T]:
        """Run `function(store)` in the writer thread; for claims, listings and tools."""
        future: asyncio.Future[T] = self._loop.create_future()
        with self._condition:
            self._work.calls.append((function, future))
            self._condition.notify()
        return future

    async def claim(self, now: float, limit: int) -> list[Message]:
        """Own up to `limit` due messages."""
        owner = self.owner
        return await self.call(lambda store: store.claim(now, limit, owner))

    async def content(self, number: int) -> bytes:
        """Content of a queued message. Raises KeyError, QueueBroken."""
        return await self.call(lambda store: store.content(number))

    def _run(self) -> None:
        store = Store(self.folder)
        try:
            while True:
                with self._condition:
                    while not self._work and not self._stop:
                        self._condition.wait()
                    if not self._work and self._stop:
                        return
                    work = self._work
                    if not work.accepts and not work.calls and not self._stop:
                        # only settlements: give a new message the chance to share the sync
                        self._condition.wait(SETTLE_WAIT)
                        work = self._work
                    self._work = _Work()
                self._commit(store, work)
        finally:
            store.close()

    def _commit(self, store: Store, work: _Work) -> None:
        done: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        for function, future in work.calls:
            try:
                done.append((future, function(store), None))
            except (QueueFull, QueueBroken, KeyError, OSError) as error:
                done.append((future, None, error))
        if work.accepts or work.settlements:
            self._transact(store, work, done)
        if done:
            self._loop.call_soon_threadsafe(_finish, done)

    def _transact(
        self, store: Store, work: _Work, done: list[tuple[asyncio.Future[Any], Any, BaseException | None]]
    ) -> None:
        try:
            gone = store.apply(work.accepts, work.settlements, self.owner)
        except (QueueFull, QueueBroken) as error:
            done += [(future, None, error) for future in work.accepted]
            self._space_checked = 0.0
            if work.settlements:
                _log.warning("the queue cannot be written: %s", error)
                self._retry(store, work, done)
            return
        done += [(future, None, None) for future in (*work.accepted, *work.settled)]
        store.forget_files(gone)

    def _retry(
        self, store: Store, work: _Work, done: list[tuple[asyncio.Future[Any], Any, BaseException | None]]
    ) -> None:
        """Settlements alone (deletions need little room); when even that fails they wait for the next turn."""
        try:
            gone = store.apply([], work.settlements, self.owner)
        except (QueueFull, QueueBroken):
            time.sleep(0.2)
            with self._condition:
                self._work.settlements[:0] = work.settlements
                self._work.settled[:0] = work.settled
            return
        done += [(future, None, None) for future in work.settled]
        store.forget_files(gone)


def _finish(done: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in done:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
