"""The maildrop: where sendmail leaves mail while the server is down, and how the server reads it.

`$queue_directory/tayori/maildrop` is write-only for users (mode 1733), made by the server. A message is one file,
TIME.RANDOM.mail, holding two frames: the envelope (msgpack) and the content. It is written under a name ending in
.tmp, synced, and renamed, so that a file ending in .mail is whole. The owner of the file is who sent it; the server
must read it with O_NOFOLLOW and believe `os.fstat().st_uid`, not the envelope.
"""

from __future__ import annotations

import errno
import os
import time

from tayori.config.settings import Settings
from tayori.programs import ipc
from tayori.programs.commands.control import EX_CANTCREAT, EX_TEMPFAIL, EX_UNAVAILABLE, Failed, state_directory

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def leave(settings: Settings, question: dict[str, object], content: bytes) -> str:
    """Leave one message, on stable storage; the file's path. Raises Failed."""
    folder = f"{state_directory(settings)}/maildrop"
    name = f"{folder}/{int(time.time())}.{os.urandom(16).hex()}"
    mask = os.umask(0o022)
    try:
        fd = os.open(f"{name}.tmp", _CREATE, 0o644)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise Failed(f"{folder}: {error.strerror}", EX_TEMPFAIL) from error
        start = f"tayori start -c {settings.directory}"
        why = "the mail system is down and has no place yet to keep mail for later"
        raise Failed(f"{why} ({folder}: {error.strerror}); start it with: {start}", EX_UNAVAILABLE) from error
    finally:
        os.umask(mask)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(ipc.pack(ipc.encode(question)) + ipc.pack(content))
            file.flush()
            os.fsync(fd)
            os.rename(f"{name}.tmp", f"{name}.mail")
            _sync(folder, fd)
    except OSError as error:
        _forget(f"{name}.tmp")
        code = EX_TEMPFAIL if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else EX_CANTCREAT
        raise Failed(f"{folder}: {error.strerror}", code) from error
    return f"{name}.mail"


def open_file(path: str) -> int:
    """A file of the maildrop, for reading. Raises OSError, also for a link."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def look(fd: int, path: str, limit: int = ipc.LIMIT) -> tuple[int, dict[str, object], int, int]:
    """What is in an open file of the maildrop: the uid of its owner, the envelope, where the content begins and how
    many bytes it has. Raises OSError; ipc.BadFrame when it is no whole submission, or no regular file of one name."""
    status = os.fstat(fd)
    if status.st_nlink != 1 or status.st_mode & 0o170000 != 0o100000:
        raise ipc.BadFrame(f"{path} is not a file of its own")
    first = _length(fd, 0, limit)
    start = first + 2 * ipc.HEADER
    size = _length(fd, first + ipc.HEADER, limit)
    if status.st_size != start + size:
        raise ipc.BadFrame(f"{path} does not hold an envelope and a message")
    return status.st_uid, ipc.as_dict(os.pread(fd, first, ipc.HEADER)), start, size


def _length(fd: int, at: int, limit: int) -> int:
    """Of the frame that begins there; 0 where none does."""
    size = int.from_bytes(os.pread(fd, ipc.HEADER, at))
    if size > limit:
        raise ipc.BadFrame(f"a frame of {size} bytes is above the limit of {limit}")
    return size


def _sync(folder: str, fd: int) -> None:
    """The new name on disk. Users may not open the folder: then the file system of `fd` is synced whole."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        from tayori.delivery.durable import HAS_SYNCFS, syncfs

        if HAS_SYNCFS:
            syncfs(fd)
        else:
            os.sync()
        return
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
