"""What a look-up can answer: a closed set. A table that cannot be reached is never "not found"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tayori.config.origin import Origin


@dataclass(frozen=True, slots=True)
class Found:
    """The value as text; `origin` is the line of the source, where there is one."""

    value: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """The table was asked and has no such key."""


@dataclass(frozen=True, slots=True)
class TempFail:
    """The table could not answer now: the caller answers 4xx. `why` is for the log, never for a client."""

    why: str


Outcome = Found | NotFound | TempFail
NOT_FOUND = NotFound()


class Table(Protocol):
    """One lookup table. `name` is `type:name` as the administrator wrote it (`hash:/etc/aliases`)."""

    name: str

    async def lookup(self, key: str) -> Outcome:
        """Ask for exactly this key (tables that fold case do so themselves). Never raises for trouble."""
        ...

    def close(self) -> None:
        """Release files, pools and connections."""
        ...
