"""Whether a message stands in an mbox file already, or the beginning of it, which a killed process has left.

Asked only after an attempt whose end is not known. The message is told from all others by its own Received line,
which has the queue id; what its owner's mail program has changed meanwhile (a Status line) is not known again. Files
are read, not mapped: one that somebody cuts off meanwhile would end the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

NEEDLE = 4096
"""Bytes by which a place is found; all are compared then."""
BLOCK = 1 << 20
MOST = 256 << 20
"""Bytes at the end of the file that are looked through."""
BEGINNING = b"\nFrom "

Pieces = Callable[[], Iterator[bytes]]
"""The message as it would be written, its "From " line first."""


def stands(fd: int, end: int, pieces: Pieces) -> tuple[bool, int]:
    """Whether all of it is in the file of `end` bytes; where the file shall be cut off first, if not. Raises OSError,
    Unreadable."""
    low = max(0, end - MOST)
    from_line, needle = _beginning(pieces)
    begin = rfind(fd, BEGINNING, low, end) + 1
    line, _, _ = os.pread(fd, BLOCK, begin).partition(b"\n")
    at = begin + len(line) + 1
    sender, _, _ = from_line.partition(b"  ")
    if line.startswith(sender + b"  ") and at <= end:
        same = _compared(fd, at, end, pieces)
        if same is not None:
            return same, end if same else begin
    high = end
    while (found := rfind(fd, needle, low, high)) >= 0:
        if _compared(fd, found, end, pieces):
            return True, end
        high = found + len(needle) - 1
    return False, end


def _beginning(pieces: Pieces) -> tuple[bytes, bytes]:
    """The "From " line, and what is looked for."""
    first = b""
    for piece in pieces():
        first += piece[: 2 * NEEDLE]
        if len(first) >= 2 * NEEDLE:
            break
    line, _, rest = first.partition(b"\n")
    return line, rest[:NEEDLE]


def _compared(fd: int, at: int, end: int, pieces: Pieces) -> bool | None:
    """Whether the message stands there; False: its beginning, and then the file ends; None: something else."""
    skip = True
    for piece in pieces():
        if skip:
            piece = piece.partition(b"\n")[2]
            skip = False
        there = os.pread(fd, min(len(piece), end - at), at)
        if there != piece:
            return False if at + len(there) == end and piece.startswith(there) else None
        at += len(piece)
    return True


def rfind(fd: int, needle: bytes, low: int, high: int) -> int:
    """The last place of the needle between two offsets; -1 for none. Raises OSError."""
    while high - low >= len(needle):
        start = max(low, high - BLOCK)
        at = os.pread(fd, high - start, start).rfind(needle)
        if at >= 0:
            return start + at
        if start == low:
            break
        high = start + len(needle) - 1
    return -1
