"""The worker's side of the queue: a writer thread with group commit, asyncio in front.

What sessions and deliveries hand in while the last transaction syncs becomes the next one: one sync
serves them all, and only then do their futures end. Settlements alone wait a little for company
(SETTLE_WAIT), since a lost settlement only repeats work that finds itself done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from tayori.queue.content import Content, Unreadable, stored
from tayori.queue.model import ContentLost, Message, QueueBroken, QueueFull, Settlement, Stored
from tayori.queue.spool import Copy, Spool
from tayori.queue.store import Store, translate
from tayori.queue.threads import in_thread

SETTLE_WAIT = 0.02
RETRY_WAIT = 0.2
LOW_NUMBERS = 10_000
SWEEP_AT_ONCE = 500
FULL_WAIT = 1.0
T = TypeVar("T")
Done = tuple["asyncio.Future[Any]", Any, "BaseException | None"]
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

    `minfree` (bytes) is queue_minfree: below it, or 1.5 × the message size, nothing new is accepted. `on_ended` is
    called in the loop when the writer thread cannot go on: the process had better end.
    """

    def __init__(self, folder: str, owner: int, minfree: int = 0, on_ended: Callable[[], None] | None = None) -> None:
        self._on_ended = on_ended
        self._broken = ""
        self.released = False
        self.folder = folder
        self._contents = Path(folder) / "content"
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
        """Open the file, reserve numbers, free what the dead held: numbers below our own that are not `living`."""
        self._thread.start()
        self._numbers.append(await self.call(lambda store: store.reserve_numbers()))
        await self.call(lambda store: store.release(living, self.owner))

    async def stop(self) -> None:
        """Commit what waits, free what we still own (`released`: that it was done), then close."""
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
            if self._broken:
                future.set_exception(QueueBroken(self._broken))
                return future
            self._work.accepts.append((message, self.owner if owned else None))
            self._work.accepted.append(future)
            self._condition.notify()
        return future

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Commit the end of an attempt; rides on the next group commit, tried again until it holds."""
        future: asyncio.Future[None] = self._loop.create_future()
        with self._condition:
            if self._broken:
                future.set_exception(QueueBroken(self._broken))
                return future
            self._work.settlements.append(settlement)
            self._work.settled.append(future)
            self._condition.notify()
        return future

    async def settle_large(self, settlement: Settlement) -> None:
        """`settle`, with the contents that it bears (a large message forwarded or returned) written first, beside the
        writer; tried again until there is room, as a settlement is."""
        messages: list[Message] = []
        files: list[Copy] = []
        for message in settlement.messages:
            if isinstance(message.content, Stored):
                files.append(Copy(self._contents, message.number))
                message = replace(message, content=await self._written(files[-1], message.content))
            messages.append(message)
        # cancelled here, the files stay locked until the process ends: the commit may yet come
        await self.settle(replace(settlement, messages=tuple(messages)))
        for file in files:
            file.end(kept=True)

    async def _written(self, file: Copy, content: Stored) -> Stored:
        while True:
            try:
                return await in_thread(file.write, content)
            except QueueFull as error:
                _log.warning("the queue cannot be written: %s", error)
                await asyncio.sleep(FULL_WAIT)

    def call(self, function: Callable[[Store], T]) -> asyncio.Future[T]:
        """Run `function(store)` in the writer thread; for claims, listings and tools."""
        future: asyncio.Future[T] = self._loop.create_future()
        with self._condition:
            if self._broken:
                future.set_exception(QueueBroken(self._broken))
                return future
            self._work.calls.append((function, future))
            self._condition.notify()
        return future

    async def claim(self, now: float, limit: int, room: int = 1 << 62) -> list[Message]:
        """Own up to `limit` due messages, of `room` bytes together (one at least)."""
        owner = self.owner
        return await self.call(lambda store: store.claim(now, limit, owner, room))

    async def content(self, number: int) -> Content:
        """Content of a queued message. Raises KeyError when it is gone, ContentLost when its file is, QueueBroken."""
        found = await self.call(lambda store: store.body(number))
        if isinstance(found, bytes):
            return found
        try:
            return await in_thread(stored, f"{self._contents}/{number:X}", found)
        except Unreadable as error:
            if not await self.call(lambda store: store.has_row(number)):
                raise KeyError(number) from None
            raise ContentLost(str(error)) from error

    def spool(self, number: int) -> Spool:
        """Where a large message goes while it comes in."""
        return Spool(self._contents, number)

    async def sweep(self) -> int:
        """Remove content files that dead processes have left; how many."""
        names = await in_thread(os.listdir, self._contents)
        removed = 0
        for at in range(0, len(names), SWEEP_AT_ONCE):
            some = names[at : at + SWEEP_AT_ONCE]
            removed += await self.call(lambda store, some=some: store.sweep(some))  # type: ignore[misc]
        return removed

    def _run(self) -> None:
        try:
            store = Store(self.folder)
        except (sqlite3.Error, OSError) as error:
            self._ended(error, _Work())
            return
        work: _Work | None = _Work()
        try:
            while (work := self._next()) is not None:
                self._commit(store, work)
            # last of all: a message may have been accepted in the last transaction
            self._release(store)
        except BaseException as error:
            self._ended(error, work or _Work())
            raise
        finally:
            store.close()

    def _release(self, store: Store) -> None:
        try:
            store.release_owner(self.owner)
            self.released = True
        except (QueueFull, QueueBroken) as error:
            _log.warning("the queue cannot be written: %s", error)

    def _next(self) -> _Work | None:
        """Wait for work; None when there is none and there will be no more."""
        with self._condition:
            while not self._work and not self._stop:
                self._condition.wait()
            if not self._work:
                return None
            if not self._work.accepts and not self._work.calls and not self._stop:
                # only settlements: give a new message the chance to share the sync
                self._condition.wait(SETTLE_WAIT)
            work, self._work = self._work, _Work()
            return work

    def _ended(self, error: BaseException, hand: _Work) -> None:
        """The thread cannot go on: all who wait learn of it, and whoever comes later too."""
        _log.error("the queue's writer has ended: %s: %s", type(error).__name__, error)
        with self._condition:
            self._broken = f"the queue's writer has ended: {error}"
            later, self._work = self._work, _Work()
        for work in (hand, later):
            waiting = (*work.accepted, *work.settled, *(future for _, future in work.calls))
            self._tell([(future, None, QueueBroken(self._broken)) for future in waiting])
        if self._on_ended is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._on_ended)

    def _tell(self, done: list[Done]) -> None:
        # a loop that has been closed meanwhile has nobody left to tell
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_finish, done)

    def _commit(self, store: Store, work: _Work) -> None:
        done: list[Done] = []
        for function, future in work.calls:
            try:
                done.append((future, function(store), None))
            except (sqlite3.Error, OSError) as error:
                done.append((future, None, translate(error)))
            except Exception as error:
                # the caller's own mistake is the caller's to see; the writer goes on
                done.append((future, None, error))
        if work.accepts or work.settlements:
            self._transact(store, work, done)
        if done:
            self._tell(done)

    def _transact(self, store: Store, work: _Work, done: list[Done]) -> None:
        """All in one transaction; when that fails the settlements first (they make room), then what is new."""
        error = self._apply(store, work.accepts, work.settlements, (*work.accepted, *work.settled), done)
        if error is None:
            return
        self._space_checked = 0.0
        _log.warning("the queue cannot be written: %s", error)
        full = isinstance(error, QueueFull)
        again: list[tuple[Settlement, asyncio.Future[None]]] = []
        settlements = list(zip(work.settlements, work.settled, strict=True))
        for part in [settlements] if full and settlements else [[one] for one in settlements]:
            # one that cannot be written must not hold up the others
            if self._apply(store, [], [s for s, _ in part], [f for _, f in part], done) is not None:
                again += part
        accepts = list(zip(work.accepts, work.accepted, strict=True))
        for some in [accepts] if full and accepts else [[one] for one in accepts]:
            if settlements or not full:
                error = self._apply(store, [a for a, _ in some], [], [f for _, f in some], done)
            done += [(future, None, error) for _, future in some if error is not None]
        if again:
            self._tell(done[:])
            done.clear()
            self._later(again)

    def _apply(
        self,
        store: Store,
        accepts: list[tuple[Message, int | None]],
        settlements: list[Settlement],
        futures: Iterable[asyncio.Future[None]],
        done: list[Done],
    ) -> QueueFull | QueueBroken | None:
        """One transaction; the reason when it was not kept."""
        try:
            gone = store.apply(accepts, settlements, self.owner)
        except (QueueFull, QueueBroken) as error:
            return error
        done += [(future, None, None) for future in futures]
        store.forget_files(gone)
        return None

    def _later(self, again: list[tuple[Settlement, asyncio.Future[None]]]) -> None:
        """Settlements that do not hold yet wait for a later turn, and never get lost while we live."""
        with self._condition:
            if not self._work.accepts and not self._work.calls:
                self._condition.wait(RETRY_WAIT)
            self._work.settlements[:0] = [settlement for settlement, _ in again]
            self._work.settled[:0] = [future for _, future in again]


def _finish(done: list[Done]) -> None:
    for future, result, error in done:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
