"""Writing content files: a message as it comes in, or one made of parts of another.

Contract: a file under its name (`content/ID`) is there before the row that names it, synced with its folder, and goes
after it. Its writer holds a lock on it (flock) from the moment it is made until the row is committed or the file is
gone; a file that has neither a row nor a lock is an orphan of a process that died, and `sweep` removes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import mmap
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tayori.queue import content
from tayori.queue.content import Content, Unreadable
from tayori.queue.model import QueueBroken, QueueFull, Slice, Stored
from tayori.queue.threads import in_thread, later

GAP = 65536
"""Bytes kept free before a message that comes in, for what its header grows by; nothing is written there, so that it
takes no room on the disk. A multiple of the page size, for mmap(2)."""
NEW = ".new"
_NO_ROOM = {28, 122}  # ENOSPC, EDQUOT
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Edit = tuple[int, int, bytes]
"""What stands from `start` to `end` becomes the bytes."""


def broken(error: OSError) -> QueueFull | QueueBroken:
    """The queue's own exception for a failed write."""
    if error.errno in _NO_ROOM:
        return QueueFull(error.strerror or "disk full")
    return QueueBroken(str(error))


def create(path: str) -> int:
    """A new file that is ours by its lock before anybody can take it for an orphan. Raises OSError."""
    while True:
        fd = os.open(path, _CREATE, 0o600)
        try:
            # only a sweep that has come between the two calls can hold it, and not for long
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is(path, fd):
                return fd
        except OSError:
            os.close(fd)
            _unlink(path)
            raise
        os.close(fd)


def _is(path: str, fd: int) -> bool:
    """Whether the open file still has this name."""
    try:
        return os.stat(path, follow_symlinks=False).st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


class Spool:
    """The content file of one message that comes in. Methods that wait run in threads, one at a time."""

    def __init__(self, folder: Path, number: int) -> None:
        """Makes nothing yet."""
        self._folder = folder
        self.path = f"{folder}/{number:X}"
        self._fd = -1
        self._size = 0
        self._kept = False
        self._handed = False
        self._begun = False
        self._ended = False
        self._lock = threading.Lock()

    async def write(self, data: bytes) -> None:
        """More of the message. Raises QueueFull, QueueBroken."""
        self._begun = True
        await in_thread(self._guarded, self._write, data)

    async def finish(self, header: bytes, cut: int, edits: Sequence[Edit] = ()) -> Stored:
        """The message as it shall be kept, on stable storage: `header` in the place of its first `cut` bytes, and
        `edits` in the rest. Raises QueueFull, QueueBroken."""
        found = await in_thread(self._guarded, self._finish, header, cut, edits)
        assert isinstance(found, Stored)
        return found

    def view(self) -> mmap.mmap:
        """What has been written, to be looked at without reading it all; the caller closes it. Raises QueueBroken."""
        try:
            return mmap.mmap(self._fd, self._size, prot=mmap.PROT_READ, offset=GAP)
        except OSError as error:
            raise QueueBroken(str(error)) from error

    def follow(self, accepted: asyncio.Future[None]) -> None:
        """From now on the file stays or goes with the commit of its row, whatever becomes of who waits for it."""
        self._handed = True
        accepted.add_done_callback(self._committed)

    def _committed(self, accepted: asyncio.Future[None]) -> None:
        if accepted.cancelled():
            # the commit may yet come, and until this process ends nobody may take the file for an orphan
            return
        self._kept = accepted.exception() is None
        later(self._end)

    def end(self) -> None:
        """Remove the file, unless it was handed over to `follow`. Returns at once."""
        if self._begun and not self._handed:
            later(self._end)

    def _guarded(self, act: Callable[..., object], *arguments: object) -> object:
        with self._lock:
            if self._ended:
                raise QueueBroken("the message was given up")
            try:
                return act(*arguments)
            except OSError as error:
                raise broken(error) from error
            except Unreadable as error:
                raise QueueBroken(str(error)) from error

    def _write(self, data: bytes) -> None:
        if self._fd < 0:
            self._fd = create(self.path)
        write_all(self._fd, data, GAP + self._size)
        self._size += len(data)

    def _finish(self, header: bytes, cut: int, edits: Sequence[Edit]) -> Stored:
        start = GAP + cut - len(header)
        if edits or start < 0:
            size = self._edited(header, cut, edits)
        else:
            write_all(self._fd, header, start)
            size = len(header) + self._size - cut
        os.fsync(self._fd)
        sync_folder(self._folder)
        return content.stored(self.path, size)

    def _edited(self, header: bytes, cut: int, edits: Sequence[Edit]) -> int:
        """A second file, in the place of the first; the size of the message."""
        new = self.path + NEW
        fd = create(new)
        try:
            size = 0
            for piece in (header, *edited(self.path, self._fd, GAP, cut, self._size, edits)):
                for block in content.blocks(piece):
                    write_all(fd, block, size)
                    size += len(block)
            os.rename(new, self.path)
        except BaseException:
            os.close(fd)
            _unlink(new)
            raise
        os.close(self._fd)
        self._fd = fd
        return size

    def _end(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
            if self._fd >= 0:
                if not self._kept:
                    _unlink(self.path)
                os.close(self._fd)


def edited(path: str, fd: int, gap: int, cut: int, size: int, edits: Iterable[Edit]) -> list[Content]:
    """The rest of a message from `cut`, its edits made, as parts."""
    found: list[Content] = []
    at = cut
    for start, end, new in (*edits, (size, size, b"")):
        if start > at:
            found.append(Stored((b"", Slice(path, gap + at, start - at, fd))))
        found.append(new)
        at = end
    return found


class Copy:
    """A content file of its own for a message made of parts of others (a bounce, a forwarded copy)."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._path = f"{folder}/{number:X}"
        self._fd = -1

    def write(self, parts: Content) -> Stored:
        """On stable storage. Blocks; raises QueueFull, QueueBroken; then nothing is left."""
        try:
            self._fd = create(self._path)
            size = 0
            for block in content.blocks(parts):
                write_all(self._fd, block, size)
                size += len(block)
            os.fsync(self._fd)
            sync_folder(self._folder)
            return content.stored(self._path, size)
        except OSError as error:
            self.end(kept=False)
            raise broken(error) from error
        except Unreadable as error:
            self.end(kept=False)
            raise QueueBroken(str(error)) from error

    def end(self, kept: bool) -> None:
        """Let go of the file, and remove it unless it was kept."""
        if self._fd >= 0:
            if not kept:
                _unlink(self._path)
            os.close(self._fd)
            self._fd = -1


def sweep(folder: Path, names: Iterable[str], has_row: Callable[[int], bool]) -> int:
    """Remove those files that have neither a row nor a writer; how many."""
    removed = 0
    for name in names:
        try:
            number = int(name.removesuffix(NEW), 16)
        except ValueError:
            continue
        if not name.endswith(NEW) and has_row(number):
            continue
        path = f"{folder}/{name}"
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # whoever wrote it may have committed its row, or put another in its place, before the lock came to us
                if _is(path, fd) and (name.endswith(NEW) or not has_row(number)):
                    os.unlink(path)
                    removed += 1
            finally:
                os.close(fd)
    return removed


def write_all(fd: int, data: bytes, at: int) -> None:
    """All of it, however many calls it takes. Raises OSError."""
    rest = memoryview(data)
    while rest:
        done = os.pwrite(fd, rest, at)
        rest, at = rest[done:], at + done


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
