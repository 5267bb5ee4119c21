"""Address verification for one who only tells: the states that the running server remembers, and no probe."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from tayori.config.settings import Settings
from tayori.policy.services import Verified, Verify
from tayori.programs.daemons.verify import UNKNOWN, Times, key_of
from tayori.programs.daemons.verify_store import Known

FILE_NAME = "verify.sqlite"


class Recalled:
    """Stands in for the Verifier. What is not known, or not believed any more, is "unknown", as before a probe."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Raises ConfigError."""
        self._path = folder / FILE_NAME if settings.text("address_verify_map") else None
        self._times = Times.of(settings)

    def waiting(self, settings: Settings) -> Verify:
        """As Verifier.waiting, but it never waits."""
        del settings
        return self.query

    async def query(self, address: str) -> Verified:
        """The state of `address`."""
        known = self._get(key_of(address))
        if known is None or self._times.expires(known) <= time.time():
            return UNKNOWN
        return Verified(known.state, known.reason, known.enhanced)

    def _get(self, key: str) -> Known | None:
        if self._path is None or not self._path.exists():
            return None
        try:
            base = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=2.0)
        except sqlite3.Error:
            return None
        try:
            row = base.execute(
                "SELECT state, reason, enhanced, at, probed FROM address WHERE address = ?", (key,)
            ).fetchone()
        except sqlite3.Error:
            return None
        finally:
            base.close()
        return Known(*row) if row is not None else None
