"""What all mechanisms share: contexts, rows, and the frame that turns a dialogue into `next(event)`.

A server side is a generator that yields steps and returns Success or Failure; `ServerTalk` runs it, checks that
each answer is of the kind that was asked for, and makes a Failure of whatever the client does wrong. A client
side is a generator that yields responses; `ClientTalk` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal

from tayori.sasl.steps import (
    Challenge,
    CheckPassword,
    CheckToken,
    ClientMechanism,
    Failure,
    FetchSecret,
    SaslError,
    Secret,
    ServerMechanism,
    Step,
    Success,
)
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater

MAX_RESPONSE = 65_536  # bytes of one decoded response; Kerberos tokens with group lists are the largest
MAX_NAME = 1_024  # bytes of a name; Cyrus allows 256 and a realm
BLANKS = " \t\n\v\f\r"  # around a name they are no part of it, as in Cyrus SASL: a telephone's keyboard adds one

ServerDialogue = Generator[Step, Any, Success | Failure]
ClientDialogue = Generator[bytes | None, bytes, None]
Needs = Literal["password", "secrets", "token", "certificate", "nothing", "gssapi"]


class Broken(Exception):
    """The client broke the mechanism's rules; becomes a Failure with this text for the log."""


@dataclass(frozen=True, slots=True)
class ServerContext:
    """What a server side knows of its session. `random(n)` gives n bytes, `clock()` seconds since the epoch.

    `realm` is smtpd_sasl_local_domain; several, separated by spaces, are all offered by DIGEST-MD5.
    `channel_bindings`: by type name, such as "tls-exporter" (RFC 9266) or "tls-server-end-point" (RFC 5929).
    `offers_plus`: a -PLUS mechanism was offered, so that a client's "y" means that somebody removed it (RFC 5802 6).
    `external`: identity from the client certificate, "" for none. `anonymous`: ANONYMOUS was asked for by name.
    `server_key`: the same for all processes and restarts; fake salts for unknown users come from it, `salt_size`
    octets long.
    `plain_store`: the back end holds plain passwords, so that a login costs a key derivation, also for unknown users.
    `nonces`: DIGEST-MD5's memory for repeated logins, one per process; None refuses them.
    `oauth`: extra members of the OAuth error message ("scope", "openid-configuration").
    `keytab`: where GSSAPI's key is; empty for where the library looks by itself.
    """

    realm: str
    hostname: str
    random: Callable[[int], bytes]
    clock: Callable[[], float]
    service: str = "smtp"
    channel_bindings: dict[str, bytes] = field(default_factory=dict, repr=False)
    offers_plus: bool = False
    external: str = ""
    tls: bool = False
    anonymous: bool = False
    server_key: bytes = field(default=b"", repr=False)
    iterations: int = 4096
    salt_size: int = 16
    plain_store: bool = True
    nonces: Nonces | None = None
    oauth: dict[str, str] = field(default_factory=dict)
    keytab: str = ""


@dataclass(frozen=True, slots=True)
class ClientContext:
    """What a client side knows. `host` is the name that was connected to (digest-uri, Kerberos service).

    `offers_plus`: the server offers a -PLUS form (which we do not use for want of a binding or by the filter).
    `certificate`: TLS is on and our certificate went along, so that EXTERNAL means something.
    """

    username: str
    password: str = field(repr=False)
    random: Callable[[int], bytes]
    clock: Callable[[], float]
    authzid: str = ""
    realm: str = ""
    host: str = ""
    port: int = 0
    service: str = "smtp"
    channel_bindings: dict[str, bytes] = field(default_factory=dict, repr=False)
    offers_plus: bool = False
    token: str = field(default="", repr=False)
    certificate: bool = False


@dataclass(frozen=True, slots=True)
class Traits:
    """Properties that smtpd_sasl_security_options and smtp_sasl_security_options test (postconf(5)).

    `plaintext`, `active`, `dictionary`, `anonymous` are weaknesses: open to eavesdropping, to active attack, to
    guessing from what was overheard, and to everybody; `forward_secrecy` and `mutual_auth` are strengths.
    They say what Cyrus SASL's plug-ins declare, so that the same options let the same mechanisms through.
    """

    plaintext: bool = False
    active: bool = True
    dictionary: bool = True
    anonymous: bool = False
    forward_secrecy: bool = False
    mutual_auth: bool = False

    def permitted_by(self, options: frozenset[str]) -> str:
        """Empty when the options let it through, else the first option that does not."""
        refusals = (
            ("noplaintext", self.plaintext),
            ("noactive", self.active),
            ("nodictionary", self.dictionary),
            ("noanonymous", self.anonymous),
            ("forward_secrecy", not self.forward_secrecy),
            ("mutual_auth", not self.mutual_auth),
        )
        return next((option for option, hit in refusals if hit and option in options), "")


SECURITY_OPTIONS = frozenset(
    {"noplaintext", "noactive", "nodictionary", "noanonymous", "forward_secrecy", "mutual_auth"}
)


@dataclass(frozen=True, slots=True)
class Row:
    """One mechanism. `needs` is what the back end must be able to do; `wanted` names the secrets it can use.

    `strength` orders mechanisms for a client: the highest that both sides have is taken.
    """

    name: str
    server: Callable[[ServerContext], ServerMechanism]
    client: Callable[[ClientContext], ClientMechanism]
    needs: Needs
    traits: Traits
    strength: int
    wanted: tuple[str, ...] = ()

    @property
    def plus(self) -> bool:
        """Whether it binds to the TLS channel (RFC 5802 6)."""
        return self.name.endswith("-PLUS")


