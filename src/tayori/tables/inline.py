"""inline: a few entries written into the parameter itself (DATABASE_README).

`inline:{ key=value, { key = text with blanks or commas } }`; keys are folded to lower case.
"""

from __future__ import annotations

from tayori.config.origin import ConfigError
from tayori.tables.lines import fold
from tayori.tables.outcome import NOT_FOUND, Found, Outcome
from tayori.tables.rules import inline_items
from tayori.tables.spec import Spec


class InlineTable:
    """inline:{ … }."""

    partial = True

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        self._entries: dict[str, Found] = {}
        try:
            items = inline_items(spec.rest)
        except ConfigError as error:
            raise spec.bad(error.message, error.mend) from None
        if not items:
            raise spec.bad("the table is empty", "write inline:{ key=value }")
        for item in items:
            key, equals, value = item.partition("=")
            key, value = key.strip(), value.strip()
            if not equals or not key or not value:
                raise spec.bad(f'"{item}" is not key=value', "write key=value, or { key = text with blanks }")
            self._entries[fold(key)] = Found(value, spec.origin)  # of two the last counts

    async def lookup(self, key: str) -> Outcome:
        """Ask for the folded key."""
        return self._entries.get(fold(key), NOT_FOUND)

    def pairs(self) -> list[tuple[str, str]]:
        """All entries, for postmap -s."""
        return [(key, found.value) for key, found in self._entries.items()]

    def close(self) -> None:
        """Nothing to release."""
