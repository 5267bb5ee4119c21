"""smtp_sasl_auth_cache_name, …_cache_time (and lmtp_…): a password that a server refused is not tried again.

`sasl_refused.sqlite` in tayori's folder stands for whatever tables the parameter names. It holds server, name, a
salted scrypt digest of the password, the server's words and the time. It is shared by all workers, bounded, and holds
nothing that cannot be learnt again: where the file cannot be used logins are tried, as without the parameter.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tayori.config.settings import Settings

log = logging.getLogger("tayori.sasl")
FILE_NAME = "sasl_refused.sqlite"
MOST = 10_000
MOST_WORDS = 1000
SCHEMA = """
CREATE TABLE IF NOT EXISTS refused (
    cache TEXT, host TEXT, username TEXT,
    salt BLOB NOT NULL, digest BLOB NOT NULL, said TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (cache, host, username)) WITHOUT ROWID"""


class RefusedLogins:
    """`seconds` is the age at which an entry no longer counts; `cache` is the table's name, as different ones know
    nothing of each other."""

    def __init__(self, path: Path, seconds: float, cache: str = "", clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._seconds = seconds
        self._cache = cache
        self._clock = clock
        self._told = False

    @classmethod
    def of(cls, settings: Settings, prefix: str, folder: Path) -> RefusedLogins | None:
        """None while the parameter is empty. Raises ConfigError."""
        cache = settings.text(f"{prefix}_sasl_auth_cache_name")
        if not cache:
            return None
        return cls(folder / FILE_NAME, settings.seconds(f"{prefix}_sasl_auth_cache_time"), cache)

    async def said(self, host: str, username: str, password: str) -> str:
        """What the server said when it refused this very name and password lately; "" when it did not."""
        return await asyncio.to_thread(self._said, host, username, password)

    async def note(self, host: str, username: str, password: str, said: str) -> None:
        """The server refused them for good (535)."""
        await asyncio.to_thread(self._note, host, username, password, said)

    def _said(self, host: str, username: str, password: str) -> str:
        try:
            with closing(self._open()) as base:
                row = base.execute(
                    "SELECT salt, digest, said FROM refused WHERE cache = ? AND host = ? AND username = ? AND at > ?",
                    (self._cache, host.lower(), username, self._clock() - self._seconds),
                ).fetchone()
        except (sqlite3.Error, OSError) as error:
            self._cannot(error)
            return ""
        if row is None or not hmac.compare_digest(bytes(row[1]), _digest(bytes(row[0]), password)):
            return ""
        return str(row[2])

    def _note(self, host: str, username: str, password: str, said: str) -> None:
        salt, now = os.urandom(16), self._clock()
        row = (self._cache, host.lower(), username, salt, _digest(salt, password), said[:MOST_WORDS], now)
        try:
            with closing(self._open()) as base, base:
                base.execute("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                base.execute("DELETE FROM refused WHERE at <= ?", (now - self._seconds,))
                base.execute(
                    "DELETE FROM refused WHERE at < (SELECT at FROM refused ORDER BY at DESC LIMIT 1 OFFSET ?)",
                    (MOST - 1,),
                )
        except (sqlite3.Error, OSError) as error:
            self._cannot(error)

    def _open(self) -> sqlite3.Connection:
        before = os.umask(0o077)
        try:
            base = sqlite3.connect(self._path, timeout=5.0)
        finally:
            os.umask(before)
        base.execute(SCHEMA)
        return base

    def _cannot(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            log.warning("%s: refused logins cannot be remembered: %s", self._path, error)


def _digest(salt: bytes, password: str) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogateescape"), salt=salt, n=1 << 12, r=8, p=1, dklen=32)
