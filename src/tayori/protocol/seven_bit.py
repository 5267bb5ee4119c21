"""8-bit MIME made 7-bit for a server without 8BITMIME (RFC 6152 3): labelled 8-bit parts become quoted-printable.

As Postfix does it: every body whose Content-Transfer-Encoding says 8bit or binary is encoded, in multiparts and
attached messages at any depth; the containers are labelled 7bit. What carries no such label stays byte for byte, for
nobody has said what it is; so do headers, which have no 7-bit form short of RFC 2047, and message/partial, which must
not be encoded (RFC 2046 5.2.2.1). Line by line and in pieces, so a message of any size needs little memory. Pure.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_TYPE = re.compile(rb"\s*([^\s/;]+)/([^\s/;]+)")
_ENCODING = re.compile(rb"\s*([^\s;(]+)")
_BOUNDARY = re.compile(rb";\s*boundary\s*=\s*(?:\"((?:\\.|[^\"\\])*)\"|([^\s;\"]+))", re.IGNORECASE)
_LABEL = b"content-transfer-encoding"
EIGHT = (b"8bit", b"binary")
LONG = 65536
"""Bytes of a body line from which its end is no longer waited for."""


@dataclass(slots=True)
class _Header:
    """The header of the message, a part or an attached message, as it is gathered."""

    fields: list[tuple[bytes, list[bytes]]] = field(default_factory=list)
    """Name in lower case, and the lines."""
    default: tuple[bytes, bytes] = (b"text", b"plain")

    def value(self, name: bytes) -> bytes | None:
        """The last field of that name, without it."""
        found = next((lines for known, lines in reversed(self.fields) if known == name), None)
        return None if found is None else b"".join(found).partition(b":")[2]

    def type(self) -> tuple[bytes, bytes]:
        match = _TYPE.match(self.value(b"content-type") or b"")
        return (match[1].lower(), match[2].lower()) if match else self.default

    def encoding(self) -> bytes:
        match = _ENCODING.match(self.value(_LABEL) or b"7bit")
        return match[1].lower() if match else b""

    def boundary(self, most: int) -> bytes:
        found = _BOUNDARY.search(self.value(b"content-type") or b"")
        if found is None:
            return b""
        text = re.sub(rb"\\(.)", rb"\1", found[1]) if found[1] is not None else found[2]
        return bytes(text[:most])


class SevenBit:
    """`feed` takes content with LF line ends, cut anywhere, and gives what can be sent; `end` gives the rest.

    `parts` counts the bodies that were encoded. Limits: mime_nesting_limit, mime_boundary_length_limit.
    """

    def __init__(self, nesting_limit: int = 100, boundary_limit: int = 2048) -> None:
        self.parts = 0
        self._nesting = nesting_limit
        self._most = boundary_limit
        self._header: _Header | None = _Header()
        self._stack: list[tuple[bytes, bool]] = []
        self._places: dict[bytes, int] = {}
        self._depth = 0
        self._encode = False
        self._tail = b""
        self._inside = False

    def feed(self, data: bytes) -> bytes:
        """Some of the content."""
        lines = (self._tail + data).split(b"\n")
        self._tail = lines.pop()
        out = [self._line(line, b"\n") for line in lines]
        if len(self._tail) > LONG and self._header is None:
            out.append(self._piece())
        return b"".join(out)

    def end(self) -> bytes:
        """No more is to come."""
        rest, self._tail = self._tail, b""
        out = self._line(rest, b"") if rest else b""
        if self._header is not None:
            out += self._headed()
        return out

    def _line(self, line: bytes, ending: bytes) -> bytes:
        if self._inside:
            self._inside = False
            return self._body(line, ending)
        if line[:2] == b"--" and self._stack and (found := self._found(line)) is not None:
            out = self._headed() if self._header is not None else b""
            place, closing = found
            digest = self._stack[place][1]
            del self._stack[place + (0 if closing else 1) :]
            self._places = {boundary: at for at, (boundary, _) in enumerate(self._stack)}
            self._encode = False
            if not closing:
                self._header = _Header(default=(b"message", b"rfc822") if digest else (b"text", b"plain"))
            return out + line + ending
        header = self._header
        if header is None:
            return self._body(line, ending)
        if line[:1] in (b" ", b"\t") and header.fields:
            header.fields[-1][1].append(line + ending)
            return b""
        match = _FIELD.match(line)
        if match is not None:
            header.fields.append((match[1].lower(), [line + ending]))
            return b""
        if not line.strip():
            return self._headed(line + ending)
        return self._headed() + self._body(line, ending)

    def _found(self, line: bytes) -> tuple[int, bool] | None:
        """Which multipart this boundary line belongs to, and whether it closes it."""
        text = line[2:].rstrip()
        opening = self._places.get(text, -1)
        closing = self._places.get(text[:-2], -1) if text.endswith(b"--") else -1
        return None if opening == closing else (max(opening, closing), closing > opening)

    def _headed(self, gap: bytes = b"") -> bytes:
        """The header has ended: `gap` is the empty line, if there is one."""
        header = self._header
        assert header is not None
        self._header = None
        main, sub = header.type()
        label = header.encoding()
        eight = label in EIGHT
        new = b""
        if main == b"multipart":
            boundary = header.boundary(self._most)
            new = b"7bit" if eight else b""
            if boundary and len(self._stack) < self._nesting:
                self._places[boundary] = len(self._stack)
                self._stack.append((boundary, sub == b"digest"))
        elif main == b"message" and sub == b"rfc822":
            new = b"7bit" if eight else b""
            if gap and (eight or label == b"7bit") and self._depth < self._nesting:
                self._depth += 1
                self._header = _Header()
        elif eight and not (main == b"message" and sub in (b"partial", b"external-body")):
            new = b"quoted-printable"
            self._encode = True
            self.parts += 1
        raws = [line for name, lines in header.fields if not (new and name == _LABEL) for line in lines]
        if new:
            raws.append(b"Content-Transfer-Encoding: " + new + b"\n")
        return b"".join(raws) + gap

    def _body(self, line: bytes, ending: bytes) -> bytes:
        if not self._encode:
            return line + ending
        return binascii.b2a_qp(line, quotetabs=False, istext=False, header=False) + ending

    def _piece(self) -> bytes:
        """The beginning of a line without end."""
        piece, self._tail = self._tail, b""
        self._inside = True
        return self._body(piece, b"=\n" if self._encode else b"")


def seven_bit(content: bytes) -> tuple[bytes, int]:
    """Content in memory (LF line ends), and how many bodies were encoded."""
    work = SevenBit()
    return work.feed(content) + work.end(), work.parts


def labelled(head: bytes) -> bool:
    """Whether a message's header says that its body has 8-bit bytes (detect_8bit_encoding_header)."""
    found = re.search(rb"(?im)^content-transfer-encoding[ \t]*:[ \t\n]*(8bit|binary)\b", head)
    return found is not None
