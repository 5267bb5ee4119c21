"""Answers that hold for a moment: mail comes in bursts to the same addresses.

Text tables are looked at for changes once a second at most (tables.watched), so an answer kept no longer than that
is never staler than the table's own. Only good answers are kept; trouble and refusals are asked anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

SECONDS = 1.0
MOST = 10_000
K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A bounded map whose entries end after SECONDS of `clock` (monotonic seconds)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[K, V] = {}
        self._until = 0.0

    def get(self, key: K) -> V | None:
        """The kept answer, None when there is none."""
        if self._clock() >= self._until:
            self._kept.clear()
            return None
        return self._kept.get(key)

    def keep(self, key: K, value: V) -> V:
        """Keep and hand on."""
        now = self._clock()
        if now >= self._until or len(self._kept) >= MOST:
            # one age for all: cheaper than a time per entry, and no entry lives longer than SECONDS
            self._kept.clear()
            self._until = now + SECONDS
        self._kept[key] = value
        return value
