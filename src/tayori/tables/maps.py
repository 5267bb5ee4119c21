"""Maps: an ordered list of tables asked one after the other, as in every `*_maps` parameter (DATABASE_README)."""

from __future__ import annotations

from collections.abc import Iterable

from tayori.config.settings import Settings
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, Table, TempFail
from tayori.tables.registry import Tables, partial_keys


class Maps:
    """The first table that has the key answers; one that fails stops the search with TempFail."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = tuple(tables)
        self._asks = tuple(table.lookup for table in self.tables)
        self._partial_asks = tuple(table.lookup for table in self.tables if partial_keys(table))

    @classmethod
    def from_settings(
        cls, tables: Tables, settings: Settings, name: str, form: str = "map", on_missing: str = ""
    ) -> Maps:
        """Open every table that parameter `name` lists. Raises ConfigError with the line of the bad one."""
        return cls(
            tables.open(item, settings.origin_of(name, item.partition(" ")[0]), form, on_missing)
            for item in settings.items(name)
        )

    def __bool__(self) -> bool:
        return bool(self.tables)

    async def lookup(self, key: str, partial: bool = False) -> Outcome:
        """Ask all tables in order. With `partial` the key is a part of what is looked for (a parent domain,
        `@domain`, `user+ext` without the extension), and tables of patterns are not asked."""
        for ask in self._partial_asks if partial else self._asks:
            answer = await ask(key)
            if isinstance(answer, Found | TempFail):
                return answer
        return NOT_FOUND

    def close(self) -> None:
        """Close all tables (those shared through a Tables registry are closed there instead)."""
        for table in self.tables:
            table.close()
