"""One SMTP session: greeting, command loop, goodbye (smtpd(8), RFC 5321 3, 4).

The loop reads lines, asks the literal tables of protocol.smtp_commands whether a command may come now, calls its
handler, and sends what the handlers return; replies to pipelined commands leave together. Everything that
depends on more than the line lives in the handlers.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from tayori.net.stream import Stream
from tayori.net.tls import TlsError
from tayori.policy.facts import ClientFacts, Facts, LoginFacts, Stage, TlsFacts
from tayori.policy.log import effect_lines, log_line, refusal_line
from tayori.policy.policy import PERMITTED
from tayori.policy.verdict import Pending, Verdict
from tayori.programs.daemons.smtpd import auth, bdat, commands, data, starttls, xclient
from tayori.programs.daemons.smtpd.service import SmtpdService
from tayori.programs.daemons.smtpd.transcript import PROTOCOL, Transcript
from tayori.programs.daemons.smtpd.values import Counters, Transaction
from tayori.protocol import smtp_commands as say
from tayori.protocol.reply import Reply, wire
from tayori.protocol.smtp_commands import Row
from tayori.protocol.smtp_framing import Framing, Line
from tayori.tables.maps import Maps
from tayori.tables.matchlist import Match, MatchList
from tayori.tables.outcome import Found, TempFail

Handler = Callable[["Session", bytes], Awaitable[Reply | None]]

HANDLERS: dict[str, Handler] = {
    "HELO": commands.helo,
    "EHLO": commands.ehlo,
    "STARTTLS": starttls.starttls,
    "AUTH": auth.auth,
    "MAIL": commands.mail,
    "RCPT": commands.rcpt,
    "DATA": data.data,
    "BDAT": bdat.bdat,
    "RSET": commands.rset,
    "NOOP": commands.noop,
    "VRFY": commands.vrfy,
    "ETRN": commands.etrn,
    "HELP": commands.help_,
    "QUIT": commands.quit_,
    "XCLIENT": xclient.xclient,
}


PENDING = {Stage.CONNECT: 0, Stage.HELO: 1, Stage.PLAIN_HELO: 1, Stage.MAIL: 2}
"""Stages that may leave a defer_if_permit to later ones; each forgets what it and those after it left before."""
_CONTENT = (Stage.DATA, Stage.END_OF_DATA)
_FORGET = frozenset(("EHLO", "HELO", "RSET", "DATA", "BDAT"))
"""Where a long record of what was said may begin anew (postconf(5) smtpd_history_flush_threshold)."""
LINGER = 1.0
"""Seconds to wait for a refused client to hang up."""


class Closing(Exception):
    """End the session now; what is written goes out first."""


class Session:
    """State of one connection; the transaction is one value that RSET drops."""

    def __init__(
        self, service: SmtpdService, stream: Stream, ended: Callable[[Session], None] = lambda session: None
    ) -> None:
        self.service = service
        self._ended = ended
        self.options = service.options
        self.stream = stream
        self.client = ClientFacts(*stream.peer, server_address=stream.local[0], server_port=stream.local[1])
        self.log = service.intake.log
        self.framing = Framing(self.options.bare_newline, self.options.line_limit, self.options.stray_cr)
        self.discard = self.options.discard_keywords
        self.helo: str | None = None
        self.esmtp = False
        self.tls: TlsFacts | None = None
        self.external = ""  # who the client certificate says it is, for SASL EXTERNAL
        self.login: LoginFacts | None = None
        self.transaction: Transaction | None = None
        self.incoming: bdat.Incoming | None = None
        self.denied = ""
        self._pending: list[Pending | None] = [None, None, None]
        self.pipelining_broken = False
        self.errors = 0
        self.junk = 0
        self.counters = Counters()
        self.where = "CONNECT"
        self.draining = False
        self.trail = service.intake.history.trail()
        self._counted = ""
        self._exempt: tuple[tuple[str, str], bool] | None = None
        self._reading = False
        self._out: list[bytes] = []
        self.transcript = Transcript(self.options.notify, self.options.history_lines)

    @property
    def peer(self) -> str:
        """`name[address]`, as in every log line; with `:port` where smtpd_client_port_logging says so."""
        shown = f"{self.client.name}[{self.client.address}]"
        return f"{shown}:{self.client.port}" if self.options.log_port else shown

    @property
    def pending(self) -> Pending | None:
        """The defer_if_permit that the stages so far left behind."""
        return next((pending for pending in reversed(self._pending) if pending is not None), None)

    def facts(self, stage: Stage) -> Facts:
        """What restrictions may see now."""
        transaction = self.transaction
        # of several recipients none is "the" recipient of the content, as in Postfix
        of_content = transaction.recipients if transaction is not None and stage in _CONTENT else ()
        return Facts(
            client=self.client,
            stage=stage,
            protocol="ESMTP" if self.esmtp else "SMTP",
            helo=self.helo,
            tls=self.tls,
            login=self.login,
            sender=transaction.sender if transaction else None,
            recipient=of_content[0].address if len(of_content) == 1 else None,
            recipient_count=len(transaction.recipients) if transaction else 0,
            size=transaction.size if transaction else 0,
            queue_id=transaction.queue_id if transaction else "",
            smtputf8=transaction.smtputf8 if transaction else False,
            unauth_pipelining=self.pipelining_broken,
            pending=self.pending,
        )

    def note(self, text: str) -> None:
        """One log line as smtpd of this service."""
        self.log.line("smtpd", text, self.options.log_name)

    def note_verdict(self, verdict: Verdict, facts: Facts) -> None:
        """Log a refusal and the side effects, as Postfix words them."""
        self.trail.judged(verdict, facts)
        if not verdict.permitted:
            self.transcript.judged(verdict)
        if verdict.effects:
            for line in effect_lines(verdict, facts, self.peer, self._stage(facts)):
                self.note(line)
        if not verdict.permitted:
            self.note(log_line(verdict, facts, self.peer, self._stage(facts)))

    def _stage(self, facts: Facts) -> str:
        """The log's word for the stage: chunked content is judged as DATA and logged as BDAT."""
        return "BDAT" if self.incoming is not None and facts.stage is Stage.DATA else ""

    def note_refusal(self, facts: Facts, text: str, stage: str = "") -> None:
        """Log a refusal that no restriction made, as one of theirs. `stage` as in policy.log."""
        self.note(refusal_line(facts, text, self.peer, stage))

    async def judge(
        self,
        stage: Stage,
        ask: Callable[[Facts], Awaitable[Verdict]],
        accepted: Callable[[], None] = lambda: None,
    ) -> Verdict:
        """Ask the policy at a stage, if it has anything to ask there; does `accepted`, then logs what it says."""
        if not self.service.policy.asks(stage):
            accepted()
            return PERMITTED
        level = PENDING.get(stage)
        if level is not None:
            self._pending[level:] = [None] * (3 - level)
        facts = self.facts(stage)
        verdict = await ask(facts)
        if level is not None:
            self._pending[level] = verdict.pending
        if verdict.permitted:
            accepted()
        self.note_verdict(verdict, facts)
        return verdict

    def soften(self, reply: Reply) -> Reply:
        """soft_bounce: every 5xx becomes its 4xx (postconf(5) soft_bounce)."""
        if not self.options.soft_bounce or reply.code < 500:
            return reply
        enhanced = "4" + reply.enhanced[1:] if reply.enhanced else ""
        return Reply(reply.code - 100, enhanced, reply.text)

    def say(self, reply: Reply) -> None:
        """Queue a reply; it leaves before the next wait for input."""
        data = wire(reply)
        if not self.options.smtputf8 and not data.isascii():
            data = say.blanked(data)
        self.transcript.said(data)
        self._out.append(data)

    def flush(self) -> None:
        """Send what is queued."""
        out = self._out
        if out:
            self.stream.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    async def input(self) -> None:
        """Wait for more bytes. Raises ConnectionError at the end, TimeoutError."""
        self.framing.feed(self._came(await self._more()))

    def _more(self) -> Awaitable[bytes]:
        """To be awaited: what comes next, after sending what is queued."""
        self.flush()
        self._reading = True
        return self._in_step() if self.stream.clogged else self.stream.read()

    async def _in_step(self) -> bytes:
        """A client that sends commands but reads no replies gets no more of them."""
        await self.stream.drain()
        return await self.stream.read()

    def _came(self, chunk: bytes) -> bytes:
        self._reading = False
        if not chunk:
            raise ConnectionResetError
        return chunk

    async def read_line(self) -> Line:
        """The next line. Raises ConnectionError at the end, TimeoutError."""
        line = self.framing.line() if self.framing.pending() else None
        while line is None:
            line = self.framing.line_of(self._came(await self._more()))
        return line

    async def run(self) -> None:
        """From greeting to goodbye; never raises for anything that a client does."""
        self.stream.timeout = self.options.timeout
        ending = ""
        try:
            await self._greet()
            while True:
                await self._one_command()
        except Closing:
            await self._farewell()
        except TimeoutError:
            ending = "timeout"
            self.note(f"timeout after {self.where} from {self.peer}")
            self.say(Reply(421, "4.4.2", f"{self.options.hostname} Error: timeout exceeded"))
            self.flush()
        except asyncio.CancelledError:
            self.say(Reply(421, "4.3.2", f"{self.options.hostname} Service shutting down"))
            self.flush()
            raise
        except (ConnectionError, TlsError):
            ending = "lost connection"
            self.note(f"lost connection after {self.where} from {self.peer}")
        finally:
            if self._counted:
                self.service.rates.disconnect(self._counted)
            self.note(f"disconnect from {self.peer} {self.counters}")
            self.trail.gone(self)
            self._tell_postmaster(ending)
            self._drop_incoming()
            self.stream.close()
            self._ended(self)

    async def _farewell(self) -> None:
        """Let the last reply arrive: closing with unread input would reset the connection and lose it."""
        self.flush()
        if self.where == "QUIT":
            return
        self.stream.timeout = LINGER
        self.stream.write_eof()
        with contextlib.suppress(TimeoutError, ConnectionError, TlsError):
            for _ in range(64):
                if not await self.stream.read():
                    break

    async def _greet(self) -> None:
        if self.options.tls_wrapper:
            await starttls.handshake(self)
        await self.look_up_client()
        self.note(f"connect from {self.peer}")
        await self._check_connection_limits()
        await self.banner()

    async def look_up_client(self) -> None:
        """Reverse and forward look-up of the client's address (postconf(5) smtpd_peername_lookup)."""
        address = self.client.address
        name, reverse, name_code, reverse_code = await self.service.client_names(address)
        self.client = ClientFacts(
            address, self.client.port, name, reverse, name_code, reverse_code,
            self.client.server_address, self.client.server_port,
        )  # fmt: skip

    async def _check_connection_limits(self) -> None:
        why = self.service.rates.connect(self.client.address)
        self._counted = self.client.address
        if why and not await self.listed(self.service.event_exempt):
            self.note(f"warning: Connection {why} limit exceeded: {self.peer} for service smtpd")
            text = f"{self.options.hostname} Error: too many connections from {self.client.address}"
            self.say(self.trail.refused("CONNECT", b"", Reply(421, "4.7.0", text)))
            raise Closing

    async def listed(self, hosts: MatchList | None) -> bool:
        """Whether the client is on a list; a table that cannot answer counts as no."""
        if hosts is None:
            return False
        return isinstance(await hosts.match_client(self.client.name, self.client.address), Match)

    async def banner(self) -> None:
        """The greeting, or the refusal of the client restrictions where smtpd_delay_reject is off."""
        verdict = await self.judge(Stage.CONNECT, self.service.policy.connect)
        if verdict.reply is not None and not verdict.permitted:
            self.errors += 1
            reply = self.trail.refused("CONNECT", b"", self.soften(verdict.reply))
            self.denied = self.peer
            self.say(reply)
            if reply.code in (421, 521):
                raise Closing
        else:
            self.say(Reply(220, "", self.options.banner))

    async def _one_command(self) -> None:
        if self.errors >= self.options.hard_errors:
            self.note(f"too many errors after {self.where} from {self.peer}")
            self.transcript.wrong(PROTOCOL)
            text = f"{self.options.hostname} Error: too many errors"
            self.say(self.trail.refused("CONNECT", b"", Reply(421, "4.7.0", text)))
            raise Closing
        if self.draining and self.transaction is None and not self.framing.pending():
            self.say(Reply(421, "4.3.2", f"{self.options.hostname} Service shutting down"))
            raise Closing
        line = await self.read_line()
        if self.service.command_filter is not None:
            line = await self._filtered(line, self.service.command_filter)
        verb, argument = say.split_command(line.text)
        self.transcript.heard(verb, argument, line.text)
        reply = await self._command(verb, argument, line)
        ok = reply is None or reply.code < 400
        self.counters.count(verb if verb in HANDLERS else "UNKNOWN", ok)
        if not ok:
            self.errors += 1
        if reply is not None:
            if not ok:
                self.transcript.answered(verb, reply, reply is say.SEND_HELO)
                reply = self.trail.refused(verb, argument, self.soften(reply))
            if not ok and self.service.footer is not None:
                reply = await self.service.footer.apply(reply, self.facts(Stage.RCPT))
            if self.errors > self.options.soft_errors and self.options.error_sleep:
                self.flush()
                await asyncio.sleep(self.options.error_sleep)
            self.say(reply)
            if reply.code in (421, 521):
                raise Closing
        if verb == "QUIT" and ok:
            raise Closing
        if self.transcript.long and verb in _FORGET:
            self._tell_postmaster("")

    async def _filtered(self, line: Line, filter_: Maps) -> Line:
        """smtpd_command_filter: what the table makes of a command; when it cannot be asked, the session ends."""
        text = line.text.lstrip(b" \t").decode("utf-8", "surrogateescape")
        answer = await filter_.lookup(text)
        if isinstance(answer, TempFail):
            self.note(f"warning: smtpd_command_filter: {answer.why}")
            self.say(Reply(421, "4.3.0", f"{self.options.hostname} Server local data error"))
            raise Closing
        if not isinstance(answer, Found):
            return line
        shown = say.printable(line.text[:100])
        self.note(f'{self.peer}: replacing client command "{shown}" with "{answer.value[:100]}"')
        return Line(answer.value.encode("utf-8", "surrogateescape"), line.bare, line.overlong)

    async def _command(self, verb: str, argument: bytes, line: Line) -> Reply | None:
        options = self.options
        if line.bare and options.bare_newline == "reject" and not await self._bare_exempt():
            self.note(f"disconnect: {self.where} from {self.peer}: bare <LF> received")
            self.say(Reply(options.bare_newline_code, "5.5.2", f"{options.hostname} Error: bare <LF> received"))
            raise Closing
        if options.smtputf8 and not line.text.isascii() and not say.is_utf8(line.text):
            return say.BAD_UTF8
        if not verb:
            return say.BAD_SYNTAX
        if verb in options.noop_commands:
            return say.OK
        if self.denied and verb != "QUIT":
            return Reply(503, "5.7.0", f"Error: access denied for {self.denied}")
        row = say.COMMANDS.get(verb)
        if row is None:
            return await self._unknown(verb, line)
        if verb in self.discard and verb in say.DISCARDED:
            return say.DISCARDED[verb]
        self.where = verb
        if verb == "BDAT" and line.overlong:
            return say.BDAT_SYNTAX
        if options.tls_level == "encrypt" and self.tls is None and not row.clear:
            return say.MUST_STARTTLS
        if row.idle and self.transaction is not None:
            return say.ETRN_IN_TRANSACTION if verb == "ETRN" else say.IN_TRANSACTION
        if self.framing.pending() or self.stream.pending():
            self._check_pipelining(row)
        reply = await HANDLERS[verb](self, argument)
        if row.junk:
            self.junk += 1
            if self.junk > options.junk_limit:
                self.errors += 1
        return reply

    async def _unknown(self, verb: str, line: Line) -> Reply:
        self.where = "UNKNOWN"
        # a header field where a command belongs: the content was sent although DATA was refused
        forbidden = self.service.forbidden
        if say.is_header(line.text) or (forbidden is not None and isinstance(await forbidden.match(verb), Match)):
            shown = say.printable(line.text[:100])
            self.note(f"warning: non-SMTP command from {self.peer}: {shown}")
            self.say(say.FORBIDDEN)
            raise Closing
        return say.UNKNOWN

    def _check_pipelining(self, row: Row) -> None:
        """RFC 2920 3.1: commands that end a group, or any command of a client that was not told PIPELINING."""
        if self.esmtp and not row.last:
            return
        if row.verb == "DATA" and (self.transaction is None or not self.transaction.recipients):
            return
        if row.verb == "QUIT" or (row.verb == "STARTTLS" and self.service.tls is None):
            return
        if row.verb == "AUTH" and (self.service.authenticator is None or not self.options.sasl_enable):
            return
        self.pipelining_broken = True
        if self.options.forbid_pipelining:
            self.note(f"improper command pipelining after {row.verb} from {self.peer}")
            self.transcript.wrong(PROTOCOL)
            self.say(say.PIPELINING_BROKEN)
            raise Closing

    async def _bare_exempt(self) -> bool:
        key = self.client.name, self.client.address
        if self._exempt is None or self._exempt[0] != key:
            self._exempt = key, await self.listed(self.service.bare_exempt)
        return self._exempt[1]

    async def bare_mode(self) -> str:
        """What ends a body for this client (smtpd_forbid_bare_newline and its exclusions)."""
        return "no" if await self._bare_exempt() else self.options.bare_newline

    def _tell_postmaster(self, ending: str) -> None:
        """notify_classes: what was said so far, if that is wanted; then it is forgotten."""
        transcript = self.transcript
        if transcript.due:
            self.service.intake.tell_postmaster(self.peer, transcript.text(ending), transcript.bounced)
        transcript.forget()

    def interrupt(self) -> None:
        """The server stops: a session between mails ends now, one inside a mail after it."""
        self.draining = True
        if self.transaction is None and self._reading:
            self.say(Reply(421, "4.3.2", f"{self.options.hostname} Service shutting down"))
            self.flush()
            self.stream.close()

    def reset(self) -> None:
        """Drop the transaction."""
        self.trail.ends(self)
        self.transaction = None
        self._drop_incoming()
        self._pending[2] = None

    def _drop_incoming(self) -> None:
        if self.incoming is not None:
            self.incoming.end()
            self.incoming = None

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()
