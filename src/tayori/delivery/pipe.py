"""pipe(8): delivery to an external command, with a clean environment, a time limit and the rights of `user=`.

Contract: an outcome for every recipient; exit codes mean what sysexits(3) says; output that begins with a 4.x.x or
5.x.x code decides instead. Commands never run as root or as the owner of the mail system. A process that is not root
runs commands as itself only where `user=` names it, or where everything runs as one user.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import pwd
import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.delivery import durable
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.pipe_command import PipeCommand, Request, expand, shown_sender
from tayori.delivery.smtp_job import Attempt
from tayori.delivery.trace_headers import from_line, loops
from tayori.protocol.address import quote
from tayori.queue.content import Content, Unreadable, blocks, header, lines
from tayori.queue.model import Attributes, Recipient

_log = logging.getLogger("tayori.pipe")
MAX_OUTPUT = 2048
# what the environment always has; export_environment adds to it
_PATH = "/usr/bin:/bin"
# sysexits(3): enhanced code and words; a code that begins with 4 is tried again
EXITS: dict[int, tuple[str, str]] = {
    64: ("5.3.0", "command line usage error"),
    65: ("5.6.0", "data format error"),
    66: ("5.3.0", "cannot open input"),
    67: ("5.1.1", "user unknown"),
    68: ("5.1.2", "host name unknown"),
    69: ("5.3.0", "service unavailable"),
    70: ("5.3.0", "internal software error"),
    71: ("4.3.0", "system resource problem"),
    72: ("5.3.0", "critical OS file missing"),
    73: ("5.2.0", "can't create user output file"),
    74: ("5.3.0", "input/output error"),
    75: ("4.3.0", "temporary failure"),
    76: ("5.5.0", "remote error in protocol"),
    77: ("5.7.0", "permission denied"),
    78: ("5.3.5", "local configuration error"),
}
_OWN_CODE = re.compile(r"([45]\.\d{1,3}\.\d{1,3})\s+(.*)", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a command runs as; `change` is False where the process cannot or need not become somebody else."""

    uid: int
    gid: int
    change: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `status` is the exit status, negative for a signal, None when the time was up."""

    status: int | None
    output: str = ""


class PipeAgent:
    """One master.cf service that runs pipe. `limit` is seconds."""

    def __init__(
        self, settings: Settings, transport: str, command: PipeCommand, account: Account, limit: int
    ) -> None:
        self._transport = transport
        self._command = command
        self._account = account
        self._limit = limit
        self._directory = command.directory or settings.text("queue_directory")
        self._environment = _environment(settings)
        self._delimiters = settings.text("recipient_delimiter")

    async def deliver(
        self,
        nexthop: str,
        sender: str,
        content: Content,
        recipients: Iterable[Recipient],
        attributes: Attributes | None = None,
        queue_id: str = "",
    ) -> Attempt:
        """Run the command once for all recipients; once for each where D or O puts a recipient into the message."""
        everyone = tuple(recipients)
        single = not self._command.flags.isdisjoint("DO")
        outcomes: dict[int, DeliveryOutcome] = {}
        for group in [(one,) for one in everyone] if single else [everyone]:
            request = Request(
                nexthop, sender, group, attributes or Attributes(), len(content), queue_id, self._delimiters
            )
            outcome = await self._run(request, content)
            outcomes.update((recipient.n, outcome) for recipient in group)
        return Attempt(outcomes)

    def close(self) -> None:
        """Nothing is kept between deliveries."""

    async def _run(self, request: Request, content: Content) -> DeliveryOutcome:
        command = self._command
        if command.size and len(content) > command.size:
            return BouncedDelivery("message too large", "5.2.3", self._transport)
        if "D" in command.flags and loops(header(content), quote(request.recipients[0].address)):
            address = quote(request.recipients[0].address)
            return BouncedDelivery(f"mail forwarding loop for {address}", "5.4.6", self._transport)
        argv = expand(command, request)
        if any("\0" in argument for argument in argv):
            return BouncedDelivery("bad address syntax", "5.1.3", self._transport)
        try:
            pieces = dressed(command, request, content, time.time())
            if isinstance(content, bytes):
                ended = await self._execute(argv, b"".join(pieces))
            else:
                ended = await self._stream(argv, pieces)
        except Unreadable as error:
            _log.error("%s", error)
            return DeferredDelivery("queue file read error", "4.3.0", self._transport)
        except OSError as error:
            why = f"temporary failure. Command output: {argv[0]}: {error.strerror}"
            return DeferredDelivery(why, "4.3.0", self._transport)
        return meaning(ended, argv[0], self._transport)

    async def _stream(self, argv: Sequence[str], pieces: Iterator[bytes]) -> Ended:
        """Run it with input that is written by a thread, as fast as the command reads. Raises OSError, Unreadable."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        feeder = _Feeder(writing, pieces)
        try:
            ended = await self._execute(argv, b"", reading, feeder)
        finally:
            os.close(reading)
            feeder.close()
        if feeder.failed is not None:
            raise feeder.failed
        return ended

    async def _execute(
        self, argv: Sequence[str], data: bytes, stdin: int = asyncio.subprocess.PIPE, feeder: _Feeder | None = None
    ) -> Ended:
        account = self._account
        loop = asyncio.get_running_loop()
        rights: dict[str, Any] = {}
        if account.change:
            # uvloop has no such arguments, but only the pipe process changes users, and it does without uvloop
            rights = {"user": account.uid, "group": account.gid, "extra_groups": [account.gid]}
        transport, running = await loop.subprocess_exec(
            lambda: _Running(loop.create_future(), loop.create_future()),
            *argv,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._directory or "/",
            env=self._environment,
            start_new_session=True,
            **rights,
        )
        try:
            if feeder is not None:
                feeder.feed(transport.get_pid())
            else:
                _feed(transport, data)
            async with asyncio.timeout(self._limit):
                await running.exited
            # a child left behind may keep the output open: it is not waited for
            await asyncio.wait((running.silent,), timeout=1.0)
        except TimeoutError:
            return Ended(None)
        finally:
            _kill(transport)
            transport.close()
        return Ended(transport.get_returncode(), _CONTROLS.sub(" ", running.output.decode("utf-8", "replace")))


