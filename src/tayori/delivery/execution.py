"""Running a command that takes a message on its standard input: with a clean environment, a time limit, and as whom.

Contract: the command leads a session and process group of its own; what is left of the group is killed when the
command has ended or its time is up. Of its output the first MAX_OUTPUT bytes are kept. Exit codes are not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tayori.config.settings import Settings
from tayori.delivery import durable
from tayori.queue.content import Unreadable

MAX_OUTPUT = 2048
# what the environment always has; export_environment adds to it
_PATH = "/usr/bin:/bin"
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


@dataclass(frozen=True, slots=True)
class Manner:
    """As whom, where, with which variables and for how long (`limit`, seconds) a command runs."""

    account: Account
    directory: str
    environment: Mapping[str, str]
    limit: float


async def run(argv: Sequence[str], pieces: Iterator[bytes], manner: Manner, *, large: bool) -> Ended:
    """Run it with `pieces` as its input; of a `large` message they are written by a thread, as fast as the command
    reads. Raises OSError when it cannot be started, Unreadable."""
    if not large:
        return await _execute(argv, b"".join(pieces), manner)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    feeder = _Feeder(writing, pieces)
    try:
        ended = await _execute(argv, b"", manner, reading, feeder)
    finally:
        os.close(reading)
        feeder.close()
    if feeder.failed is not None:
        raise feeder.failed
    return ended


async def _execute(
    argv: Sequence[str],
    data: bytes,
    manner: Manner,
    stdin: int = asyncio.subprocess.PIPE,
    feeder: _Feeder | None = None,
) -> Ended:
    account = manner.account
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
        cwd=manner.directory or "/",
        env=manner.environment,
        start_new_session=True,
        **rights,
    )
    try:
        if feeder is not None:
            feeder.feed(transport.get_pid())
        else:
            _feed(transport, data)
        async with asyncio.timeout(manner.limit):
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


def environment(settings: Settings) -> dict[str, str]:
    """The variables of a command. export_environment: names, taken from our own, and `name=value` pairs."""
    environment = {"PATH": _PATH, "LANG": "C", "MAIL_CONFIG": settings.directory}
    for word in settings.items("export_environment"):
        name, equals, value = word.strip("{} ").partition("=")
        if equals:
            environment[name.strip()] = value.strip()
        elif name in os.environ and name != "MAIL_CONFIG":
            environment[name] = os.environ[name]
    return environment


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
