"""Walking a message's body by MIME structure (RFC 2045, 2046), as header_checks(5) looks at it. Pure.

Nothing is decoded. Every line of the body is one item: part of a MIME header of a multipart, part of the header
of an attached message, or body (boundaries and everything else).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tayori.protocol.headers import View

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z)")
_TYPE = re.compile(rb"\s*([^\s/;]+)/([^\s/;]+)")
_DECIDING = ("content-type", "content-transfer-encoding")
_BOUNDARY = re.compile(rb";\s*boundary\s*=\s*(?:\"((?:\\.|[^\"\\])*)\"|([^\s;\"]+))", re.IGNORECASE)

MIME_NAMES = frozenset(
    (
        "content-description",
        "content-disposition",
        "content-id",
        "content-transfer-encoding",
        "content-type",
        "mime-version",
    )
)


@dataclass(frozen=True, slots=True)
class Item:
    """`content[start:end]`, line end included. `kind` is "mime", "nested" or "body"; `segment` counts body
    segments (attachments); headers are whole fields, folding included. `encoding` is what the part names (of body
    only). `encoded`: with this field the header says that a multipart or a message is encoded, which RFC 2045 6.4
    forbids."""

    kind: str
    start: int
    end: int
    segment: int
    encoding: bytes = b"7bit"
    encoded: bool = False


@dataclass(slots=True)
class _Type:
    main: bytes = b"text"
    sub: bytes = b"plain"
    boundary: bytes = b""
    encoding: bytes = b"7bit"

    def read(self, name: str, value: bytes, boundary_limit: int) -> None:
        """Take a Content-Type or Content-Transfer-Encoding field into account."""
        if name == "content-type":
            match = _TYPE.match(value)
            if match is None:
                return
            self.main, self.sub = match.group(1).lower(), match.group(2).lower()
            found = _BOUNDARY.search(value)
            if found is not None:
                quoted = found.group(1)
                text = re.sub(rb"\\(.)", rb"\1", quoted) if quoted is not None else found.group(2)
                self.boundary = text[:boundary_limit]
        elif name == "content-transfer-encoding":
            self.encoding = value.strip().lower()


def walk(
    content: View,
    start: int,
    primary: list[tuple[str, bytes]],
    nesting_limit: int = 100,
    boundary_limit: int = 2048,
    body_limit: int = 1 << 62,
) -> Iterator[Item]:
    """The items of the body that begins at `start`; `primary` are the (lower-case name, value) of the
    message's own header fields. Structure nested deeper than `nesting_limit` is read as body. After
    `body_limit` bytes of body in one segment the rest of it is skipped, quickly, up to the next boundary."""
    kind = _Type()
    for name, value in primary:
        kind.read(name, value, boundary_limit)
    stack: list[bytes] = []
    segment = 0
    seen = 0
    at = start
    header = ""
    if kind.main == b"multipart" and kind.boundary:
        stack.append(kind.boundary)
    elif _is_message(kind):
        header = "nested"
        kind = _Type()
        at += content[at : at + 1] == b"\n"
    while at < len(content):
        if header:
            match = _FIELD.match(content, at)
            if match is not None:
                name = match.group(1).decode("ascii").lower()
                kind.read(name, match.group().partition(b":")[2], boundary_limit)
                what = "mime" if header == "mime" or name in MIME_NAMES else "nested"
                yield Item(what, at, match.end(), segment, encoded=name in _DECIDING and _is_encoded(kind))
                at = match.end()
                continue
            header = ""
            deep = len(stack) >= nesting_limit
            if kind.main == b"multipart" and kind.boundary and not deep:
                stack.append(kind.boundary)
            elif _is_message(kind) and not deep and content[at : at + 1] == b"\n":
                at += 1
                header = "nested"
                kind = _Type()
                continue
        if seen >= body_limit and (not stack or content[at : at + 2] != b"--"):
            following = content.find(b"\n--", at) if stack else -1
            if following < 0:
                return
            at = following + 1
        end = content.find(b"\n", at) + 1 or len(content)
        level = _boundary(content, at, end, stack)
        if level is not None:
            index, closing = level
            del stack[index + (0 if closing else 1) :]
            segment += 1
            seen = 0
            kind = _Type()
            if not closing:
                header = "mime"
        if seen < body_limit:
            yield Item("body", at, end, segment, kind.encoding)
        seen += end - at
        at = end


def _is_encoded(kind: _Type) -> bool:
    composite = kind.main == b"multipart" or (kind.main == b"message" and kind.sub == b"rfc822")
    return composite and kind.encoding not in (b"7bit", b"8bit", b"binary")


def _is_message(kind: _Type) -> bool:
    return kind.main == b"message" and kind.sub == b"rfc822" and kind.encoding in (b"7bit", b"8bit", b"binary")


def _boundary(content: View, at: int, end: int, stack: list[bytes]) -> tuple[int, bool] | None:
    """Which enclosing multipart this line belongs to, and whether it closes it."""
    if not stack or content[at : at + 2] != b"--":
        return None
    line = content[at + 2 : end].rstrip()
    for index in range(len(stack) - 1, -1, -1):
        if line == stack[index]:
            return index, False
        if line == stack[index] + b"--":
            return index, True
    return None
