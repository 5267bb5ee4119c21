"""static: every key has the same value, the table's name; `static:{ text with blanks }` (DATABASE_README)."""

from __future__ import annotations

from tayori.config.expand import closing
from tayori.config.origin import ConfigError
from tayori.tables.outcome import Found, Outcome
from tayori.tables.spec import Spec


class StaticTable:
    """static:text."""

    partial = True

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        value = spec.rest
        if value.startswith("{"):
            try:
                end = closing(value, 0)
            except ConfigError as error:
                raise spec.bad(error.message, error.mend) from None
            if value[end + 1 :].strip():
                raise spec.bad(
                    f'text after "}}": "{value[end + 1 :].strip()}"', "put all of the text into the braces"
                )
            value = value[1:end].strip()
        self._found = Found(value, spec.origin)

    async def lookup(self, key: str) -> Outcome:
        """The name, whatever the key."""
        return self._found

    def close(self) -> None:
        """Nothing to release."""
