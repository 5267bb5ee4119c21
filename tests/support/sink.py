"""A next hop for tests: an SMTP or LMTP server on loopback that records what it gets and fails on command.

Runs its own event loop in a thread, so that tests of any kind (plain, asyncio, other processes) can use it:

    with Sink(answers={"RCPT": "550 5.1.1 no such user"}) as sink:
        ... deliver to 127.0.0.1:sink.port ...
        message = sink.wait(1)[0]          # Received(sender, recipients, content)

`answers` maps a stage to the reply given instead of the usual one: "CONNECT" (the greeting), a command verb
("EHLO", "MAIL", "RCPT", "DATA", …) or "." (after the content). A value is the reply text (lines parted by a
newline), "close" (drop the connection), "hang" (say nothing, keep it open), or a function of the command line
that gives one of these or None for the usual answer.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

Answer = str | Callable[[str], str | None]
KEYWORDS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")


@dataclass(frozen=True)
class Received:
    """One message: envelope, content as sent with the dots unstuffed (CRLF kept), and the MAIL and RCPT lines."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    session: int = 0
    lines: tuple[str, ...] = ()
    tls: bool = False
    login: str = ""


@dataclass
class _Transaction:
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


class Sink:
    """The server. `port` is bound by `start`; `commands` lists (session, line) of everything that came."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "",
        answers: Mapping[str, Answer] | None = None,
        keywords: tuple[str, ...] = KEYWORDS,
        lmtp: bool = False,
        tls: ssl.SSLContext | None = None,
        name: str = "sink.example",
        delay: float = 0.0,
    ) -> None:
        self.host, self.port, self.path = host, port, path
        self.answers: dict[str, Answer] = dict(answers or {})
        self.keywords, self.lmtp, self.tls, self.name, self.delay = keywords, lmtp, tls, name, delay
        self.messages: list[Received] = []
        self.commands: list[tuple[int, str]] = []
        self.sessions = 0
        self._arrived = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Sink:
        """Listen; returns when the port answers."""
        ready = threading.Event()
        failed: list[BaseException] = []

        async def serve() -> None:
            self._stop = asyncio.Event()
            try:
                if self.path:
                    server = await asyncio.start_unix_server(self._session, self.path)
                else:
                    server = await asyncio.start_server(self._session, self.host, self.port)
                    self.port = server.sockets[0].getsockname()[1]
            except OSError as error:
                failed.append(error)
                ready.set()
                return
            self._loop = asyncio.get_running_loop()
            ready.set()
            await self._stop.wait()
            server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="sink", daemon=True)
        self._thread.start()
        ready.wait(10)
        if failed:
            raise failed[0]
        return self

    def stop(self) -> None:
        """Close the port and every session."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
            self._loop = None

    def __enter__(self) -> Sink:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self, count: int = 1, timeout: float = 10.0) -> list[Received]:
        """The messages, once there are `count` of them. Raises AssertionError after `timeout` seconds."""
        end = time.monotonic() + timeout
        with self._arrived:
            while len(self.messages) < count:
                left = end - time.monotonic()
                assert left > 0, f"{len(self.messages)} of {count} messages came; commands: {self.commands[-20:]}"
                self._arrived.wait(left)
            return list(self.messages)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        try:
            await _Session(self, self.sessions, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError, OSError):
            pass
        finally:
            writer.close()

    def _keep(self, message: Received) -> None:
        with self._arrived:
            self.messages.append(message)
            self._arrived.notify_all()


class _Over(ConnectionError):
    """The session ends here."""


