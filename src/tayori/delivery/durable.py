"""Three system calls that Python does not offer, by ctypes: syncfs(2) and renameat2(2) without overwriting.

Each has a portable way out, so that nothing here is a condition for running.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_NOREPLACE = 1
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
