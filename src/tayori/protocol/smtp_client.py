"""The SMTP and LMTP client as a machine without I/O: replies' bytes in, events and command bytes out.

Contract: feed what the server sends to `receive` (b"" at the end of input) and act on the events; after every call
send what `outgoing` gives. `stage` says what the machine waits for, for time limits and for the words of a failure.
RFC 5321, RFC 2033 (LMTP), RFC 2920 (pipelining), RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8),
RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 3461 (DSN).

Limits: replies as in smtp_client_replies; one transaction at a time; addresses must hold no control characters
(ValueError), since such an address could smuggle a command.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable

from tayori.protocol.smtp_client_content import END
from tayori.protocol.smtp_client_replies import BrokenReply, ReplyReader, ServerReply
from tayori.protocol.smtp_client_values import (
    Answered,
    Authenticated,
    AuthRefused,
    Challenged,
    ClientOptions,
    ClientRecipient,
    Done,
    Envelope,
    Event,
    Lost,
    Ready,
    RefusedSession,
    SendContent,
    Stage,
    StartTls,
    TlsRefused,
    WasReset,
)

MAX_COMMAND = 512  # bytes of a command line with its end (RFC 5321 4.5.3.1.4)
Step = tuple[Stage, int]  # what a reply will answer; the number is a recipient's index, else -1


class Client:
    """One session, from the greeting to the end of the connection."""

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
        self.capabilities: dict[str, str] = {}
        self.over = False
        self._reader = ReplyReader()
        self._out: list[bytes] = []
        self._waiting: deque[Step] = deque([(Stage.GREETING, -1)])
        self._unsent: deque[tuple[Step, bytes]] = deque()
        self._envelope: Envelope | None = None
        self._open: set[int] = set()
        self._accepted: list[int] = []
        self._late: bytes | None = None
        self._body = False

    @property
    def stage(self) -> Stage:
        """What the next reply answers."""
        if self.over:
            return Stage.CLOSED
        if self._body:
            return Stage.BODY
        return self._waiting[0][0] if self._waiting else Stage.IDLE

    @property
    def idle(self) -> bool:
        """Whether a transaction may begin."""
        return not self.over and not self._waiting and not self._body

    @property
    def unanswered(self) -> frozenset[int]:
        """Indexes of recipients of the present envelope without a final answer."""
        return frozenset(self._open)

    def outgoing(self) -> bytes:
        """What to send now."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes) -> list[Event]:
        """Bytes from the server; b"" when it has closed. Never raises for any bytes."""
        if self.over:
            return []
        if not data:
            return [self._end(Lost(self.stage))]
        try:
            replies = self._reader.feed(data)
        except BrokenReply as error:
            return [self._end(Lost(self.stage, broken=str(error)))]
        events: list[Event] = []
        for reply in replies:
            if self.over:
                break
            if not self._waiting:
                # nothing was asked: an early "421 closing" of an idle session, or noise
                events.append(self._end(Lost(self.stage, reply)))
                break
            stage, index = self._waiting.popleft()
            events.extend(_ON_REPLY[stage](self, reply, index))
            if reply.code == 421 and not self.over:
                events.append(self._end(Lost(stage, reply)))
            self._push()
        return events

    def start_tls(self) -> None:
        """Ask for TLS (RFC 3207): StartTls or TlsRefused follows."""
        self._send((Stage.STARTTLS, -1), b"STARTTLS\r\n")

    def secured(self) -> None:
        """TLS stands: what was learnt in the clear is forgotten, and EHLO goes again (RFC 3207 4.2)."""
        self.capabilities = {}
        self._reader = ReplyReader()
        self._hello()

    def clear_pending(self) -> bool:
        """Whether bytes came after the 220 to STARTTLS: an injection attempt, the session must end."""
        return self._reader.pending()

    def authenticate(self, mechanism: str, initial: bytes | None) -> None:
        """AUTH with an initial response or None (RFC 4954 4): Challenged, Authenticated or AuthRefused follow.

        One that does not fit a command line (a ticket, a long token) waits for the server's empty challenge.
        """
        words = b"AUTH " + mechanism.encode("ascii")
        if initial is not None:
            whole = words + b" " + (b64encode(initial) if initial else b"=")
            if len(whole) + 2 <= MAX_COMMAND:
                words = whole
            else:
                self._late = initial
        self._send((Stage.AUTH, -1), words + b"\r\n")

    def respond(self, response: bytes | None) -> None:
        """Answer a challenge; None gives up (`*`)."""
        self._send((Stage.AUTH, -1), (b"*" if response is None else b64encode(response)) + b"\r\n")

    def begin(self, envelope: Envelope) -> None:
        """Send MAIL, RCPT for each recipient and DATA, all at once where PIPELINING is offered.

        Answered comes once per recipient, then Done. Raises ValueError for an address with control characters.
        """
        assert self.idle and envelope.recipients
        self._envelope = envelope
        self._open = set(range(len(envelope.recipients)))
        self._accepted = []
        steps: list[tuple[Step, bytes]] = [((Stage.MAIL, -1), self._mail(envelope))]
        dsn = "DSN" in self.capabilities
        for index, recipient in enumerate(envelope.recipients):
            steps.append(((Stage.RCPT, index), _rcpt(recipient, dsn)))
        if not envelope.probe:
            steps.append(((Stage.DATA, -1), b"DATA\r\n"))
        self._unsent.extend(steps)
        self._push()

    def content(self, data: bytes, last: bool = True) -> None:
        """Content in wire form (smtp_client_content.wire); `last` adds the final dot."""
        assert self._body
        self._out.append(data)
        if last:
            self._out.append(END)
            self._body = False
            steps = self._accepted if self.options.lmtp else [-1]
            self._waiting.extend((Stage.DOT, index) for index in steps)

    def reset(self) -> None:
        """RSET: WasReset follows."""
        self._send((Stage.RSET, -1), b"RSET\r\n")

    def quit(self) -> None:
        """QUIT; the answer, if anybody waits for it, ends the session with Lost."""
        if not self.over:
            self._send((Stage.QUIT, -1), b"QUIT\r\n")

    def _send(self, step: Step, data: bytes) -> None:
        self._waiting.append(step)
        self._out.append(data)

    def _push(self) -> None:
        """Send what may be sent: everything with PIPELINING, else one command when none is under way."""
        pipelining = "PIPELINING" in self.capabilities
        while self._unsent and not self.over and (pipelining or not self._waiting):
            step, data = self._unsent.popleft()
            self._send(step, data)

    def _hello(self, stage: Stage = Stage.EHLO) -> None:
        if self.options.lmtp:
            stage = Stage.LHLO
        self._send((stage, -1), f"{stage.name} {self.options.helo_name}\r\n".encode())

    def _end(self, event: Lost) -> Lost:
        self.over = True
        self._waiting.clear()
        self._unsent.clear()
        return event

    def _mail(self, envelope: Envelope) -> bytes:
        words = f"MAIL FROM:<{_checked(envelope.sender)}>"
        offered = self.capabilities
        if "SIZE" in offered and envelope.size:
            words += f" SIZE={envelope.size}"
        if "8BITMIME" in offered and envelope.body:
            words += f" BODY={envelope.body}"
        if "SMTPUTF8" in offered and envelope.smtputf8:
            words += " SMTPUTF8"
        if "DSN" in offered:
            words += f" RET={_checked(envelope.ret)}" if envelope.ret else ""
            words += f" ENVID={_checked(envelope.envid)}" if envelope.envid else ""
        return f"{words}\r\n".encode("utf-8", "surrogateescape")

    def _on_greeting(self, reply: ServerReply, _: int) -> list[Event]:
        if not reply.good:
            return [RefusedSession(reply, Stage.GREETING), self._end(Lost(Stage.GREETING, reply))]
        esmtp = self.options.ehlo and (self.options.ehlo_unasked or _says_esmtp(reply))
        self._hello(Stage.EHLO if esmtp else Stage.HELO)
        return []

    def _on_ehlo(self, reply: ServerReply, _: int) -> list[Event]:
        if reply.good:
            self.capabilities = _capabilities(reply, self.options.discard)
            return [Ready(self.capabilities, _first_word(reply))]
        if reply.code >= 500:
            self._hello(Stage.HELO)
            return []
        return [RefusedSession(reply, Stage.EHLO), self._end(Lost(Stage.EHLO, reply))]

    def _on_lhlo(self, reply: ServerReply, _: int) -> list[Event]:
        if reply.good:
            self.capabilities = _capabilities(reply, self.options.discard)
            return [Ready(self.capabilities, _first_word(reply))]
        return [RefusedSession(reply, Stage.LHLO), self._end(Lost(Stage.LHLO, reply))]

    def _on_helo(self, reply: ServerReply, _: int) -> list[Event]:
        if reply.good:
            return [Ready(self.capabilities, _first_word(reply))]
        return [RefusedSession(reply, Stage.HELO), self._end(Lost(Stage.HELO, reply))]

    def _on_starttls(self, reply: ServerReply, _: int) -> list[Event]:
        return [StartTls()] if reply.code == 220 else [TlsRefused(reply)]

    def _on_auth(self, reply: ServerReply, _: int) -> list[Event]:
        if reply.code == 334:
            late, self._late = self._late, None
            if late is not None:
                self.respond(late)
                return []
            try:
                return [Challenged(b64decode(reply.lines[-1].strip(), validate=True))]
            except (binascii.Error, ValueError):
                return [self._end(Lost(Stage.AUTH, broken="a challenge is not base64"))]
        self._late = None
        return [Authenticated(reply) if reply.code == 235 else AuthRefused(reply)]

    def _on_mail(self, reply: ServerReply, _: int) -> list[Event]:
        if reply.good:
            return []
        return self._answer_all(reply, Stage.MAIL)

    def _on_rcpt(self, reply: ServerReply, index: int) -> list[Event]:
        if index not in self._open:
            return []
        probing = self._envelope is not None and self._envelope.probe
        if reply.good and not probing:
            self._accepted.append(index)
            return []
        self._open.discard(index)
        events: list[Event] = [Answered(index, reply, Stage.RCPT)]
        if not self._open and (self._unsent or probing):
            # DATA is still here: it need not be sent
            self._unsent.clear()
            events.append(Done())
        return events

    def _on_data(self, reply: ServerReply, _: int) -> list[Event]:
        if reply.code == 354:
            self._body = True
            if self._accepted and self._open:
                return [SendContent()]
            # a pipelined DATA was accepted though no recipient was: end it with nothing (RFC 2920 3.1)
            self._accepted = []
            self._out.append(END)
            self._body = False
            if self.options.lmtp:
                return [Done()]
            self._waiting.append((Stage.DOT, -1))
            return []
        if reply.good:
            return [self._end(Lost(Stage.DATA, broken=f"unexpected reply to DATA: {reply.text}"))]
        return [*self._answer_all(reply, Stage.DATA, sent=True), Done()]

    def _on_dot(self, reply: ServerReply, index: int) -> list[Event]:
        if index >= 0:
            self._open.discard(index)
            events: list[Event] = [Answered(index, reply, Stage.DOT)]
        else:
            events = self._answer_all(reply, Stage.DOT, sent=True)
        if not any(stage is Stage.DOT for stage, _ in self._waiting):
            events.append(Done())
        return events

    def _on_rset(self, reply: ServerReply, _: int) -> list[Event]:
        return [WasReset(reply.good)]

    def _on_quit(self, reply: ServerReply, _: int) -> list[Event]:
        return [self._end(Lost(Stage.QUIT, reply))]

    def _answer_all(self, reply: ServerReply, stage: Stage, sent: bool = False) -> list[Event]:
        """One reply for every recipient that has none; Done follows when nothing else is under way."""
        events: list[Event] = [Answered(index, reply, stage) for index in sorted(self._open)]
        self._open.clear()
        self._unsent.clear()
        self._accepted = []
        if not sent and not self._waiting:
            events.append(Done())
        return events


