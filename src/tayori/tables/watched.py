"""A file that is read once and read again when it changes, without ever losing a good version.

Contract: `current()` costs one clock reading when nothing is due; the file is looked at (stat) at most once in
`INTERVAL` seconds. A change younger than `SETTLE` seconds is left alone until it has settled, so that a file which
an editor has just emptied to write it anew is not taken for an empty table. A version that cannot be read, or
that has bad lines while a good one is known, is refused with one warning that names file and line; the good
one stays. At the first reading bad lines are left out with a warning each, as Postfix does; a later version
with no more bad lines than the one in use is taken.
Files above `BACKGROUND_BYTES` are read again in a thread, while the old version goes on answering; where there is no
old one, there is no answer yet (`why` says so). A reading that failed there is tried again after `RETRY` seconds.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tayori.tables.lines import Problem

log = logging.getLogger("tayori.tables")

INTERVAL = 1.0
SETTLE = 0.25
BACKGROUND_BYTES = 256 * 1024
RETRY = 30.0
SHOWN_PROBLEMS = 5

T = TypeVar("T")
Signature = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """What a loader made of a file: the value without the bad lines, and the bad lines."""

    value: T
    problems: tuple[Problem, ...] = ()


def signature(stat: os.stat_result) -> Signature:
    """What tells one version of a file from another."""
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class Watched(Generic[T]):
    """`load(path)` reads and parses the file; OSError means that it cannot be read.

    After construction `why` says why there is no value (empty when there is one) and `missing` whether the
    file does not exist.
    """

    def __init__(
        self,
        path: str,
        load: Callable[[str], Loaded[T]],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.why = ""
        self.missing = False
        self.problems: tuple[Problem, ...] = ()
        self._load = load
        self._clock = clock
        self._wall = wall
        self._value: T | None = None
        self._seen: Signature | None = None
        self._told = ""
        self._accepted: Counter[str] = Counter()
        self._busy = threading.Lock()
        self._next = clock() + INTERVAL
        self._look(first=True)

    def current(self) -> T | None:
        """The newest good version; None while there has never been one (`why` says why)."""
        if self._clock() >= self._next:
            self._next = self._clock() + INTERVAL
            self._look()
        return self._value

    def _look(self, first: bool = False) -> None:
        try:
            stat = os.stat(self.path)
        except OSError as error:
            self._failed(error)
            return
        found = signature(stat)
        if found == self._seen:
            return
        if not first and self._value is not None:
            age = self._wall() - stat.st_mtime
            if 0 <= age < SETTLE:
                self._next = self._clock() + SETTLE
                return
        if not first and stat.st_size > BACKGROUND_BYTES:
            if self._value is None:
                self.missing = False
                self.why = f"{self.path}: is just being read"
            if self._busy.acquire(blocking=False):
                threading.Thread(target=self._in_background, args=(found,), daemon=True).start()
            return
        self._read(found)

    def _in_background(self, found: Signature) -> None:
        try:
            self._read(found)
        finally:
            self._busy.release()

    def _read(self, found: Signature) -> None:
        try:
            loaded = self._load(self.path)
        except OSError as error:
            if self._busy.locked():
                self._next = self._clock() + RETRY
            self._failed(error)
            return
        self._seen = found
        self.problems = loaded.problems
        self.missing = False
        reasons = Counter(problem.why for problem in loaded.problems)
        if self._value is not None and not reasons <= self._accepted:
            worst = loaded.problems[0]
            more = f" (and {len(loaded.problems) - 1} more lines)" if len(loaded.problems) > 1 else ""
            self._tell(f"{self.path}:{worst.line}: {worst.why}{more}; the version read before stays in use")
            return
        self._accepted = reasons
        for problem in loaded.problems[:SHOWN_PROBLEMS]:
            log.warning("%s:%d: %s; the line is left out", self.path, problem.line, problem.why)
        if len(loaded.problems) > SHOWN_PROBLEMS:
            log.warning("%s: %d more bad lines", self.path, len(loaded.problems) - SHOWN_PROBLEMS)
        if self._value is not None:
            log.info("%s has changed and was read again", self.path)
        self._value = loaded.value
        self.why = self._told = ""

    def _failed(self, error: OSError) -> None:
        self.missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        self.why = f"{self.path}: {error.strerror or error}"
        if self._value is None:
            return
        self.why = ""
        self._tell(f"{self.path}: cannot be read ({error.strerror or error}); the version read before stays in use")

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            log.warning("%s", text)
