"""One row per parameter: the row feeds the parser, postconf, the manual, check and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a value must look like."""

    TEXT = "text"
    FLAG = "yes or no"
    NUMBER = "a whole number"
    CODE = "an SMTP reply code (three digits)"
    TIME = "a time (s, m, h, d, w)"
    LIST = "a list, separated by commas or blanks"
    TABLES = "lookup tables (type:name), separated by commas or blanks"
    NETWORKS = "networks (address/prefix), separated by commas or blanks"
    DOMAINS = "domains, files or lookup tables"
    RESTRICTIONS = "restrictions, separated by commas or blanks"
    CHOICE = "one of a fixed set"
    PATH = "a path"
    SERVICE = "transport:nexthop"


class Status(Enum):
    """What tayori does with the parameter."""

    IMPLEMENTED = "implemented"
    PARTLY = "implemented in part"
    PLANNED = "planned"
    ACCEPTED = "accepted, no effect"
    TRANSLATED = "translated to a modern name"


@dataclass(frozen=True, slots=True)
class Row:
    """`default` is raw text as in postconf(5), `$name` unexpanded. `unit` is the letter a bare TIME takes.

    `doc` says what it is for, in Postfix's sense. `why`: of one that is not IMPLEMENTED why it has no effect here,
    what does the same, or what holds meanwhile; of one that is PARTLY what is missing; of an old name (TRANSLATED)
    why it is not understood, empty when it is. Either may be a Phrase. `reason` is both, as `check` prints it.
    `whole`: words that work wholly though the parameter is PARTLY; of a value of no others nothing is said.
    `low`/`high` bound a NUMBER or TIME (in seconds); `choices` close a CHOICE.
    `raw` values are not expanded when read: their $names are filled in at each use ($user, $client_address …).
    """

    name: str
    kind: Kind
    default: str
    doc: str = ""
    status: Status = Status.IMPLEMENTED
    why: str = ""
    since: str = ""
    unit: str = "s"
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    instead: str = ""
    tayori: bool = False
    raw: bool = False
    whole: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """What the parameter is for and why it has no effect; empty for one that works."""
        return f"{self.doc} {self.why}" if self.why else ""


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one module under its title."""

    title: str
    rows: tuple[Row, ...]
