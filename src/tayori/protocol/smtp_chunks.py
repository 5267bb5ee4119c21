"""The content that BDAT brings, sans-IO (RFC 3030 2): counted bytes in chunks, whose borders mean nothing.

As with DATA it comes out with LF line ends and stray CRs as blanks; dots are dots here.
"""

from __future__ import annotations

import re

_ARGUMENT = re.compile(rb"([0-9]{1,19})(?:[ \t]+(LAST))?[ \t]*", re.IGNORECASE)
_MOST = (1 << 63) - 1


def chunk_of(argument: bytes) -> tuple[int, bool] | None:
    """(bytes, whether it is the last one) of `count [LAST]`; None for anything else."""
    match = _ARGUMENT.fullmatch(argument)
    if match is None or int(match[1]) > _MOST:
        return None
    return int(match[1]), match[2] is not None


class Chunks:
    """Feed what came; each gives the text to keep. `received`: bytes as sent. `size`: bytes of the whole lines so far
    with CRLF behind each, and behind each `line_limit` bytes of a longer one, as Postfix counts. `bare`: an LF
    without CR was among them."""

    def __init__(self, stray_cr: bool = True, line_limit: int = 2048) -> None:
        self.received = 0
        self.size = 0
        self.bare = False
        self._stray_cr = stray_cr
        self._line_limit = line_limit
        self._held = b""
        self._open = 0

    def feed(self, data: bytes) -> bytes:
        """More; a CR at its end waits for what follows."""
        self.received += len(data)
        raw = self._held + data
        self._held = b"\r" if raw.endswith(b"\r") else b""
        if self._held:
            raw = raw[:-1]
        text = raw.replace(b"\r\n", b"\n")
        if text.count(b"\n") != len(raw) - len(text):
            self.bare = True
        self._count(text)
        return self._plain(text)

    def _count(self, text: bytes) -> None:
        *lines, rest = text.split(b"\n")
        for line in lines:
            self._close(self._open + len(line))
        self._open += len(rest)

    def _close(self, length: int) -> None:
        self.size += length + 2 + length // self._line_limit * 2
        self._open = 0

    def end(self) -> bytes:
        """After the last chunk: what was waiting, and the line end that the last line lacks."""
        rest, self._held = self._held, b""
        self._open += len(rest)
        if not self._open:
            return b""
        self._close(self._open)
        return self._plain(rest) + b"\n"

    def _plain(self, text: bytes) -> bytes:
        return text.replace(b"\r", b" ") if self._stray_cr else text
