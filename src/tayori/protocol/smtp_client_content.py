"""Message content on the wire: CRLF line ends, dots stuffed, long lines broken (RFC 5321 4.5.2, 4.5.3.1.6).

Only `\\r\\n` ever ends a line of what we send, and a stray CR is sent as a blank: a receiver that takes something
else for a line end cannot be made to see an end of message inside the content (SMTP smuggling).
"""

from __future__ import annotations

END = b".\r\n"
LONG = 65536
"""Bytes of a line from which `Wire` no longer waits for its end."""


def wire(content: bytes, line_limit: int = 998) -> bytes:
    """`content` (LF line ends) ready to send, without the final dot line.

    Lines over `line_limit` bytes are broken by CRLF and a blank (postconf(5) smtp_line_length_limit; 0: never).
    """
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    if content and not content.endswith(b"\n"):
        content += b"\n"
    if 0 < line_limit < len(content) and max(map(len, content.split(b"\n"))) > line_limit:
        content = _break(content, line_limit)
    content = content.replace(b"\n", b"\r\n")
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..")


def _break(content: bytes, limit: int) -> bytes:
    lines = content.split(b"\n")
    for number, line in enumerate(lines):
        if len(line) > limit:
            pieces = [line[:limit]]
            # the blank that begins a continuation counts
            step = max(1, limit - 1)
            pieces.extend(b" " + line[at : at + step] for at in range(limit, len(line), step))
            lines[number] = b"\n".join(pieces)
    return b"\n".join(lines)


class Wire:
    """`wire` for content that comes in pieces, however it is cut. Of a line without an end it holds back less than
    `long` bytes."""

    def __init__(self, line_limit: int = 998, long: int = LONG) -> None:
        self._limit = line_limit
        self._long = max(long, line_limit + 1)
        self._tail = b""
        self._inside = False  # what was sent last ends in the middle of a line

    def feed(self, data: bytes) -> bytes:
        """What can be sent by now."""
        data = self._tail + data
        cut = data.rfind(b"\n") + 1
        self._tail = data[cut:]
        out = self._lines(data[:cut]) if cut else b""
        return out + self._part() if len(self._tail) >= self._long else out

    def end(self) -> bytes:
        """The rest; it ends in a line end."""
        data, self._tail = self._tail, b""
        return self._lines(data) if data or self._inside else b""

    def _lines(self, data: bytes) -> bytes:
        if not self._inside:
            return wire(data, self._limit)
        self._inside = False
        # its line has begun already: with a letter before it a dot at the beginning is none of a line
        return wire(b"x" + data, 0)[1:]

    def _part(self) -> bytes:
        """The beginning of a long line."""
        limit = self._limit
        # a CR at the end may belong to the LF that comes next
        held = b"\r" if self._tail.endswith(b"\r") else b""
        data = self._tail.removesuffix(b"\r")
        if len(data) <= limit:
            return b""
        if limit > 0:
            # each piece of a broken line is a line of its own, and so is the rest with the blank before it
            most = limit + (len(data) - limit - 1) // max(1, limit - 1) * max(1, limit - 1)
            self._tail = b" " + data[most:] + held
            return wire(data[:most], limit)
        self._tail = held
        out = self._lines(data)[:-2]
        self._inside = True
        return out
