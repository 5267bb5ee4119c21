"""Bytes to command lines and message bodies, sans-IO (RFC 5321 2.3.8, 4.1.1.4, 4.5.2).

What ends a body is decided here and nowhere else. `bare` is smtpd_forbid_bare_newline:
"no": `.` on a line of its own ends it, however the lines end;
"normalize", "note": only CRLF.CRLF ends it, bare LF counts as a line end inside;
"reject": only CRLF.CRLF ends it, and a body or command with a bare LF is reported, so that it can be refused.
A body comes out with LF line ends, dots unstuffed, stray CRs as blanks (cleanup_replace_stray_cr_lf); a large one in
pieces (`take`), so that nobody has to hold it whole.
"""

from __future__ import annotations

import re

import msgspec

MOST_CRS = 8
"""CRs before an LF that the mode "no" takes for one line end, as Postfix does with any number of them."""
_ANY_LINE_END = re.compile(rb"\r{0,%d}\n" % MOST_CRS)
_LONE_DOT = re.compile(rb"(?<=\n)\.\n")
"""A line that would have ended the body, had its line ends been right; Postfix leaves it out."""
TAIL = 3 + MOST_CRS
"""Bytes of the longest end of a body, less its last: kept when the rest is thrown away."""
END = b"\r\n.\r\n"


class Line(msgspec.Struct, frozen=True):
    """One command line without its end. `overlong`: more than the limit came, the rest was thrown away."""

    text: bytes
    bare: bool = False
    overlong: bool = False


class Body(msgspec.Struct, frozen=True):
    """A whole message. `content` is None when it was larger than the limit, and only what `take` has left when pieces
    were taken; `size` counts the bytes as sent."""

    content: bytes | None
    size: int
    bare: bool = False


