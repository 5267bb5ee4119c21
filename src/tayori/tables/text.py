"""Indexed tables read from their text source: hash, btree, dbm, sdbm, lmdb, cdb and texthash.

Postfix keeps an indexed copy of such a file, made by postmap(1) or postalias(1); tayori reads the file itself, so
that forgetting the command can do no harm. `hash:/etc/aliases` reads /etc/aliases, never /etc/aliases.db.
Keys are folded to lower case when read and when asked, as in Postfix 2.3 and later; of two entries with the
same key the first counts (postmap(1) DIAGNOSTICS). A large file is not kept in memory: see index.py.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from tayori.config.origin import Origin
from tayori.tables.formats import FORMATS, Parser
from tayori.tables.index import Index, open_index
from tayori.tables.lines import Entry, Problem, fold, plain
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, TempFail
from tayori.tables.spec import Spec
from tayori.tables.watched import Loaded, Watched

log = logging.getLogger("tayori.tables")

LARGE_BYTES = 4 * 1024 * 1024
LARGE_LINES = 50_000
MAX_PROBLEMS = 1000


class Source(Protocol):
    """Folded key to (value, line)."""

    def get(self, key: str, /) -> tuple[str, int] | None:
        """None when there is no such key."""
        ...


class TextTable:
    """One indexed table. `partial`: look-ups of parts of an address or domain make sense here."""

    partial = True

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        self.path = spec.rest
        form = "map" if spec.kind == "texthash" else spec.form
        self._parse = FORMATS[form]
        self._form = form
        self._fold: Callable[[str], str] = fold if spec.fold else plain
        self._cache = spec.cache
        self._empty_when_missing = spec.on_missing == "empty"
        self._running = False
        self._source: Watched[Source] = Watched(self.path, self._load, spec.clock)
        self._running = True
        if self._source.why:
            place = f"{spec.origin}: " if spec.origin else ""
            counts = self._source.missing and self._empty_when_missing
            log.warning(
                "%s%s: %s",
                place,
                self._source.why,
                "it counts as an empty table until it is there" if counts else 'look-ups answer "try later"',
            )
        self._place = f" ({spec.origin})" if spec.origin else ""

    async def lookup(self, key: str) -> Outcome:
        """Ask for exactly this key, folded."""
        source = self._source.current()
        if source is None:
            if self._source.missing and self._empty_when_missing:
                return NOT_FOUND
            return TempFail(f"{self.name}: {self._source.why}{self._place}")
        hit = source.get(self._fold(key))
        if hit is None:
            return NOT_FOUND
        return Found(hit[0], Origin(self.path, hit[1]))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The bad lines of the version read last, for `check` and postmap."""
        return self._source.problems

    @property
    def why(self) -> str:
        """Why the table cannot be read; empty when it can."""
        return self._source.why

    def entries(self) -> Iterator[Entry]:
        """All entries in file order, the first of equal keys only (postmap -s). Raises OSError."""
        seen: set[str] = set()
        with open(self.path, "rb") as file:
            for item in self._parse(file):
                if isinstance(item, Entry):
                    key = self._fold(item.key)
                    if key not in seen:
                        seen.add(key)
                        yield Entry(key, item.value, item.line)

    def close(self) -> None:
        """Let go of the index file, if there is one."""
        source = self._source.current()
        if isinstance(source, Index):
            source.close()

    def _load(self, path: str) -> Loaded[Source]:
        with open(path, "rb") as file:
            large = os.fstat(file.fileno()).st_size > LARGE_BYTES or _longer(file, LARGE_LINES)
            file.seek(0)
            if large:
                made = open_index(file, path, self._parse, self._form, self._fold, self._cache, self._running)
                return Loaded(made.value, made.problems)
            entries, problems = read_entries(self._parse, file, self._fold)
        return Loaded(entries, problems)


def _longer(file: Iterator[bytes], lines: int) -> bool:
    return next(islice(file, lines, None), None) is not None


def read_entries(
    parse: Parser, file: Iterator[bytes], folding: Callable[[str], str]
) -> tuple[dict[str, tuple[str, int]], tuple[Problem, ...]]:
    """Read a whole source into a dict: folded key to (value, line)."""
    entries: dict[str, tuple[str, int]] = {}
    problems: list[Problem] = []
    for item in parse(file):
        if isinstance(item, Problem):
            if len(problems) < MAX_PROBLEMS:
                problems.append(item)
        else:
            entries.setdefault(folding(item.key), (item.value, item.line))
    return entries, tuple(problems)
