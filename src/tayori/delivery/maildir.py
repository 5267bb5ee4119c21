"""Maildir delivery in batches: write all, sync once, and only then say "sent".

The file name is given by the caller and is the same at every attempt, so delivering twice is one file:
tmp/NAME is written, then renamed into new/NAME (qmail's maildir(5); a rename never overwrites a foreign file). The
caller acts as the recipient (rights.py) while `add` runs. What a reader did meanwhile is respected: new/NAME moved to
cur/NAME:2,FLAGS counts as delivered, a torn file (of a crash) is written again in its place.
The one case that cannot be known: a reader has deleted or filed the message before a crash was recovered from.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

from tayori.delivery import durable
from tayori.delivery.place import Place, named
from tayori.delivery.request import Result, Target
from tayori.delivery.rights import Rights
from tayori.queue.content import Content, Unreadable, blocks
from tayori.queue.model import Stored

FEW = 3
"""Below this many files in a batch each is fsynced; from it on, one syncfs serves them all (measured on ext4)."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WRITING = "error writing message"


@dataclass(slots=True)
class _Waiting:
    """A file that is written but perhaps not on disk. `fds` are open for fsync (few files only)."""

    key: object
    place: Place
    target: Target
    path: str
    device: int
    fds: list[int] = field(default_factory=list)


class Batch:
    """Files that share one sync. `expected`: about how many will come, which decides how they are synced."""

    def __init__(self, rights: Rights, expected: int) -> None:
        self._rights = rights
        self._each = expected < FEW or not durable.HAS_SYNCFS
        self._waiting: list[_Waiting] = []
        self._devices: dict[int, int] = {}

    def add(self, key: object, place: Place, target: Target, content: Content, recovered: bool) -> Result | None:
        """Write one file as the present user. None: written, `sync` tells how it ended; else the failure."""
        if place.limit and len(content) + len(target.prefix) > place.limit:
            return place.too_large(target)
        if not target.name or "/" in target.name or "\0" in target.name or target.name.startswith("."):
            return place.failed(target, "bad file name", "4.3.5")
        try:
            found = find(place.path, target.name) if recovered else ""
            if found and same(found, target.prefix, content):
                fd, path = os.open(found, _READ), found
            else:
                fd, path = self._write(place.path, target.name, (target.prefix, content), found)
        except OSError as error:
            return place.failed(target, error)
        except Unreadable:
            return place.failed(target, "queue file read error", "4.3.0")
        try:
            self._keep(key, place, target, path, fd)
        except OSError as error:
            return place.failed(target, error)
        return None

    def _write(self, maildir: str, name: str, parts: tuple[bytes, Content], torn: str) -> tuple[int, str]:
        """Write tmp/NAME, rename it to new/NAME (over `torn` where that stands); the open file and its path."""
        temporary = f"{maildir}/tmp/{name}"  # noqa: S108
        path = torn or f"{maildir}/new/{name}"
        fd = _create(maildir, temporary)
        try:
            _write_all(fd, parts)
            if torn:
                os.rename(temporary, path)
            else:
                _into_new(temporary, path)
        except FileExistsError as error:
            os.close(fd)
            _unlink(temporary)
            if same(path, *parts):
                return os.open(path, _READ), path
            raise _named_file(error, path) from error
        except OSError as error:
            os.close(fd)
            _unlink(temporary)
            raise (error if error.filename == _WRITING else _named_file(error, path)) from error
        except Unreadable:
            os.close(fd)
            _unlink(temporary)
            raise
        return fd, path

    def _keep(self, key: object, place: Place, target: Target, path: str, fd: int) -> None:
        """Remember a written file for the sync; owns `fd`."""
        keep = False
        try:
            device = os.fstat(fd).st_dev
            waiting = _Waiting(key, place, target, path, device)
            if self._each:
                waiting.fds.append(os.open(os.path.dirname(path), _DIRECTORY))
                waiting.fds.insert(0, fd)
                keep = True
            elif device not in self._devices:
                self._devices[device] = fd
                keep = True
            self._waiting.append(waiting)
        finally:
            if not keep:
                os.close(fd)

    def sync(self) -> list[tuple[object, Result]]:
        """Make everything durable; how each added file ended, by the key given to `add`. Ends the batch."""
        failed: dict[int, OSError] = {}
        for device, fd in self._devices.items():
            try:
                durable.syncfs(fd)
            except OSError as error:
                failed[device] = error
            finally:
                os.close(fd)
        ended: list[tuple[object, Result]] = []
        for waiting in self._waiting:
            broken = failed.get(waiting.device) or _fsync(waiting.fds)
            if broken is None:
                result = Result(waiting.target.n, "sent", "2.0.0", "delivered to maildir")
            else:
                self._withdraw(waiting)
                result = waiting.place.failed(waiting.target, named(broken, _WRITING))
            ended.append((waiting.key, result))
        self._waiting, self._devices = [], {}
        return ended

    def _withdraw(self, waiting: _Waiting) -> None:
        """After a failed sync the cache may look right while the disk is not: the next attempt must write anew."""
        with self._rights.of(waiting.place.uid, waiting.place.gid):
            _unlink(waiting.path)