class Framing:
    """Feed bytes, then ask for lines or, after `start_body`, for the body. Never holds more than its limits."""

    def __init__(self, bare: str = "normalize", line_limit: int = 2048, stray_cr: bool = True) -> None:
        self.bare = bare
        self.line_limit = line_limit
        self.stray_cr = stray_cr
        self._buffer = bytearray()
        self._skipping = False
        self._limit = 0
        self._scanned = 0
        self._dropped = 0
        self._overflow = False
        self._bare = False
        # whether the piece before ended in a lone dot, whose line end is still to come
        self._lone = False

    def feed(self, data: bytes) -> None:
        """Bytes as they came."""
        self._buffer += data

    def pending(self) -> int:
        """Bytes that no line or body has taken."""
        return len(self._buffer)

    def discard(self) -> None:
        """Throw away what was sent ahead (RFC 3207 4.2)."""
        self._buffer.clear()

    def line_of(self, data: bytes) -> Line | None:
        """`feed` and `line` in one step: most of what comes is one whole line, which needs no buffer."""
        if (
            not self._buffer
            and not self._skipping
            and data.find(b"\n") == len(data) - 1
            and data.endswith(b"\r\n")
            and len(data) <= self.line_limit
        ):
            return Line(data[:-2])
        self._buffer += data
        return self.line()

    def line(self) -> Line | None:
        """The next command line; None when it has not fully come."""
        while True:
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > self.line_limit:
                    if self._skipping:
                        del self._buffer[:]
                    else:
                        # keep the head, drop the rest of the line as it comes
                        self._head = bytes(self._buffer[: self.line_limit])
                        del self._buffer[:]
                        self._skipping = True
                return None
            text = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if self._skipping:
                self._skipping = False
                return Line(self._head, bare=not text.endswith(b"\r"), overlong=True)
            bare = not text.endswith(b"\r")
            if not bare:
                text = text[:-1]
            if len(text) > self.line_limit:
                return Line(text[: self.line_limit], bare, overlong=True)
            return Line(text, bare)

    _head = b""

    def start_body(self, limit: int) -> None:
        """From now on bytes are message content, at most `limit` of them (0: no limit)."""
        self._limit = limit
        self._scanned = 0
        self._dropped = 0
        self._overflow = False
        self._bare = False
        self._lone = False

    def take_raw(self, most: int) -> bytes:
        """Up to `most` bytes of what has come, as they came (BDAT)."""
        with memoryview(self._buffer) as view:
            raw = bytes(view[:most])
        del self._buffer[: len(raw)]
        return raw

    def body_lines(self) -> int:
        """Bytes of the whole lines that have come of an unfinished body."""
        return self._dropped + self._buffer.rfind(b"\n") + 1

    def take(self) -> bytes:
        """A piece of an unfinished body, to be called after `body` gave None, with more than 2 × TAIL bytes in hand:
        all but the last line that came, or of one long line what is there of it; the line end before what stays is
        kept with it, for it may begin the end of the body."""
        buffer = self._buffer
        cut = _before_crs(buffer, buffer.rfind(b"\n"))
        if cut <= 0:
            cut = _before_crs(buffer, len(buffer))
        with memoryview(buffer) as view:
            raw = bytes(view[:cut])
        del buffer[:cut]
        text = self._unstuff(raw)
        self._dropped += cut
        self._scanned = max(0, self._scanned - cut)
        return text

    def body(self) -> Body | None:
        """The body, when its end has come; what follows it stays for `line`."""
        found = self._find_end()
        if found is None:
            self._bound()
            return None
        stop, after = found
        with memoryview(self._buffer) as view:
            raw = bytes(view[:stop])
        del self._buffer[:after]
        size = self._dropped + len(raw)
        if self._overflow or (self._limit and size > self._limit):
            return Body(None, size)
        return Body(self._unstuff(raw), size, self._bare)

    def _find_end(self) -> tuple[int, int] | None:
        buffer = self._buffer
        if self.bare == "no":
            if not self._dropped and buffer.startswith(b"."):
                match = _ANY_LINE_END.match(buffer, 1)
                if match is not None:
                    return 0, match.end()
            at = buffer.find(b"\n.", max(0, self._scanned - 2 - MOST_CRS))
            while at >= 0:
                match = _ANY_LINE_END.match(buffer, at + 2)
                if match is not None:
                    return at + 1, match.end()
                at = buffer.find(b"\n.", at + 2)
        else:
            if not self._dropped and buffer.startswith(b".\r\n"):
                return 0, 3
            at = buffer.find(END, max(0, self._scanned - 4))
            if at >= 0:
                return at + 2, at + 5
        self._scanned = len(buffer)
        return None

    def _bound(self) -> None:
        """Past the limit only the tail is kept, enough to see the end."""
        if self._limit and self._dropped + len(self._buffer) > self._limit + TAIL:
            self._overflow = True
            excess = len(self._buffer) - TAIL
            if excess > 0:
                del self._buffer[:excess]
                self._dropped += excess
                self._scanned = len(self._buffer)

    def _unstuff(self, raw: bytes) -> bytes:
        if raw.count(b"\n") != raw.count(b"\r\n"):
            self._bare = True
        text = raw.replace(b"\r\n", b"\n")
        if self.stray_cr and b"\r" in text:
            text = text.replace(b"\r", b" ")
        lone, self._lone = self._lone, text.endswith(b"\n.") or (not self._dropped and text == b".")
        if not self._dropped and text.startswith(b"."):
            text = _LONE_DOT.sub(b"", b"\n" + text)[1:]
            if text.startswith(b"."):
                text = text[1:]
        if b"\n." in text:
            text = _LONE_DOT.sub(b"", text).replace(b"\n.", b"\n")
        return text[1:] if lone and text.startswith(b"\n") else text


def _before_crs(buffer: bytearray, at: int) -> int:
    """`at`, or before the CRs that stand in front of it: they and an LF belong together."""
    least = max(0, at - MOST_CRS)
    while at > least and buffer[at - 1] == 13:
        at -= 1
    return at
