"""The policy delegation protocol (SMTPD_POLICY_README), client side, sans-IO: `name=value` lines, an empty line ends.

`encode` makes a request; a Reply collects bytes until the answer is whole and gives its `action`.
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_REPLY = 64 * 1024


class PolicyProtocolError(Exception):
    """The server's answer is no answer: too long, or without `action=`."""


def encode(attributes: Iterable[tuple[str, str]]) -> bytes:
    """A request. Newlines and NULs cannot stand in a value: they become `?`."""
    lines: list[str] = []
    for name, value in attributes:
        if "\n" in value or "\0" in value or "\r" in value:
            value = value.replace("\n", "?").replace("\0", "?").replace("\r", "?")
        lines.append(f"{name}={value}\n")
    return ("".join(lines) + "\n").encode("utf-8", "surrogateescape")


class Reply:
    """One answer as it comes in. `feed` says whether it is whole; then `action` holds what follows `action=`."""

    def __init__(self) -> None:
        self._buffer = b""
        self.action = ""

    def feed(self, data: bytes) -> bool:
        """Add bytes. Raises PolicyProtocolError."""
        self._buffer += data
        if len(self._buffer) > MAX_REPLY:
            raise PolicyProtocolError("the policy server's answer is too long")
        text = self._buffer.replace(b"\r\n", b"\n")
        end = text.find(b"\n\n")
        if end < 0:
            return False
        if end + 2 != len(text):
            raise PolicyProtocolError("the policy server sent more than one answer")
        for line in text[:end].split(b"\n"):
            name, equals, value = line.partition(b"=")
            if equals and name.strip().lower() == b"action":
                self.action = value.strip().decode("utf-8", "replace")
        if not self.action:
            raise PolicyProtocolError("the policy server's answer has no action=")
        return True
