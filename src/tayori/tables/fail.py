"""fail: a table that fails every look-up, for tests of what happens then (DATABASE_README)."""

from __future__ import annotations

from tayori.tables.outcome import Outcome, TempFail
from tayori.tables.spec import Spec


class FailTable:
    """fail:name."""

    partial = False

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        self._answer = TempFail(f"{self.name}: a table of type fail always fails")

    async def lookup(self, key: str) -> Outcome:
        """TempFail, always."""
        return self._answer

    def close(self) -> None:
        """Nothing to release."""
