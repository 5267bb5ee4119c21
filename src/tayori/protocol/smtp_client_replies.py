"""Reading a server's replies: bytes in, whole replies out, strict and bounded (RFC 5321 4.2, RFC 2034).

A line is `ddd`, then `-` (more lines follow), a blank, or the end. Anything else, a code that changes within one
reply, a line over MAX_LINE or a reply over MAX_LINES raises BrokenReply: the caller defers, since what a server that
does not speak SMTP said cannot settle the fate of a message. A bare LF ends a line too, as many clients allow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LINE = 2048
MAX_LINES = 200
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\x00\n]*))?")
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class BrokenReply(Exception):
    """What came is no SMTP reply. The text is for the log."""


@dataclass(frozen=True, slots=True)
class ServerReply:
    """`code` 200..599; `lines` are the texts after the code; `text` is the whole as one line, codes included.

    `enhanced` is the server's own (RFC 2034) when its class agrees with the code, else "" (`status` fills it in).
    """

    code: int
    lines: tuple[str, ...]
    text: str
    enhanced: str = ""

    @property
    def status(self) -> str:
        """The enhanced code, or `C.0.0` made from the code's class."""
        return self.enhanced or f"{self.code // 100}.0.0"

    @property
    def good(self) -> bool:
        """2xx."""
        return self.code < 300

    @property
    def temporary(self) -> bool:
        """4xx."""
        return 400 <= self.code < 500


class ReplyReader:
    """One connection's replies. After BrokenReply it must not be used again."""

    def __init__(self) -> None:
        self._rest = b""
        self._code = 0
        self._lines: list[str] = []
        self._texts: list[str] = []

    def feed(self, data: bytes) -> list[ServerReply]:
        """The replies that these bytes complete. Raises BrokenReply."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise BrokenReply(f"a reply line is longer than {MAX_LINE} bytes")
        found: list[ServerReply] = []
        for line in lines:
            reply = self._line(line)
            if reply is not None:
                found.append(reply)
        return found

    def pending(self) -> bool:
        """Whether part of a reply has come."""
        return bool(self._rest or self._texts)

    def _line(self, line: bytes) -> ServerReply | None:
        line = line.removesuffix(b"\r")
        match = _LINE.fullmatch(line)
        if match is None or len(line) > MAX_LINE:
            raise BrokenReply(f"non-SMTP reply: {printable(line[:100])}")
        code = int(match.group(1))
        if self._texts and code != self._code:
            raise BrokenReply(f"a reply changes its code from {self._code} to {code}")
        self._code = code
        self._lines.append(printable(match.group(3) or b""))
        self._texts.append(printable(line))
        if match.group(2) == b"-":
            if len(self._texts) >= MAX_LINES:
                raise BrokenReply(f"a reply has more than {MAX_LINES} lines")
            return None
        reply = _reply(code, self._lines, self._texts)
        self._lines, self._texts = [], []
        return reply


def _reply(code: int, lines: list[str], texts: list[str]) -> ServerReply:
    match = _ENHANCED.match(lines[-1])
    enhanced = match.group(1) if match and int(match.group(1)[0]) == code // 100 else ""
    return ServerReply(code, tuple(lines), " ".join(texts), enhanced)


def printable(raw: bytes) -> str:
    """UTF-8 where it is, without control characters, so that a log line stays one line."""
    return _CONTROLS.sub("?", raw.decode("utf-8", "replace"))
