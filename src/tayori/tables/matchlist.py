"""Match lists: parameters that hold patterns, not look-ups (mydestination, relay_domains, mynetworks …).

postconf(5) mydestination, relay_domains, mynetworks, debug_peer_list; DATABASE_README "Postfix lists versus tables".
A list holds patterns parted by commas or blanks; `/file/name` stands for the patterns in that file (looked at again
when it changes), `type:table` for a table that is asked whether the key is there, `!pattern` for "not this one".
The first pattern that fits decides. What a pattern is depends on the kind of list:

    STRING   the same text, in any case (mydestination, virtual_mailbox_domains)
    DOMAIN   a host or domain: the same name; `.domain` fits names below it; with parents=True (the parameter is
             named in parent_domain_matches_subdomains) `domain` fits those too (relay_domains)
    NETWORK  an address, net/len, [addr], [net]/len (mynetworks)
    HOST     DOMAIN patterns for the name and NETWORK patterns for the address of a client (debug_peer_list)

Neighbouring patterns are compiled into dicts, so that ten thousand of them cost as much as ten.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings, split_items
from tayori.tables.lines import fold, logical_lines
from tayori.tables.networks import NetworkIndex, parse_address, parse_network
from tayori.tables.outcome import Found, Table, TempFail
from tayori.tables.registry import TYPES, Tables, partial_keys
from tayori.tables.watched import INTERVAL, signature

log = logging.getLogger("tayori.tables")

MAX_NESTING = 10


class Kind(Enum):
    """What the patterns of a list are."""

    STRING = "string"
    DOMAIN = "domain"
    NETWORK = "network"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Match:
    """The pattern that fits, and the line it stands in (None: a default)."""

    pattern: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern as written, `!` taken off."""

    text: str
    negated: bool
    origin: Origin | None


class _Group:
    """Neighbouring patterns without tables: dicts from key to place; the lowest place decides."""

    def __init__(self, kind: Kind, parents: bool) -> None:
        self.patterns: list[Pattern] = []
        self._kind = kind
        self._parents = parents
        self._exact: dict[str, int] = {}
        self._below: dict[str, int] = {}
        self._networks = NetworkIndex()

    def add(self, pattern: Pattern) -> None:
        """Raises ConfigError for a bad network."""
        place = len(self.patterns)
        self.patterns.append(pattern)
        text = fold(pattern.text)
        if self._kind is Kind.NETWORK or (self._kind is Kind.HOST and _looks_like_network(text)):
            if self._kind is Kind.NETWORK and _a_word(text):
                return
            try:
                self._networks.add(parse_network(text), place)
            except ValueError as error:
                raise ConfigError(
                    str(error), pattern.origin, "write an address or net/length, IPv6 as [net]/length"
                ) from None
            return
        self._exact.setdefault(text, place)
        if self._kind is not Kind.STRING:
            if text.startswith("."):
                if not self._parents:
                    self._below.setdefault(text[1:], place)
            elif self._parents:
                self._below.setdefault(text, place)

    def find(self, name: str, address: tuple[int, int] | None) -> Pattern | None:
        """The first pattern that fits the folded name or the parsed address."""
        best = -1
        if name:
            best = self._exact.get(name, -1)
            if self._below:
                at = name.find(".")
                while at >= 0:
                    place = self._below.get(name[at + 1 :])
                    if place is not None and (best < 0 or place < best):
                        best = place
                    at = name.find(".", at + 1)
        if address is not None:
            place = self._networks.first(*address)
            if place >= 0 and (best < 0 or place < best):
                best = place
        return self.patterns[best] if best >= 0 else None


def _a_word(text: str) -> bool:
    """Neither an address nor meant as one: Postfix compares it with the address, which no word is equal to."""
    return not any(sign in text for sign in "/:[") and not text.replace(".", "").isdigit()


class _TableStep:
    """A `type:table` pattern: is the key there?"""

    def __init__(self, pattern: Pattern, table: Table, parents: bool) -> None:
        self.pattern = pattern
        self._table = table
        self._parents = parents
        self._partial = partial_keys(table)

    async def find(self, names: tuple[str, ...], domain: bool) -> Pattern | TempFail | None:
        for name in names:
            for key in self._keys(name) if domain else (name,):
                answer = await self._table.lookup(key)
                if isinstance(answer, Found):
                    return self.pattern
                if isinstance(answer, TempFail):
                    return answer
        return None

    def _keys(self, name: str) -> Iterable[str]:
        yield name
        if not self._partial or ":" in name:
            return
        at = name.find(".", 1)
        while at >= 0:
            yield name[at + 1 :] if self._parents else name[at:]
            at = name.find(".", at + 1)


_Steps = tuple["_Group | _TableStep", ...]


