"""An SMTP reply as a value (RFC 5321 4.2, RFC 2034)."""

from __future__ import annotations

from functools import lru_cache

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """`code` 200..599, `enhanced` such as "5.7.1" or empty, `text` with lines parted by a newline.

    The text is what a client may see: it never holds a secret or a path.
    """

    code: int
    enhanced: str
    text: str

    def encode(self) -> bytes:
        """Wire form, CRLF ended; a reply of several lines repeats code and enhanced code (RFC 2034 4)."""
        prefix = f"{self.enhanced} " if self.enhanced else ""
        if "\n" not in self.text:
            return f"{self.code} {prefix}{self.text}\r\n".encode("utf-8", "surrogateescape")
        lines = self.text.split("\n")
        last = len(lines) - 1
        return "".join(
            f"{self.code}{' ' if number == last else '-'}{prefix}{line}\r\n" for number, line in enumerate(lines)
        ).encode("utf-8", "surrogateescape")

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced + ' ' if self.enhanced else ''}{self.text}".replace("\n", " ")

    @property
    def temporary(self) -> bool:
        """A 4xx reply."""
        return 400 <= self.code < 500


@lru_cache(512)
def wire(reply: Reply) -> bytes:
    """`reply.encode()`, remembered: most replies are the same few."""
    return reply.encode()
