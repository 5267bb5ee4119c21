"""What all workers have under way to each destination, in one shared memory map (DESIGN "Processes and privileges").

The master makes a `DeliveryBoard` before it forks and clears the region of a worker that has died. A worker writes
its own region only: it counts itself first and looks at the others then, and who finds too many takes himself back,
so that a limit is never passed, without a lock. A destination is a number, its name's checksum: two that share one
(one pair in 65,536) share their limit, too.
"""

from __future__ import annotations

import mmap
from zlib import crc32

SLOTS = 65536
MOST = 65535


class DeliveryBoard:
    """The map. `regions` bounds the workers alive at once; memory is taken by what is written, 256 KiB a region."""

    def __init__(self, regions: int = 1) -> None:
        self.regions = regions
        counts = regions * SLOTS
        self.memory = mmap.mmap(-1, 8 + SLOTS * 8 + counts * 4)
        view = memoryview(self.memory)
        self._used = view[:8].cast("Q")
        self.until = view[8 : 8 + SLOTS * 8].cast("d")
        self.busy = view[8 + SLOTS * 8 : 8 + SLOTS * 8 + counts * 2].cast("H")
        self.waiting = view[8 + SLOTS * 8 + counts * 2 :].cast("H")

    def clear(self, region: int) -> None:
        """Forget what a dead worker had under way; told by the master, also before a worker takes the region."""
        self._used[0] = max(self._used[0], region + 1)
        empty = memoryview(bytes(SLOTS * 2)).cast("H")
        self.busy[region * SLOTS : (region + 1) * SLOTS] = empty
        self.waiting[region * SLOTS : (region + 1) * SLOTS] = empty

    @property
    def used(self) -> int:
        """How many regions have ever been written: readers look no further."""
        return int(self._used[0])


class Share:
    """One worker's view."""

    def __init__(self, board: DeliveryBoard, region: int) -> None:
        self._board = board
        self._region = region

    @staticmethod
    def slot(*words: str) -> int:
        """The number of a destination."""
        return crc32("\0".join(words).encode("utf-8", "surrogateescape")) % SLOTS

    def others(self, slot: int) -> int:
        """How many deliveries the other workers have under way."""
        board = self._board
        return sum(board.busy[r * SLOTS + slot] for r in range(board.used) if r != self._region)

    def take(self, slot: int, limit: int) -> bool:
        """One more of ours, unless all workers together would then have more than `limit` (0: no limit), or we more
        than our part while others wait for theirs."""
        board = self._board
        at = self._region * SLOTS + slot
        own = board.busy[at] + 1
        if own > MOST:
            return False
        board.busy[at] = own
        if limit:
            others = [r for r in range(board.used) if r != self._region]
            kept = sum(1 for r in others if board.waiting[r * SLOTS + slot])
            if own + self.others(slot) > limit or (kept and own > max(1, limit // (kept + 1))):
                board.busy[at] = own - 1
                return False
        return True

    def give(self, slot: int) -> None:
        """One less."""
        at = self._region * SLOTS + slot
        self._board.busy[at] = max(0, self._board.busy[at] - 1)

    def wait(self, slot: int, count: int) -> None:
        """How many of ours have no place."""
        self._board.waiting[self._region * SLOTS + slot] = min(count, MOST)

    def until(self, slot: int) -> float:
        """Not before this time (seconds since the epoch)."""
        return float(self._board.until[slot])

    def rest(self, slot: int, until: float) -> None:
        """Nothing before this time. Only whoever has taken the last place of a limit of one may say so."""
        self._board.until[slot] = until
