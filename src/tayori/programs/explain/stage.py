"""The imagined session: a real Session on a stream of its own, with an Intake that keeps nothing.

Policy, framing, limits and replies are those of the worker, because they are the worker's code. What differs: the
client's names may be given, TLS and login are taken as said, and no time is spent on punishing errors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast

from tayori.config.settings import Settings
from tayori.net.stream import Stream
from tayori.net.tls import TlsSession
from tayori.policy.facts import Facts, LoginFacts, TlsFacts
from tayori.policy.rates import Board
from tayori.policy.verdict import Reason, Verdict
from tayori.programs.daemons.compose import Built, House
from tayori.programs.daemons.intake import NOTHING, Forced, Intake
from tayori.programs.daemons.smtpd.commands import offered
from tayori.programs.daemons.smtpd.session import Session
from tayori.programs.explain.causes import port_of
from tayori.programs.explain.values import Line, Question
from tayori.programs.history.history import NoHistory
from tayori.programs.history.trail import NoTrail
from tayori.programs.maillog import MailLog
from tayori.protocol.address import quote
from tayori.protocol.reply import Reply
from tayori.queue.engine import SqliteQueue
from tayori.queue.model import Attributes
from tayori.rewrite.cleanup import Incoming
from tayori.rewrite.results import Cleaned
from tayori.tables.matchlist import Kind, MatchList

NUMBER = 0x7A0
"""The queue number of mail that never was."""
# Restrictions that look at the client's names: only for these is DNS asked.
BY_NAME = frozenset(
    (
        "check_client_access", "check_reverse_client_hostname_access", "reject_unknown_client_hostname",
        "reject_unknown_client", "reject_unknown_reverse_client_hostname", "reject_unknown_forward_client_hostname",
        "reject_rhsbl_client", "reject_rhsbl_reverse_client", "permit_rhswl_client", "check_policy_service",
        "check_client_a_access", "check_client_mx_access", "check_client_ns_access",
        "check_reverse_client_hostname_a_access", "check_reverse_client_hostname_mx_access",
        "check_reverse_client_hostname_ns_access",
    )
)  # fmt: skip


class ListLog:
    """A MailLog that keeps the lines. (`MailLog` itself opens files.)"""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, daemon: str, text: str, name: str = "") -> None:
        """Keep one line."""
        self.lines.append(f"{daemon}: {text}")


@dataclass(slots=True)
class Heard:
    """One judged command, or one refused without a verdict. `mark`: how many look-ups had been made by then."""

    verdict: Verdict | None
    facts: Facts | None
    mark: int
    verb: str = ""
    argument: bytes = b""
    reply: Reply | None = None


class Judgements(NoHistory, NoTrail):
    """Stands in for the history: hears every verdict with its facts, and every refusal. `mark` tells where the tables
    stand."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.mark: Callable[[], int] = lambda: 0
        self._last: Reply | None = None

    def trail(self) -> NoTrail:
        """Itself: there is one session."""
        return self

    def judged(self, verdict: Verdict, facts: Facts) -> None:
        """The policy has decided."""
        self.heard.append(Heard(verdict, facts, self.mark()))

    def refused(self, verb: str, argument: bytes, reply: Reply, by: Reason | None = None) -> Reply:
        """A command was refused, by the policy or not."""
        last_word, self._last = self._last, None
        if reply is last_word:
            return reply
        last = self.heard[-1] if self.heard else None
        if last is None or last.reply or last.verdict is None or last.verdict.permitted:
            self.heard.append(Heard(None, None, self.mark(), verb, argument, reply))
        else:
            last.reply = reply
        return reply

    def last_word(self, verb: str, argument: bytes, reply: Reply, by: Reason | None = None) -> Reply:
        """The same, for a refusal that the session says afterwards."""
        self._last = self.refused(verb, argument, reply, by)
        return self._last


class NoQueue:
    """The part of the queue that a session may ask."""

    def next_number(self) -> int:
        """NUMBER."""
        return NUMBER

    def room(self, size: int) -> bool:
        """Always."""
        return True


class DryIntake(Intake):
    """Cleans as the worker's, keeps the result instead of queueing it."""

    in_memory = 1 << 62

    def __init__(self, settings: Settings, house: House, log: ListLog, judgements: Judgements) -> None:
        flushable = MatchList.from_settings(house.tables, settings, "fast_flush_domains", Kind.DOMAIN)
        super().__init__(
            settings, cast(SqliteQueue, NoQueue()), house.cleanup, cast(MailLog, log), flushable, judgements
        )
        self.incoming: Incoming | None = None
        self.cleaned: Cleaned | None = None
        self.forced = NOTHING
        self.attributes = Attributes()
        self.mark = 0

    def tell_postmaster(self, peer: str, said: str, bounced: bool) -> None:
        """Nobody is told."""

    async def keep(
        self, number: int, incoming: Incoming, attributes: Attributes, arrival: float, forced: Forced = NOTHING
    ) -> Reply:
        """Clean; the reply that a client would get if the disk is well."""
        assert isinstance(self.history, Judgements)
        self.mark = self.history.mark()
        self.incoming, self.attributes, self.forced = incoming, attributes, forced
        self.cleaned = await self._cleanup.clean(incoming)
        for note in self.cleaned.notes:
            self.log.line("cleanup", f"{number:X}: {note}")
        if self.cleaned.reject is not None:
            return Reply(*self.cleaned.reject)
        return Reply(250, "2.0.0", f"Ok: queued as {number:X}")

    async def flush_site(self, site: str) -> bool:
        """ETRN is not explained."""
        return False