_ON_REPLY: dict[Stage, Callable[[Client, ServerReply, int], list[Event]]] = {
    Stage.GREETING: Client._on_greeting,
    Stage.EHLO: Client._on_ehlo,
    Stage.HELO: Client._on_helo,
    Stage.LHLO: Client._on_lhlo,
    Stage.STARTTLS: Client._on_starttls,
    Stage.AUTH: Client._on_auth,
    Stage.MAIL: Client._on_mail,
    Stage.RCPT: Client._on_rcpt,
    Stage.DATA: Client._on_data,
    Stage.DOT: Client._on_dot,
    Stage.RSET: Client._on_rset,
    Stage.QUIT: Client._on_quit,
}


def _capabilities(reply: ServerReply, discard: frozenset[str]) -> dict[str, str]:
    """Keywords by upper-case name; `AUTH=PLAIN` of old servers counts as `AUTH PLAIN`."""
    found: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, _, value = line.strip().partition(" ")
        keyword = keyword.upper()
        if keyword.startswith("AUTH="):
            keyword, value = "AUTH", f"{keyword[5:]} {value}".strip()
        if keyword not in discard and (keyword != "AUTH" or not found.get("AUTH")):
            found[keyword] = value.strip()
    return found


def _says_esmtp(greeting: ServerReply) -> bool:
    """Whether ESMTP is a word of the greeting."""
    return any(word == "ESMTP" for line in greeting.lines for word in line.split())


def _first_word(reply: ServerReply) -> str:
    return reply.lines[0].split(" ", 1)[0]


def _rcpt(recipient: ClientRecipient, dsn: bool) -> bytes:
    words = f"RCPT TO:<{_checked(recipient.address)}>"
    if dsn:
        words += f" NOTIFY={_checked(recipient.notify)}" if recipient.notify else ""
        words += f" ORCPT={_checked(recipient.orcpt)}" if recipient.orcpt else ""
    return f"{words}\r\n".encode("utf-8", "surrogateescape")


def _checked(text: str) -> str:
    if not text.isprintable():
        for character in text:
            if character < " " or character == "\x7f":
                raise ValueError("an address holds a control character")
    return text
