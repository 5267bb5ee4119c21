"""Large content for tests: a content file as the queue keeps it, and bodies that show where they were cut."""

from __future__ import annotations

from pathlib import Path

from tayori.queue.content import stored
from tayori.queue.model import Stored

LINE = b"%08d From . dots and bytes to tell one line from another\n"


def body(size: int) -> bytes:
    """About `size` bytes of lines, no two alike, some of which begin with a dot or "From "."""
    lines, done, at = [], 0, 0
    while done < size:
        line = (b"", b".", b"From ", b"..")[at % 4] + LINE % at
        lines.append(line)
        done += len(line)
        at += 1
    return b"".join(lines)


def keep(path: Path, content: bytes, gap: int = 4096) -> Stored:
    """The content in a file, after `gap` bytes that are none of it."""
    path.write_bytes(bytes(gap) + content)
    return stored(str(path), len(content))