class Script(Stream):
    """The client's side as a Stream: the next command comes when the session waits for one."""

    def __init__(self, question: Question, server: tuple[str, int], tls: bool) -> None:
        super().__init__()
        self.peer = question.client, question.port or 40000
        self.local = server
        self.tls = cast(TlsSession, SimpleNamespace(bindings={})) if tls else None
        self.lines: list[Line] = []
        self._command = ""
        self._reply = b""
        self._ended = False
        self._steps = self._dialogue(question)

    def _dialogue(self, question: Question) -> Iterator[bytes]:
        if question.helo:
            yield from self._say(f"{'HELO' if question.plain_helo else 'EHLO'} {question.helo}")
        beyond = any(not a.isascii() for a in (question.sender, *question.recipients))
        utf8 = " SMTPUTF8" if beyond and self.lines and "SMTPUTF8" in self.lines[-1].reply else ""
        yield from self._say(f"MAIL FROM:<{quote(question.sender)}>{utf8}")
        if self._code() != 2:
            yield from self._say("QUIT")
        taken = 0
        for recipient in question.recipients:
            yield from self._say(f"RCPT TO:<{quote(recipient)}>")
            taken += self._code() == 2
        if taken:
            yield from self._say("DATA")
            if self._code() == 3:
                yield from self._say("(message)", content(question) + b".\r\n")
        yield from self._say("QUIT")

    def _say(self, command: str, data: bytes = b"") -> Iterator[bytes]:
        self._command = command
        yield data or command.encode("utf-8", "surrogateescape") + b"\r\n"
        self._end()

    def _code(self) -> int:
        reply = self.lines[-1].reply if self.lines else ""
        return int(reply[0]) if reply[:1].isdigit() else 0

    def _end(self) -> None:
        """The first reply belongs to the command; what follows it, the server said of its own accord."""
        text = self._reply.decode("utf-8", "backslashreplace").strip().replace("\r\n", "\n")
        if text or self._command:
            lines = text.split("\n")
            last = next((at for at, line in enumerate(lines) if line[3:4] != "-"), len(lines) - 1)
            self.lines.append(Line(self._command, "\n".join(lines[: last + 1])))
            if lines[last + 1 :]:
                self.lines.append(Line("", "\n".join(lines[last + 1 :])))
        self._command, self._reply = "", b""

    async def read(self) -> bytes:
        """The next command; b"" at the end."""
        if not self.lines and not self._command:
            self._end()
        return b"" if self._ended else next(self._steps, b"")

    def write(self, data: bytes) -> None:
        """A reply."""
        self._reply += data

    def pending(self) -> bool:
        """The client never speaks before its turn."""
        return False

    async def drain(self) -> None:
        """Nothing waits."""

    def write_eof(self) -> None:
        """The server has no more to say."""
        self._ended = True

    def close(self) -> None:
        """The end: what was said last belongs to the last command."""
        self._end()


def content(question: Question) -> bytes:
    """The message, CRLF line ends, dots doubled; a small one when none was given."""
    text = question.content
    if not text:
        to = ", ".join(question.recipients)
        text = f"From: <{question.sender}>\r\nTo: {to}\r\nSubject: explain\r\n\r\nexplain\r\n".encode()
    lines = text.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)


def asks_names(settings: Settings) -> bool:
    """Whether a rule of this service looks at the client's host name."""
    lists = [f"smtpd_{stage}_restrictions" for stage in ("client", "helo", "sender", "relay", "recipient", "data")]
    lists += ["smtpd_end_of_data_restrictions", *settings.items("smtpd_restriction_classes")]
    words = {word.lower() for name in lists for word in settings.items(name)}
    return bool(words & BY_NAME) or any(":" in word for word in words)


class Play:
    """One imagined session and what came of it."""

    def __init__(self, house: House, built: Built, question: Question) -> None:
        self.house = house
        self.built = built
        self.question = question
        self.log = ListLog()
        self.judgements = Judgements()
        self.intake = DryIntake(house.settings, house, self.log, self.judgements)
        self.offered: tuple[str, ...] = ()
        self.login_possible = True
        self.login_assumed = False
        self.session: Session
        self.script: Script

    async def run(self) -> None:
        """Speak the dialogue."""
        question, built = self.question, self.built
        service = built.bind(self.intake, Board(1), 0, self.house.dns)
        names = service.client_names if asks_names(built.settings) else _unknown
        if question.name:
            names = _given(question)
        options = replace(service.options, tls_wrapper=False, error_sleep=0)
        service = replace(service, options=options, client_names=names)
        tls = question.tls or built.options.tls_wrapper
        self.script = Script(question, ("127.0.0.1", port_of(built)), tls)
        session = self.session = Session(service, self.script)
        if tls:
            session.tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
        self.offered = await offered(session)
        if question.login:
            self.login_assumed = not self.offered and self._may_not_ask(built, session)
            if built.authenticator is not None and (self.offered or self.login_assumed):
                session.login = LoginFacts(question.login, question.method)
            else:
                self.login_possible = False
        await session.run()

    @staticmethod
    def _may_not_ask(built: Built, session: Session) -> bool:
        """Whether only our own rights keep us from the back ends that the server asks."""
        if built.authenticator is None or (session.options.tls_auth_only and session.tls is None):
            return False
        return not built.settings.system.root and not built.authenticator.reachability.up()


async def _unknown(address: str) -> tuple[str, str, int, int]:
    return "unknown", "unknown", 5, 5


def _given(question: Question) -> Callable[[str], Awaitable[tuple[str, str, int, int]]]:
    async def names(address: str) -> tuple[str, str, int, int]:
        code = question.name_code or (5 if question.name == "unknown" else 2)
        reverse = question.reverse_name or question.name
        return question.name, reverse, code, question.reverse_code or (5 if reverse == "unknown" else 2)

    return names
