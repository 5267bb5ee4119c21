"""What a table type is given to open one table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.tables.outcome import Table

if TYPE_CHECKING:
    from tayori.tables.registry import Tables

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Spec:
    """`kind:rest` as the administrator wrote it, with its surroundings.

    `form` is "map" or "aliases" (source syntax of indexed types); `on_missing` is "tempfail" or "empty" (what a
    source file that does not exist means); `fold` False keeps the case of keys (postmap -f); `open` opens another
    table by its specification (proxy, unionmap, pipemap); `cache` names the folder for index files;
    `registry` is for match lists inside a table (domain =).
    """

    kind: str
    rest: str
    settings: Settings
    open: Callable[[str], Table]
    cache: Callable[[], str]
    registry: Tables
    origin: Origin | None = None
    form: str = "map"
    on_missing: str = "tempfail"
    fold: bool = True
    clock: Clock = field(default=time.monotonic)

    @property
    def name(self) -> str:
        """`type:name` as written."""
        return f"{self.kind}:{self.rest}"

    def bad(self, why: str, mend: str = "") -> ConfigError:
        """The error for a specification that cannot be opened."""
        return ConfigError(f"{self.name}: {why}", self.origin, mend)
