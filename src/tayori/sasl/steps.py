"""What a mechanism asks for and what it is told: the whole contract between mechanism and driver.

A mechanism is sans-IO: `next(event)` takes the client's decoded response or the answer to its last
question, and returns the next step. The driver (protocol I/O, verifiers, time limits) lives elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this (not yet base64) and wait for a response."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Ask the verifiers whether the password is right. Answer: Verdict of `sasl.verifiers.base`."""

    authcid: str
    password: str = field(repr=False)
    authzid: str = ""
    realm: str = ""


@dataclass(frozen=True, slots=True)
class FetchSecret:
    """Ask for stored secrets: `wanted` names in order, such as "userPassword", "cmusaslsecretSCRAM-SHA-256".

    Answer: Secret, Refused (unknown user) or TryLater.
    """

    authcid: str
    wanted: tuple[str, ...]
    realm: str = ""


@dataclass(frozen=True, slots=True)
class CheckToken:
    """Ask the token verifier (OAUTHBEARER, XOAUTH2, GSSAPI-like externals). Answer: Verdict."""

    authcid: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Success:
    """Logged in. `username` is the authorisation identity, as Postfix's sasl_username.

    `data` is for protocols that send data with success. SMTP has none (RFC 4954 4): our mechanisms send their
    last words as a Challenge, answered by an empty response, and leave `data` empty.
    """

    username: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Failure:
    """Not logged in. `why` is for the log; `temporary` means 454 rather than 535.

    `malformed`: the exchange itself was broken (also 535, as in Postfix); `unknown`: the mechanism is not offered.
    `username`: who it was, for the log, when no back end was asked.
    """

    why: str
    temporary: bool = False
    malformed: bool = False
    unknown: bool = False
    username: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Secret:
    """Stored secrets of a user, by property name.

    `username` is the login name as the back end knows it (with realm where there is one); empty: as asked.
    """

    values: dict[str, bytes] = field(repr=False)
    source: str = ""
    username: str = ""


Step = Challenge | CheckPassword | FetchSecret | CheckToken | Success | Failure


class ServerMechanism(Protocol):
    """Server side of one exchange; made anew for each AUTH by `MECHANISMS[name].server(context)`."""

    def next(self, event: object) -> Step:
        """`event`: None at the start without an initial response, bytes for a response, else the
        answer to the last CheckPassword, FetchSecret or CheckToken. Never raises for any bytes."""
        ...


class ClientMechanism(Protocol):
    """Client side: `next(None)` gives the initial response (or None when the server speaks first).

    `complete` is True once everything was said and the server has proved itself where the mechanism has it do
    so: a server's "235" before that is refused. `note` is what the server said about an error, for the log.
    `blocking`: `next` may wait for somebody else (a KDC), so it belongs in a thread: `sasl.client.respond`.
    """

    complete: bool
    blocking: bool
    note: str

    def next(self, challenge: bytes | None) -> bytes | None:
        """The response to a challenge. Raises `SaslError` when the server's words do not hold."""
        ...


class SaslError(Exception):
    """The peer broke the mechanism's rules, or could not prove itself."""
