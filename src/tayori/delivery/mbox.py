"""mbox delivery (local(8), virtual(8)): lock, append, sync, and back to the old length when that fails.

Locks as `mailbox_delivery_lock` lists them: fcntl, flock, dotlock; taken in that order, tried once here. Who waits
(`deliver_lock_attempts`, `deliver_lock_delay`) is the caller's business: a process that serves all mailboxes must
not sleep for one. After an attempt whose end is not known the message is looked for first (standing.py).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import socket
import stat
import time
from collections.abc import Iterator

from tayori.delivery import durable, standing
from tayori.delivery.place import Place, named
from tayori.delivery.request import Result, Target
from tayori.delivery.rights import Rights
from tayori.delivery.trace_headers import mbox
from tayori.queue.content import Content, Unreadable

LOCKS = ("fcntl", "flock", "dotlock")
_OPEN = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLLOW = _OPEN & ~os.O_NOFOLLOW
_NEW = _OPEN | os.O_CREAT | os.O_EXCL
_DOTLOCK = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Busy(Exception):
    """Somebody else holds the lock; `text` is what to say when it lasts."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


class Unfit(Exception):
    """The file is not what a mailbox may be; the text says why."""

    def __init__(self, text: str, enhanced: str = "") -> None:
        self.enhanced = enhanced
        super().__init__(text)


def deliver(
    place: Place,
    target: Target,
    content: Content,
    rights: Rights,
    locks: tuple[str, ...],
    stale: int,
    recovered: bool = False,
) -> Result:
    """Append one message, durably. `stale`: seconds (stale_lock_time) after which a dotlock counts as left over.
    `recovered`: it may be there already.

    Raises Busy. The process is root again, or as before, when this returns or raises.
    """
    with rights.of(*_spool_rights(place)):
        try:
            dotlock = _dotlock(place, stale) if "dotlock" in locks else ""
        except OSError as error:
            return place.failed(target, named(error, f"unable to create lock file {place.path}.lock"))
        try:
            with rights.of(place.uid, place.gid):
                fd = _open(place, rights)
                try:
                    return _locked(place, target, content, fd, locks, recovered)
                finally:
                    os.close(fd)
        except Unfit as error:
            return place.failed(target, str(error), error.enhanced)
        except OSError as error:
            return place.failed(target, error if error.filename else named(error, "cannot open file"))
        finally:
            if dotlock:
                os.unlink(dotlock)


def _spool_rights(place: Place) -> tuple[int, int]:
    """Who may create files next to the mailbox: in a spool directory that is not open to all that is root, with
    the directory's group where the group may write (local(8), /var/mail 2775 root:mail); else the recipient.
    """
    if place.spool:
        try:
            status = os.stat(os.path.dirname(place.path))
        except OSError:
            return place.uid, place.gid
        if status.st_uid == 0 and not status.st_mode & stat.S_IWOTH:
            return 0, status.st_gid if status.st_mode & stat.S_IWGRP else place.gid
    return place.uid, place.gid


def _dotlock(place: Place, stale: int) -> str:
    """Make PATH.lock; its name, or "" where it may not be made (as local(8): then the other lock must do)."""
    path = f"{place.path}.lock"
    for _ in range(2):
        try:
            _make(path)
            return path
        except FileExistsError:
            try:
                age = time.time() - os.lstat(path).st_ctime
            except FileNotFoundError:
                continue
            if age < stale and not _of_the_dead(path):
                break
            os.unlink(path)
        except PermissionError:
            return ""
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    raise Busy(f"unable to create lock file {path}: File exists")


def _make(path: str) -> None:
    """The lock file with its words in it from the first moment, where the file system can do that: who is killed in
    between must be known, too. Raises OSError."""
    linked = True
    try:
        fd = os.open(os.path.dirname(path), os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
        linked = False
        fd = os.open(path, _DOTLOCK, 0o600)
    try:
        with contextlib.suppress(OSError):
            os.write(fd, b"%s %d\n" % (_here(), os.getpid()))
        if linked:
            # with a folder, though the path is absolute, link(2) becomes linkat(2), which follows
            os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd)
    finally:
        os.close(fd)


@functools.cache
def _here() -> bytes:
    """Where a process number means something."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"tayori {socket.gethostname()} {space}".encode()


def _of_the_dead(path: str) -> bool:
    """Whether the lock is that of a process of ours that was killed: nobody waits stale_lock_time for it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            place, _, pid = file.read(512).strip().rpartition(b" ")
        if place != _here() or not pid.isdigit():
            return False
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return int(pid) == os.getpid()