@dataclass(slots=True)
class Nonces:
    """DIGEST-MD5 nonces that logged in, each with its last nonce-count: bounded in number and age (RFC 2831 2.2)."""

    limit: int = 4096
    lifetime: float = 3600.0
    seen: dict[str, tuple[str, str, int, float]] = field(default_factory=dict, repr=False)

    def remember(self, nonce: str, username: str, realm: str, count: int, now: float) -> None:
        """Note that this nonce was last used with this count; the oldest goes when there are too many."""
        self.seen.pop(nonce, None)
        while len(self.seen) >= self.limit:
            del self.seen[next(iter(self.seen))]
        self.seen[nonce] = (username, realm, count, now)

    def expects(self, nonce: str, username: str, realm: str, now: float) -> int:
        """The count that must come next for this nonce and user; 0 when the nonce is unknown or too old."""
        known = self.seen.get(nonce)
        if known is None or known[:2] != (username, realm) or now - known[3] > self.lifetime:
            return 0
        return known[2] + 1


class ServerTalk:
    """Runs a server dialogue: `next(event)` as the contract in `sasl.steps` has it."""

    __slots__ = ("_asked", "_context", "_dialogue", "_start")

    def __init__(
        self, start: Callable[[ServerContext, bytes | None], ServerDialogue], context: ServerContext
    ) -> None:
        self._start = start
        self._context = context
        self._dialogue: ServerDialogue | None = None
        self._asked: Step | None = None

    def next(self, event: object) -> Step:
        """The next step; a Failure for whatever does not belong here. Never raises for any bytes."""
        if isinstance(self._asked, (Success, Failure)):
            return Failure("the exchange is over")
        try:
            self._asked = self._advance(event)
        except StopIteration as stop:
            self._asked = stop.value
        except Broken as error:
            self._asked = Failure(str(error), malformed=True)
        assert self._asked is not None
        return self._asked

    def _advance(self, event: object) -> Step:
        asked = self._asked
        if isinstance(event, bytes) and len(event) > MAX_RESPONSE:
            raise Broken(f"response longer than {MAX_RESPONSE} bytes")
        if self._dialogue is None:
            if event is not None and not isinstance(event, bytes):
                raise Broken("an answer before a question")
            self._dialogue = self._start(self._context, event)
            return next(self._dialogue)
        if isinstance(asked, Challenge):
            fits = isinstance(event, bytes)
        elif isinstance(asked, FetchSecret):
            fits = isinstance(event, (Secret, Refused, TryLater))
        else:
            assert isinstance(asked, (CheckPassword, CheckToken))
            fits = isinstance(event, (Accepted, Refused, TryLater))
        if not fits:
            raise Broken("an answer to another question")
        return self._dialogue.send(event)


class ClientTalk:
    """Runs a client dialogue. The generator is given this object, to set `complete` and `note`."""

    __slots__ = ("_dialogue", "_started", "blocking", "complete", "note")

    def __init__(self, start: Callable[[ClientContext, ClientTalk], ClientDialogue], context: ClientContext) -> None:
        self.complete = False
        self.blocking = False
        self.note = ""
        self._dialogue = start(context, self)
        self._started = False

    def next(self, challenge: bytes | None) -> bytes | None:
        """The response to a challenge; `next(None)` first. Raises SaslError when the server's words do not hold."""
        try:
            if not self._started:
                self._started = True
                return next(self._dialogue)
            return self._dialogue.send(challenge or b"")
        except StopIteration:
            self.complete = False
            raise SaslError("the server goes on after the mechanism has ended") from None


def utf8(data: bytes, what: str) -> str:
    """Decode what a client sent; Broken when it is not UTF-8, has a NUL, or is over long for a name."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Broken(f"{what} is not UTF-8") from None
    if "\0" in text:
        raise Broken(f"{what} holds a NUL")
    return text


def name(data: bytes, what: str = "user name") -> str:
    """Decode a login name: UTF-8, not empty, bounded, without control characters and blanks around it."""
    text = utf8(data, what).strip(BLANKS)
    if not text:
        raise Broken(f"{what} is empty")
    if len(data) > MAX_NAME:
        raise Broken(f"{what} is longer than {MAX_NAME} bytes")
    if not text.isprintable() and any(c < " " or "\x7f" <= c < "\xa0" for c in text):
        raise Broken(f"{what} holds a control character")
    return text


def refusal(answer: object) -> Failure | None:
    """The Failure for a verifier's Refused or TryLater; None for a good answer."""
    if isinstance(answer, TryLater):
        return Failure(answer.why, temporary=True)
    if isinstance(answer, Refused):
        return Failure(answer.why)
    return None


def full(username: str, realm: str) -> str:
    """The name with the local domain when it has none."""
    return f"{username}@{realm}" if realm and "@" not in username else username


def acting_as(username: str, authzid: str, authcid: str, realm: str = "") -> Success | Failure:
    """Success, unless the client asks to act for somebody else, which nobody may (RFC 4422 3.4.1).

    `realm` (smtpd_sasl_local_domain) is what a name without "@" stands for.
    """
    wanted = authzid.strip(BLANKS)
    if wanted and full(wanted, realm) not in (full(authcid, realm), full(username, realm)):
        return Failure(f"{authcid} may not act as {authzid}", username=authcid)
    return Success(username)