class _Feeder:
    """Writes to a command's standard input. A command that does not read all of it may still succeed; one that cannot
    be given all of it is killed before it sees the end, so that it does not take a part for the whole."""

    def __init__(self, fd: int, pieces: Iterator[bytes]) -> None:
        self.failed: Unreadable | None = None
        self._fd = fd
        self._pieces = pieces
        self._thread: threading.Thread | None = None

    def feed(self, pid: int) -> None:
        """Begin. `pid` leads the command's process group."""
        self._thread = threading.Thread(target=self._run, args=(pid,), name="pipe-input", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Where it has not begun."""
        if self._thread is None:
            os.close(self._fd)

    def _run(self, pid: int) -> None:
        try:
            for piece in self._pieces:
                durable.write(self._fd, piece)
        except BrokenPipeError:
            pass
        except Unreadable as error:
            self.failed = error
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        finally:
            os.close(self._fd)


class _Running(asyncio.SubprocessProtocol):
    """Keeps the first MAX_OUTPUT bytes and reads away the rest, so that no command stops at a full pipe."""

    def __init__(self, exited: asyncio.Future[None], silent: asyncio.Future[None]) -> None:
        self.exited = exited
        self.silent = silent
        self.output = bytearray()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Output."""
        self.output += data[: MAX_OUTPUT - len(self.output)]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Standard input (0) may break when the command does not read all; output (1) ends."""
        if fd == 1 and not self.silent.done():
            self.silent.set_result(None)

    def process_exited(self) -> None:
        """The command itself has ended."""
        if not self.exited.done():
            self.exited.set_result(None)


def pipe_agent(settings: Settings, transport: str, args: Sequence[str], origin: Origin | None = None) -> PipeAgent:
    """The agent of one master.cf line; `settings` has its `-o` overrides. Raises ConfigError."""
    command = PipeCommand.parse(args, origin)
    if command.chroot:
        raise ConfigError("pipe: chroot= is not supported", origin, "run the command without chroot=")
    account = _account(settings, command, origin)
    own = f"{transport}_time_limit"
    limit = settings.seconds(own if settings.is_set(own) else "command_time_limit")
    return PipeAgent(settings, transport, command, account, limit)


def _account(settings: Settings, command: PipeCommand, origin: Origin | None) -> Account:
    try:
        user = pwd.getpwnam(command.user)
        gid = grp.getgrnam(command.group).gr_gid if command.group else user.pw_gid
    except KeyError as error:
        raise ConfigError(f"pipe: user={command.user}: {error.args[0]}", origin, "name an existing user") from error
    own = os.geteuid()
    if own != 0:
        if user.pw_uid != own and settings.text("tayori_single_user") != "yes":
            raise ConfigError(f"pipe: only root can run commands as {command.user}", origin, "start tayori as root")
        return Account(own, os.getegid(), change=False)
    if user.pw_uid == 0 or gid == 0:
        raise ConfigError("pipe: commands never run as root", origin, "name an unprivileged user")
    if command.user == settings.text("mail_owner"):
        raise ConfigError(
            f"pipe: commands never run as the mail system's owner {command.user}", origin, "name another user"
        )
    return Account(user.pw_uid, gid, change=True)


def _environment(settings: Settings) -> dict[str, str]:
    """export_environment: names, taken from our own environment, and `name=value` pairs."""
    environment = {"PATH": _PATH, "LANG": "C", "MAIL_CONFIG": settings.directory}
    for word in settings.items("export_environment"):
        name, equals, value = word.strip("{} ").partition("=")
        if equals:
            environment[name.strip()] = value.strip()
        elif name in os.environ and name != "MAIL_CONFIG":
            environment[name] = os.environ[name]
    return environment


def dressed(command: PipeCommand, request: Request, content: Content, now: float) -> Iterator[bytes]:
    """The message as the command reads it: From line, headers, quoting and line ends as `flags` and `eol` say. Raises
    Unreadable."""
    flags = command.flags

    def ended(data: bytes) -> bytes:
        return data if command.eol == b"\n" else data.replace(b"\n", command.eol)

    def change(data: bytes) -> bytes:
        if flags & {">"}:
            data = re.sub(rb"(?m)^From ", b">From ", data)
        if flags & {"."}:
            data = re.sub(rb"(?m)^\.", b"..", data)
        return ended(data)

    yield ended(_head(command, request, now))
    last = b""
    for piece in lines(blocks(content), change):
        yield piece
        last = piece
    if "B" in flags:
        yield ended(b"\n" if last.endswith(command.eol) else b"\n\n")


def _head(command: PipeCommand, request: Request, now: float) -> bytes:
    flags = command.flags
    sender = shown_sender(command, request.sender)
    head = b""
    if "F" in flags:
        head += from_line(sender, now)
    if "R" in flags:
        head += f"Return-Path: <{_line(sender)}>\n".encode("utf-8", "surrogateescape")
    first = request.recipients[0]
    if "O" in flags:
        original = _line(quote(first.original or first.address))
        head += f"X-Original-To: {original}\n".encode("utf-8", "surrogateescape")
    if "D" in flags:
        head += f"Delivered-To: {_line(quote(first.address))}\n".encode("utf-8", "surrogateescape")
    return head


def meaning(ended: Ended, program: str, relay: str) -> DeliveryOutcome:
    """What exit status and output say about the recipients, in pipe(8)'s words."""
    output = ended.output
    tail = f". Command output: {output}" if output.strip() else ""
    if ended.status is None:
        return BouncedDelivery(f'Command time limit exceeded: "{program}"', "5.3.0", relay)
    if ended.status == 0:
        shown = f" ({output.strip()})" if output.strip() else ""
        return Delivered(f"delivered via {relay} service{shown}", "2.0.0", relay)
    if ended.status < 0:
        return DeferredDelivery(f'Command died with signal {-ended.status}: "{program}"{tail}', "4.3.0", relay)
    own = _OWN_CODE.match(output)
    if own is not None:
        enhanced, text = own.groups()
    elif ended.status in EXITS:
        enhanced, words = EXITS[ended.status]
        text = words + tail
    else:
        enhanced, text = "5.3.0", f'Command died with status {ended.status}: "{program}"{tail}'
    return (DeferredDelivery if enhanced.startswith("4") else BouncedDelivery)(text, enhanced, relay)


def _feed(transport: asyncio.SubprocessTransport, data: bytes) -> None:
    """The message to the command; one that does not read all of it may still succeed, as pipe(8) allows."""
    pipe = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
    pipe.write(data)
    pipe.write_eof()


def _kill(transport: asyncio.SubprocessTransport) -> None:
    """End the command and what it started, when it is not done by itself."""
    if transport.get_returncode() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)


def _line(text: str) -> str:
    return _CONTROLS.sub("?", text)