class _Session:
    def __init__(self, sink: Sink, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sink, self.number, self.reader, self.writer = sink, number, reader, writer
        self.tx = _Transaction()
        self.secure = False
        self.login = ""

    async def run(self) -> None:
        if not await self.special("CONNECT", ""):
            self.say(f"220 {self.sink.name} ESMTP sink")
        while True:
            raw = await self.reader.readuntil(b"\n")
            line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
            self.sink.commands.append((self.number, line))
            verb = line.split(" ", 1)[0].upper()
            if self.sink.delay:
                await asyncio.sleep(self.sink.delay)
            if not await self.special(verb, line):
                await getattr(self, f"do_{verb.lower()}", self.unknown)(line)
            await self.writer.drain()

    def say(self, text: str) -> None:
        lines = text.split("\n")
        for line in lines[:-1]:
            self.writer.write(f"{line[:3]}-{line[4:]}\r\n".encode())
        self.writer.write(f"{lines[-1]}\r\n".encode())

    async def special(self, stage: str, line: str) -> bool:
        """Whether a set answer was given."""
        answer = self.sink.answers.get(stage)
        if callable(answer):
            answer = answer(line)
        if answer is None:
            return False
        await self.writer.drain()
        if answer == "close":
            raise _Over
        if answer == "hang":
            await asyncio.Event().wait()
        self.say(answer)
        if answer.startswith("421"):
            await self.writer.drain()
            raise _Over
        return True

    async def unknown(self, line: str) -> None:
        self.say("502 5.5.2 unknown command")

    async def do_helo(self, line: str) -> None:
        self.tx = _Transaction()
        self.say(f"250 {self.sink.name}")

    async def do_ehlo(self, line: str) -> None:
        self.tx = _Transaction()
        keywords = [*self.sink.keywords]
        if self.sink.tls and not self.secure:
            keywords.append("STARTTLS")
        self.say("\n".join(f"250 {word}" for word in [self.sink.name, *keywords]))

    do_lhlo = do_ehlo

    async def do_starttls(self, line: str) -> None:
        if self.sink.tls is None:
            return await self.unknown(line)
        self.say("220 2.0.0 ready")
        await self.writer.drain()
        await self.writer.start_tls(self.sink.tls)
        self.secure = True
        self.tx = _Transaction()
        return None

    async def do_auth(self, line: str) -> None:
        """Any PLAIN or LOGIN is accepted; what was sent is kept, base64 as it came."""
        words = line.split()
        if len(words) > 2:
            self.login = words[2]
        elif words[1].upper() == "PLAIN":
            self.say("334 ")
            self.login = (await self.reader.readline()).decode().strip()
        else:
            self.say("334 VXNlcm5hbWU6")
            user = (await self.reader.readline()).decode().strip()
            self.say("334 UGFzc3dvcmQ6")
            self.login = f"{user} {(await self.reader.readline()).decode().strip()}"
        self.say("235 2.7.0 ok")

    async def do_mail(self, line: str) -> None:
        self.tx = _Transaction(_path(line), lines=[line])
        self.say("250 2.1.0 ok")

    async def do_rcpt(self, line: str) -> None:
        if self.tx.sender is None:
            self.say("503 5.5.1 need MAIL")
            return
        self.tx.recipients.append(_path(line))
        self.tx.lines.append(line)
        self.say("250 2.1.5 ok")

    async def do_data(self, line: str) -> None:
        if not self.tx.recipients:
            self.say("503 5.5.1 need RCPT" if self.tx.sender is None else "554 5.5.1 no valid recipients")
            return
        self.say("354 go")
        await self.writer.drain()
        content = bytearray()
        while True:
            got = await self.reader.readuntil(b"\n")
            if got == b".\r\n":
                break
            content += got[1:] if got.startswith(b".") else got
        tx, self.tx = self.tx, _Transaction()
        if await self.special(".", ""):
            return
        if self.sink.lmtp:
            good = []
            for recipient in tx.recipients:
                if not await self.special(f".{recipient}", recipient):
                    self.say(f"250 2.1.5 <{recipient}> kept")
                    good.append(recipient)
            tx.recipients = good
        self.sink._keep(
            Received(
                tx.sender or "",
                tuple(tx.recipients),
                bytes(content),
                self.number,
                tuple(tx.lines),
                self.secure,
                self.login,
            )
        )
        if not self.sink.lmtp:
            self.say(f"250 2.0.0 Ok: queued as S{len(self.sink.messages)}")

    async def do_rset(self, line: str) -> None:
        self.tx = _Transaction()
        self.say("250 2.0.0 ok")

    async def do_noop(self, line: str) -> None:
        self.say("250 2.0.0 ok")

    async def do_quit(self, line: str) -> None:
        self.say("221 2.0.0 bye")
        await self.writer.drain()
        raise _Over


def _path(line: str) -> str:
    return line.partition("<")[2].rpartition(">")[0]