def _open(place: Place, rights: Rights) -> int:
    """Open or create the mailbox, as the recipient. Raises Unfit, OSError."""
    for _ in range(2):
        try:
            fd = os.open(place.path, _OPEN if not place.file or not _roots_link(place.path) else _FOLLOW)
        except FileNotFoundError:
            try:
                return _new(place, rights)
            except FileExistsError:
                continue
            except OSError as error:
                raise named(error, "cannot create file exclusively") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Unfit("file is a symbolic link") from error
            raise named(error, "cannot open file") from error
        try:
            _check(place, fd, rights.fixed)
        except Unfit:
            os.close(fd)
            raise
        return fd
    raise Unfit("file comes and goes")


def _roots_link(path: str) -> bool:
    """A symbolic link of root's in a folder that only root may change: it is as good as a file."""
    try:
        link, folder = os.lstat(path), os.stat(os.path.dirname(path))
    except OSError:
        return False
    mine = link.st_uid == 0 and folder.st_uid == 0 and not folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISLNK(link.st_mode) and mine


def _new(place: Place, rights: Rights) -> int:
    """Create the mailbox, owned by the recipient, in a directory where only root may do so. Raises OSError."""
    owner = _spool_rights(place)
    with rights.of(*owner):
        try:
            fd = os.open(place.path, _NEW, 0o600)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(place.path), 0o700, exist_ok=True)
            fd = os.open(place.path, _NEW, 0o600)
        if not rights.fixed and owner[0] != place.uid:
            os.fchown(fd, place.uid, place.gid)
        durable.sync_directory(os.path.dirname(place.path))
    return fd


def _check(place: Place, fd: int, fixed: bool) -> None:
    """A regular file of one name, owned by the recipient (strict_mailbox_ownership). Raises Unfit."""
    status = os.fstat(fd)
    if place.file and stat.S_ISCHR(status.st_mode):
        return
    if place.file and stat.S_ISREG(status.st_mode) and status.st_mode & 0o111:
        raise Unfit("file is executable", "5.7.1")
    if not stat.S_ISREG(status.st_mode):
        raise Unfit("destination is not a regular file")
    if status.st_nlink != 1:
        raise Unfit(f"file has {status.st_nlink} hard links")
    if place.strict and not fixed and status.st_uid != place.uid:
        raise Unfit("destination is not owned by recipient")


def _locked(
    place: Place, target: Target, content: Content, fd: int, locks: tuple[str, ...], recovered: bool
) -> Result:
    """Lock the open file and append. Raises Busy, OSError."""
    if place.file and stat.S_ISCHR(os.fstat(fd).st_mode):
        return _to_device(place, target, content, fd)
    try:
        if "fcntl" in locks:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if "flock" in locks:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise Busy(f"unable to lock for exclusive access: {os.strerror(errno.EAGAIN)}") from error
        raise named(error, "unable to lock for exclusive access") from error
    end = os.lseek(fd, 0, os.SEEK_END)
    now = time.time()

    def pieces() -> Iterator[bytes]:
        return mbox(content, target.prefix, target.sender, now)

    try:
        if recovered and end:
            there, end = standing.stands(fd, end, pieces)
            if there:
                os.fsync(fd)
                return _sent(target, place)
            os.ftruncate(fd, end)
        size = end
        if end and os.pread(fd, 1, end - 1) != b"\n":
            # half a message, as a kill leaves it, must not swallow the next one
            durable.write(fd, b"\n\n")
        for data in pieces():
            size += len(data)
            if place.limit and size > place.limit:
                os.ftruncate(fd, end)
                return place.too_large(target)
            durable.write(fd, data)
        os.fsync(fd)
    except OSError as error:
        os.ftruncate(fd, end)
        return place.failed(target, named(error, "error writing message"))
    except Unreadable:
        os.ftruncate(fd, end)
        return place.failed(target, "queue file read error", "4.3.0")
    return _sent(target, place)


def _sent(target: Target, place: Place) -> Result:
    text = f"delivered to file: {place.path}" if place.file else "delivered to mailbox"
    return Result(target.n, "sent", "2.0.0", text)


def _to_device(place: Place, target: Target, content: Content, fd: int) -> Result:
    """As /dev/null: no lock, no length, no sync. Raises OSError."""
    try:
        for data in mbox(content, target.prefix, target.sender, time.time()):
            durable.write(fd, data)
    except Unreadable:
        return place.failed(target, "queue file read error", "4.3.0")
    return _sent(target, place)
