"""`verify.sqlite` in the queue's folder: the states of addresses that verify(8) has asked about.

tayori's own format; it stands for whatever table `address_verify_map` names (an empty one: nothing is kept on disk).
It holds nothing that cannot be asked again: synchronous=OFF, and the file may be removed while the server is down.
Workers take turns on a file lock, which covers opening and checkpoints too.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import nullcontext
from pathlib import Path

import msgspec

from tayori.queue.lock import TurnLock

SCHEMA = """
CREATE TABLE IF NOT EXISTS address (
    address TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, enhanced TEXT NOT NULL,
    at REAL NOT NULL, probed REAL NOT NULL) WITHOUT ROWID"""
MAX_REASON = 1000


class Known(msgspec.Struct, frozen=True):
    """A state as in policy.services.Verified. `at`: when it was found; `probed`: the last probe, both since 1970."""

    state: str
    reason: str
    enhanced: str
    at: float
    probed: float


class Store:
    """One connection, for one thread. Raises sqlite3.Error and OSError."""

    def __init__(self, path: Path | None, now: float) -> None:
        """`path` None: in memory. A file that is no database is removed and begun anew."""
        self.cleaned = now
        self._lock = TurnLock(f"{path}.lock") if path is not None else None
        with self._turn():
            try:
                self._base = _connect(path)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                for suffix in ("", "-journal"):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)
                self._base = _connect(path)

    def get(self, address: str) -> Known | None:
        """What is known, however old."""
        with self._turn():
            row = self._base.execute(
                "SELECT state, reason, enhanced, at, probed FROM address WHERE address = ?", (address,)
            ).fetchone()
        return Known(*row) if row is not None else None

    def put(self, address: str, known: Known) -> None:
        """Remember."""
        with self._turn():
            self._base.execute(
                "INSERT OR REPLACE INTO address VALUES (?, ?, ?, ?, ?, ?)",
                (address, known.state, known.reason[:MAX_REASON], known.enhanced, known.at, known.probed),
            )

    def clean(self, now: float, positive: float, negative: float) -> None:
        """Forget positive states found before `positive`, and all others found before `negative`."""
        self.cleaned = now
        with self._turn():
            self._base.execute(
                "DELETE FROM address WHERE at <= CASE state WHEN 'ok' THEN ? ELSE ? END", (positive, negative)
            )

    def close(self) -> None:
        """Close the file."""
        with self._turn():
            self._base.close()
        if self._lock is not None:
            self._lock.close()

    def _turn(self) -> TurnLock | nullcontext[None]:
        return self._lock if self._lock is not None else nullcontext()


def _connect(path: Path | None) -> sqlite3.Connection:
    old = os.umask(0o077)
    try:
        base = sqlite3.connect(path or ":memory:", timeout=5.0, isolation_level=None, check_same_thread=False)
        base.execute("PRAGMA synchronous=OFF")
        base.execute(SCHEMA)
    finally:
        os.umask(old)
    return base
