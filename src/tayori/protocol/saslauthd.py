"""The wire format between a mail server and Cyrus saslauthd, without I/O.

Request: login, password, service, realm, each behind its length as a 16-bit big-endian number. Reply: one such
string, "OK" or "NO" at its beginning, anything after it for people. One request per connection.
Source: saslauthd(8) of Cyrus SASL 2.1 and what its programs send (checked against 2.1.28).
"""

from __future__ import annotations

from dataclasses import dataclass, field

CYRUS_LIMIT = 256  # the daemon of Cyrus hangs up on a longer string
LIMIT = 1024  # the most that our own daemon takes
OK = "OK"
NO = "NO authentication failed"


@dataclass(frozen=True, slots=True)
class Request:
    """One question. `service` is "smtp" for a mail server; `realm` may be empty."""

    login: bytes
    password: bytes = field(repr=False)
    service: bytes = b"smtp"
    realm: bytes = b""


class ProtocolError(ValueError):
    """The peer broke the wire format."""


def _counted(text: bytes) -> bytes:
    if len(text) > 0xFFFF:
        raise ValueError("a string longer than 65535 octets cannot be sent to saslauthd")
    return len(text).to_bytes(2, "big") + text


def encode_request(request: Request) -> bytes:
    """Raises ValueError for a string above 65535 octets or with a NUL in it (the daemon would cut it there)."""
    parts = (request.login, request.password, request.service, request.realm)
    if any(b"\0" in part for part in parts):
        raise ValueError("a NUL octet cannot be sent to saslauthd")
    return b"".join(_counted(part) for part in parts)


def encode_reply(text: str) -> bytes:
    """A reply: "OK …" or "NO …"."""
    return _counted(text.encode("utf-8", "surrogateescape"))


def decode_reply(data: bytes) -> tuple[bool, str] | None:
    """(accepted, the whole text), or None while the reply is not complete. Raises ProtocolError."""
    if len(data) < 2:
        return None
    length = int.from_bytes(data[:2], "big")
    if not 2 <= length <= LIMIT:
        raise ProtocolError(f"a reply of {length} octets")
    if len(data) < 2 + length:
        return None
    text = data[2 : 2 + length].rstrip(b"\0").decode("utf-8", "replace")
    if text.startswith("OK"):
        return True, text
    if text.startswith("NO"):
        return False, text
    raise ProtocolError("a reply that is neither OK nor NO")


class RequestReader:
    """Gathers one request from pieces of any size."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._data = b""
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Request | None:
        """The request once it is complete. Raises ProtocolError for a string above the limit."""
        self._data += data
        while len(self._parts) < 4:
            if len(self._data) < 2:
                return None
            length = int.from_bytes(self._data[:2], "big")
            if length > self._limit:
                raise ProtocolError(f"a string of {length} octets, the most is {self._limit}")
            if len(self._data) < 2 + length:
                return None
            self._parts.append(self._data[2 : 2 + length])
            self._data = self._data[2 + length :]
        login, password, service, realm = self._parts
        return Request(login, password, service, realm)
