"""Message headers as bytes: where they end, their fields (RFC 5322 2.2).

Content has LF line ends. Nothing here decodes a body; fields keep their bytes unless they are changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmap import mmap

    View = bytes | mmap
    """Content in memory, or in a file that is mapped."""

_BLOCK = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*)*")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*\n(?:[ \t][^\n]*\n)*)")


@dataclass(frozen=True, slots=True)
class Field:
    """One header field: its name in lower case and its bytes, the final line end included."""

    name: str
    raw: bytes

    @property
    def value(self) -> bytes:
        """What follows the colon, folding kept, stripped at both ends."""
        return self.raw.partition(b":")[2].strip()


def bounded(raw: bytes, limit: int, line: int = 2048) -> bytes:
    """A field without the lines that begin beyond `limit` bytes (header_size_limit, as Postfix counts it); of a line
    that goes on for more than `line` bytes there, that much."""
    if len(raw) <= limit:
        return raw
    cut = raw.find(b"\n", limit, limit + line + 1)
    if cut < 0:
        cut = limit + line
    return raw if cut >= len(raw) - 1 else raw[:cut] + b"\n" * raw.endswith(b"\n")


def header_end(content: View) -> int:
    """Offset of the first byte that belongs to no header field (the empty line, where the message is well made).

    A last line without a line end is not part of the header.
    """
    match = _BLOCK.match(content)
    return match.end() if match else 0


def fields(header: bytes) -> list[Field]:
    """All fields of a header block, in order."""
    return [Field(m.group(1).decode("ascii").lower(), m.group()) for m in _FIELD.finditer(header)]


def field(name: str, value: str) -> bytes:
    """`Name: value` as bytes, ended by a line end."""
    return f"{name}: {value}\n".encode("utf-8", "surrogateescape")
