"""Unix socket paths beyond the kernel's 107 characters (unix(7)): reached through an open folder in /proc/self/fd."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

LONGEST = 107


@contextlib.contextmanager
def short(path: str) -> Iterator[str]:
    """A name of the same socket file that fits; good for bind and connect inside the block. Raises OSError."""
    if len(os.fsencode(path)) <= LONGEST:
        yield path
        return
    folder, name = os.path.split(path)
    fd = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)
