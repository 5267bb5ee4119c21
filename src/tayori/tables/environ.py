"""environ: the process's environment; the key is the variable's name, the table's name is ignored."""

from __future__ import annotations

import os

from tayori.tables.lines import fold
from tayori.tables.outcome import NOT_FOUND, Found, Outcome
from tayori.tables.spec import Spec


class EnvironTable:
    """environ:anything."""

    partial = True

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name

    async def lookup(self, key: str) -> Outcome:
        """The variable's value; the name is folded to lower case, as in Postfix."""
        value = os.environ.get(fold(key))
        return NOT_FOUND if value is None else Found(value)

    def close(self) -> None:
        """Nothing to release."""
