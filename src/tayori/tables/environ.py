"""environ: the process's environment; the key is the variable's name, the table's name is ignored.

What import_environment sets (`NAME=value`, postconf(5)) is there too, and goes before the environment itself.
"""

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
        items = spec.settings.items("import_environment")
        given = (item.strip("{} ").partition("=") for item in items if "=" in item)
        self._set = {name.strip(): value.strip() for name, _, value in given}

    async def lookup(self, key: str) -> Outcome:
        """The variable's value; the name is folded to lower case, as in Postfix."""
        name = fold(key)
        value = self._set[name] if name in self._set else os.environ.get(name)
        return NOT_FOUND if value is None else Found(value)

    def close(self) -> None:
        """Nothing to release."""
