"""PAM in processes of their own, which are killed when their time is over.

Parent and child speak saslauthd's wire format over a socket pair: a request, then "OK", "NO why" or "ER why". The
child is this module run as a program; it ends when the parent does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

from tayori.protocol.saslauthd import ProtocolError, Request, RequestReader, encode_reply, encode_request
from tayori.sasl import pam
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict

SECONDS = 20.0


class _Child:
    """One process; None where there is none yet or it was killed."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.served = 0

    async def start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tayori.programs.daemons.saslauthd_pam",
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
            )
        finally:
            theirs.close()
        self.reader, self.writer = await asyncio.open_connection(sock=ours)

    async def kill(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
        if self.process is not None:
            kill_tree(self.process.pid)
            await self.process.wait()
        self.process = self.reader = self.writer = None
        self.served = 0


def kill_tree(pid: int, depth: int = 8) -> None:
    """SIGKILL for a process and what it started (pam_exec and its like leave the process group)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
    except OSError:
        children = []
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    if depth:
        for child in children:
            kill_tree(child, depth - 1)


class PamWorkers:
    """Verifier: `count` processes, started when needed; 0 means a fresh process for each question.

    `waiting` bounds the queue. A process is replaced after `lifetime` questions, for modules that leak.
    """

    secrets = False

    def __init__(
        self, count: int = 5, *, service: str = "", seconds: float = SECONDS, waiting: int = 200, lifetime: int = 1000
    ) -> None:
        self.name = "pam"
        self._service = service
        self._seconds = seconds
        self._waiting = waiting
        self._lifetime = lifetime if count else 1
        self._free: asyncio.Queue[_Child] = asyncio.Queue()
        self._children = [_Child() for _ in range(count or 5)]
        for child in self._children:
            self._free.put_nowait(child)
        self._in_line = 0
        self.killed = 0

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Ask a process; TryLater when it does not answer in time, after killing it."""
        if self._in_line >= self._waiting:
            return TryLater(f"{self._waiting} questions are waiting already", self.name)
        self._in_line += 1
        try:
            async with asyncio.timeout(self._seconds * 2):
                child = await self._free.get()
        except TimeoutError:
            return TryLater("every process is busy", self.name)
        finally:
            self._in_line -= 1
        try:
            return await self._ask(child, username, password, service)
        finally:
            if child.served >= self._lifetime:
                await child.kill()
            self._free.put_nowait(child)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """PAM gives no secrets."""
        return Refused("PAM can only check passwords", self.name)

    async def probe(self) -> str:
        """Empty when libpam is there."""
        try:
            pam._libraries()
        except pam.PamError as error:
            return str(error)
        return ""

    def close(self) -> None:
        """End the processes."""
        for child in self._children:
            if child.process is not None and child.process.returncode is None:
                kill_tree(child.process.pid)
            if child.writer is not None:
                child.writer.transport.abort()

    async def _ask(self, child: _Child, username: str, password: str, service: str) -> Verdict:
        parts = (username, password, self._service or service or "smtp", "")
        try:
            wire = encode_request(Request(*(text.encode("utf-8", "surrogateescape") for text in parts)))
        except ValueError as error:
            return Refused(str(error), self.name)
        try:
            async with asyncio.timeout(self._seconds):
                if child.process is None or child.process.returncode is not None:
                    await child.start()
                assert child.writer is not None and child.reader is not None
                child.served += 1
                child.writer.write(wire)
                size = int.from_bytes(await child.reader.readexactly(2), "big")
                text = (await child.reader.readexactly(size)).decode("utf-8", "replace")
        except TimeoutError:
            await child.kill()
            self.killed += 1
            return TryLater(f"PAM did not answer within {self._seconds:g} seconds; its process was killed", self.name)
        except (OSError, asyncio.IncompleteReadError):
            await child.kill()
            return TryLater("the PAM process died", self.name)
        except asyncio.CancelledError:
            await child.kill()
            raise
        word, _, why = text.partition(" ")
        if word == "OK":
            return Accepted(username, self.name)
        return Refused(why, self.name) if word == "NO" else TryLater(why, self.name)


def serve(connection: socket.socket) -> None:
    """The child: one question after the other, until the parent goes away."""
    while True:
        reader = RequestReader()
        request = None
        while request is None:
            data = connection.recv(8192)
            if not data:
                return
            try:
                request = reader.feed(data)
            except ProtocolError:
                return
        login, password, service = (
            part.decode("utf-8", "surrogateescape") for part in (request.login, request.password, request.service)
        )
        try:
            why = pam.check(service, login, password)
            answer = f"NO {why}" if why else "OK"
        except pam.PamError as error:
            answer = f"ER {error}"
        connection.sendall(encode_reply(answer))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=0))
