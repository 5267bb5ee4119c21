"""Message headers as bytes: where they end, their fields, the addresses inside them (RFC 5322 2.2, 3.4).

Content has LF line ends. Nothing here decodes a body; fields keep their bytes unless they are changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tayori.protocol.address import quote

if TYPE_CHECKING:
    from mmap import mmap

    View = bytes | mmap
    """Content in memory, or in a file that is mapped."""

_BLOCK = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*)*")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*\n(?:[ \t][^\n]*\n)*)")
_WORD = re.compile(r"[^\s()<>\[\]:;@\\,\"]+")


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


FOLD_AT = 70
_CLOSING = {'"': '"', "(": ")", "<": ">", "[": "]"}
_FOLD = re.compile(r"[ \t]*\n[ \t]*")


def field(name: str, value: str) -> bytes:
    """`Name: value` as bytes, ended by a line end."""
    return f"{name}: {value}\n".encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Span:
    """An address in a header value: `text[start:end]` is what stands there; `address` its internal form."""

    start: int
    end: int
    address: str


def addresses(text: str) -> list[Span]:
    """The addresses of an address-list value: plain, inside <…>, in groups; comments and phrases are skipped.

    Malformed pieces are left out, so that they stay as they are. Never raises.
    """
    found: list[Span] = []
    tokens = _tokens(text)
    start = 0
    angle = False
    for at, (kind, _, _, _) in enumerate(tokens):
        if kind == "<":
            angle = True
        elif kind == ">":
            angle = False
        elif kind == ";" or (kind == "," and not (angle and _in_route(tokens, at))):
            _one(tokens[start:at], found)
            start = at + 1
            angle = False
        elif kind == ":" and not angle and tokens[start][0] != "@":
            start = at + 1
    _one(tokens[start:], found)
    return found


_Token = tuple[str, int, int, str]


def _in_route(tokens: list[_Token], at: int) -> bool:
    """Whether the comma at `at`, after a <, stands in a source route: the next token is another @."""
    return at + 1 < len(tokens) and tokens[at + 1][0] == "@"


def _tokens(text: str) -> list[_Token]:
    """(kind, start, end, value) with kinds `w` word, `q` quoted string, `l` literal, and special characters."""
    out: list[_Token] = []
    at = 0
    size = len(text)
    while at < size:
        char = text[at]
        if char in " \t\r\n":
            at += 1
        elif char == "(":
            at = _comment_end(text, at)
        elif char == '"':
            end, value = _string_end(text, at, '"')
            out.append(("q", at, end, value))
            at = end
        elif char == "[":
            end = text.find("]", at) + 1 or size
            out.append(("l", at, end, text[at:end]))
            at = end
        elif (word := _WORD.match(text, at)) is not None:
            out.append(("w", at, word.end(), word.group()))
            at = word.end()
        else:
            out.append((char, at, at + 1, char))
            at += 1
    return out


def _comment_end(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return len(text)


def _string_end(text: str, at: int, closer: str) -> tuple[int, str]:
    out: list[str] = []
    at += 1
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        elif text[at] == closer:
            return at + 1, "".join(out)
        out.append(text[at])
        at += 1
    return len(text), "".join(out)


def _one(tokens: list[_Token], found: list[Span]) -> None:
    opened = next((i for i, token in enumerate(tokens) if token[0] == "<"), None)
    if opened is not None:
        closed = next((i for i in range(opened, len(tokens)) if tokens[i][0] == ">"), None)
        if closed is None:
            return
        tokens = tokens[opened + 1 : closed]
    begin = tokens[0][1] if tokens else 0
    colon = next((i for i, token in enumerate(tokens) if token[0] == ":"), None)
    if colon is not None and tokens[0][0] == "@":
        tokens = tokens[colon + 1 :]
    if not tokens or any(token[0] not in "wql@" for token in tokens):
        return
    if "@" not in [token[0] for token in tokens] and len(tokens) > 1:
        return
    for left, right in pairwise(tokens):
        if left[2] != right[1] and left[0] != "@" and right[0] != "@":
            return
    found.append(Span(begin, tokens[-1][2], "".join(token[3] for token in tokens)))


def members(value: str) -> list[str]:
    """What stands between the commas of an address list, stripped and unfolded; commas in quotes, comments, angle and
    square brackets part nothing."""
    found: list[str] = []
    start = at = 0
    closing: list[str] = []
    while at < len(value):
        char = value[at]
        if char == "\\":
            at += 1
        elif closing and char == closing[-1]:
            closing.pop()
        elif (char == "(" and closing[-1:] != ['"']) or (not closing and char in _CLOSING):
            closing.append(_CLOSING[char])
        elif char == "," and not closing:
            found.append(value[start:at])
            start = at + 1
        at += 1
    found.append(value[start:])
    return [_FOLD.sub(" ", one.strip()) for one in found]


def folded(label: str, value: str) -> str:
    """`label: value`, an address list, in lines of less than FOLD_AT characters where commas allow it, LF ended: so
    cleanup(8) writes what it has changed."""
    first, *others = members(value)
    out, line = "", f"{label}: {first}"
    for one in others:
        if len(line) + 2 + len(one) < FOLD_AT:
            line += f", {one}"
        else:
            out += f"{line},\n"
            line = f"\t{one}"
    return f"{out}{line}\n"


def replace_addresses(text: str, changes: list[tuple[Span, str]]) -> str:
    """The value with each span's address replaced by the new internal form, everything else untouched."""
    for span, new in sorted(changes, key=lambda change: -change[0].start):
        text = text[: span.start] + quote(new) + text[span.end :]
    return text