class MatchList:
    """A compiled list. `match` takes one text, `match_client` a client's name and address (kind HOST)."""

    def __init__(
        self,
        patterns: Iterable[tuple[str, Origin | None]],
        kind: Kind,
        tables: Tables,
        parents: bool = False,
    ) -> None:
        """Raises ConfigError for a bad pattern, an unreadable /file and a table that cannot be opened."""
        self.kind = kind
        self.parents = parents
        self._patterns = tuple(patterns)
        self._tables = tables
        self._clock = tables.clock
        self._files: dict[str, object] = {}
        self._told = ""
        self._steps: _Steps = self._compile()
        self._next = self._clock() + INTERVAL

    @classmethod
    def from_settings(cls, tables: Tables, settings: Settings, name: str, kind: Kind) -> MatchList:
        """The list in parameter `name`; parents by parent_domain_matches_subdomains. Raises ConfigError."""
        patterns = [(item, settings.origin_of(name, item) or settings.origin(name)) for item in settings.items(name)]
        return cls(patterns, kind, tables, parents_match(settings, name))

    def __bool__(self) -> bool:
        return bool(self._patterns)

    async def match(self, text: str) -> Match | TempFail | None:
        """Does the list hold this domain, string or address?"""
        if self.kind is Kind.NETWORK:
            return await self._find("", text)
        if self.kind is Kind.HOST and (address := parse_address(text)) is not None:
            return await self._find("", text, address)
        return await self._find(text, "")

    async def match_client(self, name: str, address: str) -> Match | TempFail | None:
        """Does the list hold this client? `name` may be "unknown"."""
        return await self._find(name, address)

    async def _find(self, name: str, address: str, parsed: tuple[int, int] | None = None) -> Match | TempFail | None:
        if self._files and self._clock() >= self._next:
            self._look_again()
        name = fold(name)
        if address and parsed is None:
            parsed = parse_address(address)
        for step in self._steps:
            found: Pattern | TempFail | None
            if isinstance(step, _Group):
                found = step.find(name, parsed)
            else:
                names = tuple(text for text in (name, address) if text) or ("",)
                found = await step.find(names, self.kind in (Kind.DOMAIN, Kind.HOST))
            if found is None:
                continue
            if isinstance(found, TempFail):
                return found
            return None if found.negated else Match(found.text, found.origin)
        return None

    def _compile(self) -> _Steps:
        steps: list[_Group | _TableStep] = []
        files: dict[str, object] = {}
        for pattern in self._expand(self._patterns, False, files, 0):
            if _is_table(pattern.text):
                table = self._tables.open(pattern.text, pattern.origin)
                steps.append(_TableStep(pattern, table, self.parents))
                continue
            if not steps or not isinstance(steps[-1], _Group):
                steps.append(_Group(self.kind, self.parents))
            group = steps[-1]
            assert isinstance(group, _Group)
            group.add(pattern)
        self._files = files
        return tuple(steps)

    def _expand(
        self, items: Iterable[tuple[str, Origin | None]], negated: bool, files: dict[str, object], depth: int
    ) -> Iterable[Pattern]:
        for item, origin in items:
            text, turned = item, negated
            while text.startswith("!"):
                text, turned = text[1:].lstrip(), not turned
            if not text:
                raise ConfigError('"!" has no pattern after it', origin, "write !pattern without a blank")
            if not text.startswith("/"):
                yield Pattern(text, turned, origin)
                continue
            if depth >= MAX_NESTING:
                raise ConfigError(f"{text}: files name one another more than {MAX_NESTING} deep", origin, "")
            yield from self._expand(_file_items(text, origin, files), turned, files, depth + 1)

    def _look_again(self) -> None:
        self._next = self._clock() + INTERVAL
        if all(_look(path) == seen for path, seen in self._files.items()):
            return
        before = self._files
        try:
            self._steps = self._compile()
            self._told = ""
        except ConfigError as error:
            self._files = before
            if str(error) != self._told:
                self._told = str(error)
                log.warning("%s; the version read before stays in use", error)


def parents_match(settings: Settings, name: str) -> bool:
    """Whether parent_domain_matches_subdomains names this parameter."""
    return name in settings.items("parent_domain_matches_subdomains")


def _look(path: str) -> object:
    try:
        return signature(os.stat(path))
    except OSError as error:
        return error.errno


def _file_items(path: str, origin: Origin | None, files: dict[str, object]) -> list[tuple[str, Origin | None]]:
    files[path] = _look(path)
    try:
        with open(path, "rb") as file:
            lines = [(number, text.decode("utf-8", "surrogateescape")) for number, text in logical_lines(file)]
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", origin, "check that the file exists and its mode") from None
    return [(item, Origin(path, number)) for number, text in lines for item in split_items(text)]


def _is_table(text: str) -> bool:
    if text.startswith("["):
        return False
    kind, colon, rest = text.partition(":")
    return bool(colon and rest) and (kind in TYPES or (not _looks_like_network(text) and kind.isalnum()))


def _looks_like_network(text: str) -> bool:
    if text.startswith("["):
        return True
    address = text.partition("/")[0]
    if ":" in address:
        return all(char in "0123456789abcdefABCDEF:." for char in address)
    return all(char in "0123456789." for char in address)
