"""What one SMTP session leaves behind while it runs: cheap notes, made into Records by another thread later.

A Session calls these methods and knows nothing else of the history. NO_TRAIL stands in where no history is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from tayori.policy.facts import ClientFacts, Facts, LoginFacts, TlsFacts
from tayori.policy.verdict import Reason, Verdict
from tayori.programs.history.record import MOST, TEXT, Failed, code_text
from tayori.protocol.reply import Reply
from tayori.sasl.names import known

MOST_LOGINS = 10


class Mail(Protocol):
    """`smtpd.values.Transaction`."""

    @property
    def sender(self) -> str:
        """The envelope sender."""
        ...

    @property
    def number(self) -> int:
        """The queue number, 0 before a recipient was accepted."""
        ...

    @property
    def size(self) -> int:
        """Bytes: what the client said, later what came."""
        ...


class Headed(Protocol):
    """Content too large for memory."""

    @property
    def header(self) -> bytes:
        """Its header."""
        ...


class Party(Protocol):
    """A Session, as the trail sees it."""

    client: ClientFacts
    helo: str | None
    esmtp: bool
    tls: TlsFacts | None
    login: LoginFacts | None

    @property
    def transaction(self) -> Mail | None:
        """The mail under way."""
        ...


class Note(msgspec.Struct):
    """One judged command, or one refused without a verdict (`facts` None; then `about` says what was tried and
    `by` what decided, if that is known)."""

    facts: Facts | None
    verdict: Verdict | None
    verb: str = ""
    about: str = ""
    reply: str = ""
    code: str = ""
    by: Reason | None = None


class Left(msgspec.Struct, frozen=True):
    """The raw form of a Record, handed to the writing thread."""

    when: float
    client: ClientFacts
    helo: str | None
    esmtp: bool
    tls: TlsFacts | None
    login: LoginFacts | None
    failed: tuple[Failed, ...]
    offered: tuple[str, ...] | None
    sender: str | None
    number: int
    size: int
    notes: tuple[Note, ...]
    reply: str
    more: int
    head: bytes


class Trail:
    """The notes of one session. `keep` takes what is finished; `codes` gives numbers for the codes of refusals.

    `shown`: whether the client reads the codes (tayori_refusal_codes). `heads`: bytes kept of a mail's header
    (tayori_history_headers).
    """

    __slots__ = (
        "_codes", "_failed", "_head", "_heads", "_keep", "_last", "_more", "_notes", "_offered", "_reply",
        "_shown", "_told",
    )  # fmt: skip

    def __init__(self, keep: Callable[[Left], None], codes: Callable[[], int], shown: bool, heads: int = 0) -> None:
        self._keep = keep
        self._codes = codes
        self._shown = shown
        self._notes: list[Note] = []
        self._failed: list[Failed] = []
        self._offered: tuple[str, ...] | None = None
        self._reply = ""
        self._heads = heads
        self._head = b""
        self._more = 0
        self._last: Reply | None = None
        self._told = False

    def judged(self, verdict: Verdict, facts: Facts) -> None:
        """The policy has decided about a command."""
        if len(self._notes) < MOST:
            self._notes.append(Note(facts, verdict))
        else:
            self._more += 1

    def last_word(self, verb: str, argument: bytes, reply: Reply, by: Reason | None = None) -> Reply:
        """As `refused`, for a refusal that ends the mail before the session says it: it is then not noted again."""
        reply = self._last = self.refused(verb, argument, reply, by)
        return reply

    def refused(self, verb: str, argument: bytes, reply: Reply, by: Reason | None = None) -> Reply:
        """A command got a 4xx or 5xx: the reply that the client reads, with the code where codes are shown.

        `by`: what decided, where it was no rule of the policy.
        """
        last_word, self._last = self._last, None
        if reply is last_word:
            return reply
        notes = self._notes
        last = notes[-1] if notes else None
        if last is None or last.reply or last.verdict is None or last.verdict.permitted:
            if self._more or len(notes) >= MOST:
                self._more += 1
                return reply
            last = Note(None, None, verb, about_command(verb, argument), by=by)
            notes.append(last)
        last.code = code_text(self._codes())
        if self._shown and (last.verdict is not None or verb == "END-OF-MESSAGE"):
            reply = Reply(reply.code, reply.enhanced, f"{reply.text} [r-{last.code}]")
        last.reply = str(reply)[:TEXT]
        return reply

    def offered(self, mechanisms: tuple[str, ...]) -> None:
        """EHLO listed these AUTH mechanisms."""
        self._offered = mechanisms

    def login_failed(self, method: str, username: str, why: str) -> None:
        """AUTH did not succeed."""
        if len(self._failed) < MOST_LOGINS:
            self._failed.append(Failed(method, username[:TEXT], why[:TEXT]))

    def answered(self, reply: Reply, content: bytes | Headed | None = None) -> None:
        """The reply to the end of the content."""
        self._reply = str(reply)[:TEXT]
        if self._heads and content:
            self._head = (content if isinstance(content, bytes) else content.header)[: self._heads]

    def ends(self, party: Party) -> None:
        """The mail under way is over: accepted, given up or dropped."""
        if party.transaction is not None or self._notes:
            self._leave(party)

    def gone(self, party: Party) -> None:
        """The session is over; one that tried no mail is noted too."""
        if party.transaction is not None or self._notes or not self._told:
            self._leave(party)

    def _leave(self, party: Party) -> None:
        mail = party.transaction
        self._told = True
        self._keep(
            Left(
                time.time(), party.client, party.helo, party.esmtp, party.tls, party.login, tuple(self._failed),
                self._offered, mail.sender if mail else None, mail.number if mail else 0, mail.size if mail else 0,
                tuple(self._notes), self._reply, self._more, self._head,
            )
        )  # fmt: skip
        self._notes.clear()
        self._reply = ""
        self._head = b""
        self._more = 0


def about_command(verb: str, argument: bytes) -> str:
    """What may be kept of a refused command. Never more than the mechanism of AUTH, and nothing of a line that is no
    command: it may be a password that came too late."""
    text = argument[:TEXT].decode("utf-8", "backslashreplace")
    if verb in ("RCPT", "MAIL"):
        _, opened, rest = text.partition("<")
        return rest.partition(">")[0] if opened else ""
    return known(text.partition(" ")[0]) if verb == "AUTH" and text else ""


class NoTrail:
    """Where no history is kept (tayori_history_days = 0)."""

    __slots__ = ()

    def judged(self, verdict: Verdict, facts: Facts) -> None:
        """Nothing."""

    def last_word(self, verb: str, argument: bytes, reply: Reply, by: Reason | None = None) -> Reply:
        """The reply as it is."""
        return reply

    def refused(self, verb: str, argument: bytes, reply: Reply, by: Reason | None = None) -> Reply:
        """The reply as it is."""
        return reply

    def offered(self, mechanisms: tuple[str, ...]) -> None:
        """Nothing."""

    def login_failed(self, method: str, username: str, why: str) -> None:
        """Nothing."""

    def answered(self, reply: Reply, content: bytes | Headed | None = None) -> None:
        """Nothing."""

    def ends(self, party: Party) -> None:
        """Nothing."""

    def gone(self, party: Party) -> None:
        """Nothing."""


NO_TRAIL = NoTrail()
