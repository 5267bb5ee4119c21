"""dovecot: log-ins are Dovecot's (smtpd_sasl_type = dovecot): it owns mechanisms and passwords, we pass on.

`smtpd_sasl_path` is `unix:path`, `inet:host:port` or a path, relative to $queue_directory. One connection per worker
carries all exchanges; it is opened when needed and again after Dovecot was restarted.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.protocol import dovecot_auth as wire
from tayori.sasl.record import Attempt, LoginRecord
from tayori.sasl.steps import Challenge, Failure, Secret, Success
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble, describe

T = TypeVar("T")
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
AT_ONCE = 500


class Dovecot:
    """The connection. Not a store of passwords: `verify` runs PLAIN through it."""

    secrets = False

    def __init__(
        self,
        place: str,
        service: str = "smtp",
        options: dict[bool, frozenset[str]] | None = None,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.name = f"dovecot:{place}"
        self._guard = Guard(self.name, at_once=AT_ONCE, seconds=seconds)
        self.service = service
        self._place = place
        self._options = options or {False: frozenset(), True: frozenset()}
        self.mechanisms: tuple[wire.Mechanism, ...] = ()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[wire.Event]] = {}
        self._next = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> Dovecot:
        """By smtpd_sasl_path and the security options. Raises ConfigError."""
        path = settings.text("smtpd_sasl_path")
        if not path or path == "smtpd":
            origin = settings.origin("smtpd_sasl_path") or settings.origin("smtpd_sasl_type")
            raise ConfigError("smtpd_sasl_type = dovecot needs smtpd_sasl_path", origin, "for example private/auth")
        if not path.startswith("inet:"):
            path = path.removeprefix("unix:")
            path = str(Path(settings.text("queue_directory")) / path)
        options = {
            False: frozenset(settings.items("smtpd_sasl_security_options")),
            True: frozenset(settings.items("smtpd_sasl_tls_security_options")),
        }
        return cls(path, settings.text("smtpd_sasl_service") or "smtp", options)

    def offered(self, tls: bool) -> tuple[str, ...]:
        """Dovecot's mechanisms in its order, without those that the security options refuse."""
        options = self._options[tls]
        return tuple(m.name for m in self.mechanisms if "private" not in m.flags and not m.refused_by(options))

    async def probe(self) -> str:
        """Empty when connected."""
        try:
            await self._connect()
        except (OSError, TimeoutError, wire.ProtocolError) as error:
            return f"{self._place}: {describe(error) or 'no answer'}; is Dovecot running, and its auth socket ours?"
        return ""

    async def start(self, line: Callable[[int], bytes]) -> tuple[int, wire.Event]:
        """Begin a request; `line` makes the AUTH line from its number. One retry on a connection that had died.
        Raises Trouble."""

        async def work() -> tuple[int, wire.Event]:
            for last in (False, True):
                await self._connect()
                number = self._next = self._next % 0x7FFFFFFF + 1
                try:
                    return number, await self._ask(number, line(number))
                except ConnectionError:
                    if last:
                        raise
            raise ConnectionError  # not reached

        return await self._guarded(work)

    async def proceed(self, number: int, response: bytes) -> wire.Event:
        """The next response of a request. Raises Trouble."""
        return await self._guarded(lambda: self._ask(number, wire.cont(number, response)))

    async def _guarded(self, work: Callable[[], Awaitable[T]]) -> T:
        async def asked() -> T:
            try:
                return await work()
            except wire.ProtocolError as error:
                raise Trouble(str(error)) from error

        answer = await self._guard.run(asked)
        if isinstance(answer, TryLater):
            raise Trouble(answer.why)
        return answer

    def cancel(self, number: int) -> None:
        """Give a request up."""
        if self._writer is not None:
            self._writer.write(wire.cancel(number))

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Check a password by PLAIN, for explain-login."""
        name = f"{username}@{realm}" if realm else username
        initial = b"\0".join((b"", name.encode(), password.encode("utf-8", "surrogateescape")))
        try:
            _, event = await self.start(lambda n: wire.auth(n, "PLAIN", initial, service=service, secured=True))
        except Trouble as error:
            return TryLater(str(error), self.name)
        if isinstance(event, wire.Accepted):
            return Accepted(event.username or name, self.name)
        if isinstance(event, wire.Failed):
            kind = TryLater if event.temporary else Refused
            return kind(event.reason or "Dovecot said no", self.name)
        return TryLater("an answer that does not belong here", self.name)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """Dovecot keeps its secrets."""
        return Refused("Dovecot runs the mechanisms itself", self.name)

    def close(self) -> None:
        """Hang up."""
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = None

    async def _connect(self) -> None:
        async with self._opening:
            if self._writer is not None and not self._writer.is_closing():
                return
            async with asyncio.timeout(CONNECT_SECONDS):
                if self._place.startswith("inet:"):
                    host, _, port = self._place.removeprefix("inet:").rpartition(":")
                    reader, writer = await asyncio.open_connection(host.strip("[]") or "127.0.0.1", int(port))
                else:
                    reader, writer = await asyncio.open_unix_connection(self._place)
                try:
                    writer.write(wire.handshake(os.getpid()))
                    parser, ready = wire.Reader(), None
                    while ready is None:
                        data = await reader.read(8192)
                        if not data:
                            raise ConnectionResetError("it hung up during the handshake")
                        ready = next((e for e in parser.feed(data) if isinstance(e, wire.Ready)), None)
                except BaseException:
                    writer.transport.abort()
                    raise
            self.mechanisms = ready.mechanisms
            self._writer = writer
            self._reading = asyncio.get_running_loop().create_task(self._read(reader, writer, parser))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parser: wire.Reader) -> None:
        try:
            while data := await reader.read(8192):
                for event in parser.feed(data):
                    if isinstance(event, wire.Ready):
                        self.mechanisms = event.mechanisms
                        continue
                    waiting = self._waiting.pop(event.number, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(event)
        except (OSError, wire.ProtocolError):
            pass
        finally:
            writer.transport.abort()
            if self._writer is writer:
                self._writer = None
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("Dovecot hung up"))
            self._waiting.clear()

    async def _ask(self, number: int, line: bytes) -> wire.Event:
        if self._writer is None:
            raise ConnectionResetError("Dovecot hung up")
        waiting: asyncio.Future[wire.Event] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            self._writer.write(line)
            return await waiting
        finally:
            self._waiting.pop(number, None)


class DovecotExchange:
    """One AUTH passed on; the same face as Exchange."""

    def __init__(
        self,
        dovecot: Dovecot,
        mechanism: str,
        initial: bytes | None,
        tls: bool,
        client_address: str,
        server_address: str,
        record: LoginRecord,
        done: Callable[[LoginRecord, Success | Failure], None],
    ) -> None:
        self.record = record
        self._dovecot = dovecot
        self._mechanism = mechanism
        self._initial = initial
        self._tls = tls
        self._addresses = (client_address, server_address)
        self._done = done
        self._number = 0
        self._over = False
        self._pending: Success | None = None

    async def step(self, response: bytes | None = None) -> Challenge | Success | Failure:
        """The next challenge, or the end."""
        if self._over:
            return Failure("the exchange is over", malformed=True)
        if self._pending is not None:
            return self._end(self._pending if not response else Failure("a response after the last word"))
        try:
            if self._number:
                event = await self._dovecot.proceed(self._number, response or b"")
            else:
                if response is not None:
                    self._initial = response
                if not self._dovecot.mechanisms and (away := await self._dovecot.probe()):
                    self.record.attempts.append(Attempt(self._dovecot.name, "", "try later", away))
                    return self._end(Failure(away, temporary=True))
                if self._mechanism not in self._dovecot.offered(self._tls):
                    return self._end(Failure("this mechanism is not offered", unknown=True))
                self._number, event = await self._dovecot.start(self._line)
        except Trouble as error:
            why = str(error)
            self.record.attempts.append(Attempt(self._dovecot.name, self.record.username, "try later", why))
            return self._end(Failure(why, temporary=True))
        return self._answer(event)

    def refuse(self, why: str) -> Success | Failure:
        """The client's words cannot be read: the exchange ends."""
        if self._number and not self._over:
            self._dovecot.cancel(self._number)
        return self._end(Failure(why, malformed=True))

    def cancel(self) -> None:
        """The client gave up."""
        if self._number and not self._over:
            self._dovecot.cancel(self._number)
        self._over = True

    def _line(self, number: int) -> bytes:
        remote, local = self._addresses
        return wire.auth(
            number,
            self._mechanism,
            self._initial,
            service=self._dovecot.service,
            secured=self._tls,
            remote=remote,
            local=local,
        )

    def _answer(self, event: wire.Event) -> Challenge | Success | Failure:
        if isinstance(event, wire.Continue):
            return Challenge(event.data)
        if isinstance(event, wire.Accepted) and event.username:
            self._book(event.username, "accepted", "")
            success = Success(event.username, event.data)
            if event.data:
                self._pending = success
                return Challenge(event.data)
            return self._end(success)
        if isinstance(event, wire.Failed):
            self._book(event.username, "try later" if event.temporary else "refused", event.reason)
            return self._end(Failure(event.reason or "Dovecot said no", temporary=event.temporary))
        return self._end(Failure("Dovecot named no user", temporary=True))

    def _book(self, username: str, answer: str, why: str) -> None:
        self.record.username = username
        self.record.attempts.append(Attempt(self._dovecot.name, username, answer, why))

    def _end(self, answer: Success | Failure) -> Success | Failure:
        self._over = True
        self._done(self.record, answer)
        return answer
