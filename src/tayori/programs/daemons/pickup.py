"""pickup: takes in what sendmail left in the maildrop while no server answered (pickup(8)).

Every worker looks now and then, one at a time by a lock. Each file becomes one message exactly once: its name is
kept in the queue by the same commit as the message, and forgotten only after the file is gone.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from tayori.programs import ipc
from tayori.programs.commands import maildrop
from tayori.programs.daemons.handed_in import Long, from_file
from tayori.queue.content import THRESHOLD, Unreadable
from tayori.queue.engine import SqliteQueue
from tayori.queue.model import QueueBroken, QueueFull

EVERY = 30.0
_log = logging.getLogger("tayori.pickup")
Accept = Callable[[dict[str, object], bytes | Long, int, float, str], Awaitable[dict[str, object]]]


class Pickup:
    """One worker's look at the maildrop."""

    def __init__(self, folder: Path, queue: SqliteQueue, accept: Accept, limit: int) -> None:
        """`accept(envelope, content, uid, time, name)` keeps one message; `limit` bytes of content, 0: none."""
        self._folder = folder
        self._queue = queue
        self._accept = accept
        self._limit = limit or ipc.LIMIT
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> int:
        """Take in what is there; how many messages. Nothing when another worker is at it."""
        try:
            names = sorted(name for name in os.listdir(self._folder) if name.endswith(".mail"))
            if not names:
                return 0
            lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._tell("", f"the maildrop cannot be read: {error.strerror}")
            return 0
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return sum([await self._one(name) for name in names])
        except BlockingIOError:
            return 0
        finally:
            os.close(lock)

    async def _one(self, name: str) -> bool:
        path = self._folder / name
        try:
            if not await self._queue.call(lambda store: store.has_drop(name)):
                answer = await self._take(path)
                if not answer["ok"]:
                    self._tell(name, f"maildrop file {name} stays where it is: {answer['error']}")
                    return False
            path.unlink(missing_ok=True)
            await self._queue.call(lambda store: store.forget_drop(name))
        except FileNotFoundError:
            return False
        except (OSError, ipc.BadFrame, QueueBroken, QueueFull, Unreadable) as error:
            self._tell(name, f"maildrop file {name} stays where it is: {error}")
            return False
        return True

    async def _take(self, path: Path) -> dict[str, object]:
        fd = maildrop.open_file(str(path))
        try:
            uid, envelope, start, size = maildrop.look(fd, str(path), self._limit)
            content = os.pread(fd, size, start) if size <= THRESHOLD else from_file(str(path), fd, start, size)
            return await self._accept(envelope, content, uid, os.fstat(fd).st_mtime, path.name)
        finally:
            os.close(fd)

    def _tell(self, name: str, text: str) -> None:
        if name not in self._told:
            self._told.add(name)
            _log.warning("%s", text)
