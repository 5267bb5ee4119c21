"""The file lock by which writers of all processes take turns.

It stands in for SQLite's own polling, and covers every transaction, open, checkpoint and close: SQLite before
3.51.3 can corrupt a WAL that several connections reset at once.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType


class TurnLock:
    """`with lock:` waits for the turn; the kernel releases it when the process dies."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)