def find(maildir: str, name: str) -> str:
    """Where NAME stands in new/ or cur/ (there perhaps with `:2,FLAGS`); empty when nowhere. Raises OSError.

    new/ is asked first: a reader moves from new/ to cur/, never back. A directory that changes while it is read is
    read again, because readdir(3) may miss a file that is being renamed.
    """
    path = f"{maildir}/new/{name}"
    if os.path.lexists(path):
        return path
    folder = f"{maildir}/cur"
    for _ in range(5):
        try:
            before = os.stat(folder).st_mtime_ns
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(name) and entry.name[len(name) : len(name) + 1] in ("", ":", ","):
                        return entry.path
            if os.stat(folder).st_mtime_ns == before:
                return ""
        except FileNotFoundError:
            return ""
    return ""


def same(path: str, prefix: bytes, content: Content) -> bool:
    """Whether the file holds exactly these bytes. False for what is no regular file, or is gone. Raises
    Unreadable."""
    try:
        fd = os.open(path, _READ)
    except OSError:
        return False
    with open(fd, "rb") as file:
        if os.fstat(fd).st_size != len(prefix) + len(content):
            return False
        try:
            return file.read(len(prefix)) == prefix and all(file.read(len(b)) == b for b in blocks(content))
        except OSError:
            return False


def _create(maildir: str, temporary: str) -> int:
    """Open tmp/NAME for writing: a stale one of an earlier attempt is replaced, a missing Maildir made (0700)."""
    for _ in range(3):
        try:
            return os.open(temporary, _CREATE, 0o600)
        except FileExistsError:
            _unlink(temporary)
        except FileNotFoundError as error:
            try:
                make(maildir)
            except OSError:
                raise _named_file(error, temporary) from error
        except OSError as error:
            raise _named_file(error, temporary) from error
    raise _named_file(OSError(errno.EEXIST, os.strerror(errno.EEXIST)), temporary)


def make(maildir: str) -> None:
    """Make a Maildir with tmp, new and cur, 0700, and what is missing above it, durably. Raises OSError.

    tmp comes last: where it is, a crash in between cannot have left a Maildir without the other two."""
    for folder in (f"{maildir}/cur", f"{maildir}/new", f"{maildir}/tmp"):  # noqa: S108
        missing: list[str] = []
        at = folder
        while at and not os.path.isdir(at):
            missing.append(at)
            at = os.path.dirname(at)
        for directory in reversed(missing):
            try:
                os.mkdir(directory, 0o700)
            except FileExistsError:
                continue
            durable.sync_directory(os.path.dirname(directory))


def _into_new(temporary: str, path: str) -> None:
    """Rename into new/, which a user may have removed meanwhile. Raises FileExistsError, OSError."""
    try:
        durable.rename_new(temporary, path)
    except FileNotFoundError:
        make(os.path.dirname(os.path.dirname(path)))
        durable.rename_new(temporary, path)


def _write_all(fd: int, parts: tuple[bytes, Content]) -> None:
    """All of it, however many calls it takes. Raises OSError that says so, Unreadable."""
    prefix, content = parts
    try:
        if isinstance(content, Stored):
            durable.write(fd, prefix)
            durable.copy(content, fd)
            return
        done = os.writev(fd, (prefix, content))
        if done < len(prefix) + len(content):
            durable.write(fd, (prefix + content)[done:])
    except OSError as error:
        raise named(error, _WRITING) from error


def _fsync(fds: list[int]) -> OSError | None:
    """fsync and close each; the first error."""
    failed: OSError | None = None
    for fd in fds:
        try:
            os.fsync(fd)
        except OSError as error:
            failed = failed or error
        finally:
            os.close(fd)
    return failed


def _named_file(error: OSError, path: str) -> OSError:
    return named(error, f"create maildir file {path}")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
