"""The client side of Dovecot's authentication protocol, version 1, without I/O.

Lines of TAB-separated fields. Both sides begin with VERSION; the server names its mechanisms (MECH) and ends the
handshake with DONE. AUTH and CONT carry base64; OK, CONT and FAIL answer by request number, in any order.
Source: Dovecot's "Authentication Protocol" design document; checked against Dovecot 2.3.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

MAX_LINE = 32768
FLAGS = {
    "plaintext": "noplaintext",
    "active": "noactive",
    "dictionary": "nodictionary",
    "anonymous": "noanonymous",
}
STRENGTHS = {"forward-secrecy": "forward_secrecy", "mutual-auth": "mutual_auth"}
_ESCAPES = {"\0": "\0010", "\001": "\0011", "\t": "\001t", "\r": "\001r", "\n": "\001n"}
_BACK = {"0": "\0", "1": "\001", "t": "\t", "r": "\r", "n": "\n", "l": "\n"}


class ProtocolError(ValueError):
    """The server does not speak the protocol."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One MECH line: its flags are Dovecot's words."""

    name: str
    flags: frozenset[str]

    def refused_by(self, options: frozenset[str]) -> str:
        """The first of Postfix's security options that does not let it through; empty when all do."""
        hits = [option for flag, option in FLAGS.items() if flag in self.flags and option in options]
        hits += [option for flag, option in STRENGTHS.items() if flag not in self.flags and option in options]
        return hits[0] if hits else ""


@dataclass(frozen=True, slots=True)
class Ready:
    """The handshake is over."""

    mechanisms: tuple[Mechanism, ...]


@dataclass(frozen=True, slots=True)
class Continue:
    """The server's challenge for request `number`."""

    number: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Logged in; `data` is the mechanism's last word (SCRAM's server signature)."""

    number: int
    username: str
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """Not logged in; `temporary` when Dovecot itself has trouble."""

    number: int
    username: str
    reason: str
    temporary: bool


Event = Ready | Continue | Accepted | Failed


def escape(text: str) -> str:
    """A parameter's value as it is written."""
    return "".join(_ESCAPES.get(c, c) for c in text)


def unescape(text: str) -> str:
    """The value of a parameter that was read."""
    if "\001" not in text:
        return text
    head, *rest = text.split("\001")
    return head + "".join(_BACK.get(part[:1], part[:1]) + part[1:] for part in rest)


def handshake(pid: int) -> bytes:
    """What the client says first."""
    return f"VERSION\t1\t1\nCPID\t{pid}\n".encode()


def auth(
    number: int,
    mechanism: str,
    initial: bytes | None,
    *,
    service: str,
    secured: bool,
    remote: str = "",
    local: str = "",
) -> bytes:
    """A new request. `resp` must come last, and is left out when there is no initial response."""
    fields = ["AUTH", str(number), mechanism, f"service={escape(service)}", "nologin"]
    if local:
        fields.append(f"lip={escape(local)}")
    if remote:
        fields.append(f"rip={escape(remote)}")
    if secured:
        fields.append("secured")
    if initial is not None:
        fields.append(f"resp={base64.b64encode(initial).decode() or '='}")
    return ("\t".join(fields) + "\n").encode("utf-8", "surrogateescape")


def cont(number: int, response: bytes) -> bytes:
    """The client's next response."""
    return f"CONT\t{number}\t{base64.b64encode(response).decode()}\n".encode()


def cancel(number: int) -> bytes:
    """Give the request up."""
    return f"CANCEL\t{number}\n".encode()


class Reader:
    """Turns received bytes into events. Unknown commands are passed over, as the protocol wants."""

    def __init__(self) -> None:
        self._data = b""
        self._mechanisms: list[Mechanism] = []
        self._version = False

    def feed(self, data: bytes) -> list[Event]:
        """Raises ProtocolError for another major version, a line without end and fields that are missing."""
        *lines, self._data = (self._data + data).split(b"\n")
        if len(self._data) > MAX_LINE:
            raise ProtocolError("a line without end")
        events = (self._line(line.decode("utf-8", "replace").split("\t")) for line in lines)
        return [event for event in events if event is not None]

    def _line(self, fields: list[str]) -> Event | None:
        command, *rest = fields
        try:
            if command == "VERSION":
                if rest[0] != "1":
                    raise ProtocolError(f"version {rest[0]}, not 1")
                self._version = True
            elif command == "MECH":
                self._mechanisms.append(Mechanism(rest[0].upper(), frozenset(rest[1:])))
            elif command == "DONE":
                if not self._version:
                    raise ProtocolError("no version")
                return Ready(tuple(self._mechanisms))
            elif command == "CONT":
                return Continue(int(rest[0]), _decode(rest[1] if len(rest) > 1 else ""))
            elif command == "OK":
                values = _parameters(rest[1:])
                return Accepted(int(rest[0]), values.get("user", ""), _decode(values.get("resp", "")))
            elif command == "FAIL":
                values = _parameters(rest[1:])
                temporary = "temp" in values or values.get("code") == "temp_fail"
                reason = values.get("reason") or values.get("code", "")
                return Failed(int(rest[0]), values.get("user", ""), reason, temporary)
        except (IndexError, ValueError) as error:
            if isinstance(error, ProtocolError):
                raise
            raise ProtocolError(f"a {command[:20]!a} line that cannot be read") from error
        return None


def _parameters(fields: list[str]) -> dict[str, str]:
    pairs = (field.partition("=") for field in fields)
    return {name: unescape(value) for name, _, value in pairs}


def _decode(text: str) -> bytes:
    if text in ("", "="):
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ProtocolError("base64 that cannot be read") from error
