"""System calls for files: syncfs(2) and renameat2(2) without overwriting, which Python does not offer, by ctypes;
writing all, and copying a content file without reading it.

Each has a portable way out, so that nothing here is a condition for running.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re

from tayori.queue.content import blocks
from tayori.queue.model import Slice, Stored

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_NOREPLACE = 1
_NO_COPY = (errno.EXDEV, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY)
_NOT_HERE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


def _reports_errors() -> bool:
    """syncfs(2) reports write errors since Linux 5.8; before, it cannot be believed."""
    system = os.uname()
    version = re.match(r"(\d+)\.(\d+)", system.release)
    return (
        system.sysname == "Linux"
        and version is not None
        and (int(version.group(1)), int(version.group(2))) >= (5, 8)
        and hasattr(_LIBC, "syncfs")
    )


HAS_SYNCFS = _reports_errors()
_RENAMEAT2 = getattr(_LIBC, "renameat2", None)


def syncfs(fd: int) -> None:
    """Write out the whole file system of `fd`. Raises OSError, also for earlier writes since `fd` was opened."""
    while _LIBC.syncfs(fd) != 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def rename_new(old: str, new: str) -> None:
    """Rename, but never over an existing file. Raises FileExistsError, OSError."""
    if _RENAMEAT2 is not None:
        if _RENAMEAT2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NOT_HERE:
            raise OSError(code, os.strerror(code))
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(old, new)
        return
    os.unlink(old)


def write(fd: int, data: bytes) -> None:
    """All of it, however many calls it takes. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def copy(content: Stored, fd: int) -> None:
    """Large content to where `fd` stands. Raises OSError for what cannot be written, Unreadable."""
    for part in content.parts:
        if isinstance(part, bytes):
            write(fd, part)
            continue
        done = _copied(part, fd) if part.fd >= 0 else 0
        left = Slice(part.path, part.start + done, part.size - done, part.fd)
        for block in blocks(Stored((b"", left))):
            write(fd, block)


def _copied(part: Slice, fd: int) -> int:
    """How much of an open file copy_file_range(2) has copied: all where both lie on one file system that can, where
    it may share the blocks; else nothing, or what there was room for."""
    done = 0
    try:
        while done < part.size:
            count = os.copy_file_range(part.fd, fd, part.size - done, part.start + done)
            if count == 0:
                break
            done += count
    except OSError as error:
        if error.errno not in _NO_COPY:
            raise
    return done


def sync_directory(path: str) -> None:
    """Put a directory's entries on disk, where it may be read. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
