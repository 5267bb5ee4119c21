"""saslauthd: passwords are checked by a saslauthd daemon (Cyrus's, or `tayori saslauthd`) over its Unix socket.

The socket: `saslauthd_path` of smtpd.conf (a folder means its `mux`), else the first of the usual places that
exists at the moment of the question, so that a daemon started later is found.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterable

from tayori.protocol.saslauthd import CYRUS_LIMIT, ProtocolError, Request, decode_reply, encode_request
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble

USUAL_PATHS = ("/run/saslauthd/mux", "/var/run/saslauthd/mux", "/var/spool/postfix/var/run/saslauthd/mux")


class Saslauthd:
    """Verifier. `path` empty: the usual places. Each question is one connection, as the daemon wants it."""

    secrets = False

    def __init__(
        self, path: str = "", *, seconds: float = 30.0, connections: int = 20, usual: Iterable[str] = USUAL_PATHS
    ) -> None:
        self._path = path
        self._usual = tuple(usual)
        self.name = f"saslauthd:{path or self._usual[0]}"
        self._guard = Guard(self.name, at_once=connections, seconds=seconds)

    def path(self) -> str:
        """The socket as of now."""
        if not self._path:
            return next((path for path in self._usual if os.path.exists(path)), self._usual[0])
        return os.path.join(self._path, "mux") if os.path.isdir(self._path) else self._path

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Ask. "OK" is Accepted, "NO" is Refused, everything else TryLater."""
        request = Request(*(text.encode("utf-8", "surrogateescape") for text in (username, password, service, realm)))
        try:
            wire = encode_request(request)
        except ValueError as error:
            return Refused(str(error), self.name)
        longest = max(len(request.login), len(request.password))

        async def ask() -> Verdict:
            answer = await self._ask(wire)
            if answer is None and longest > CYRUS_LIMIT:
                return Refused(f"{longest} octets: saslauthd takes {CYRUS_LIMIT} at most, and hung up", self.name)
            if answer is None:
                raise Trouble("it hung up without an answer")
            accepted, text = answer
            if accepted:
                return Accepted(f"{username}@{realm}" if realm else username, self.name)
            words = text[2:].strip(" \0").strip('"')
            return Refused(f"it said NO{': ' + words if words else ''}", self.name)

        return await self._guard.run(ask)

    async def _ask(self, wire: bytes) -> tuple[bool, str] | None:
        """One question. A bare socket: streams would cost more than everything else of a login together."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await _connect(sock, self.path())
            sent = _send(sock, wire)
            if sent < len(wire):
                await loop.sock_sendall(sock, wire[sent:])
            data = b""
            while True:
                await _readable(loop, sock)
                piece = sock.recv(4096)
                if not piece:
                    return None
                data += piece
                try:
                    answer = decode_reply(data)
                except ProtocolError as error:
                    raise Trouble(str(error)) from error
                if answer is not None:
                    return answer
        except (BrokenPipeError, ConnectionResetError):
            return None
        finally:
            sock.close()

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """saslauthd never gives secrets away."""
        return Refused("saslauthd can only check passwords (PLAIN, LOGIN)", self.name)

    async def probe(self) -> str:
        """Empty when a daemon listens. Connects only where the kernel's list cannot tell, to spare its log."""
        path = self.path()
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            return f"{path}: {error.strerror}; is saslauthd running?"
        if not stat.S_ISSOCK(mode):
            return f"{path}: not a socket; saslauthd_path must name saslauthd's socket"
        if not os.access(path, os.W_OK):
            return f"{path}: this process may not use the socket (Debian: adduser postfix sasl)"
        if _listening(path):
            return ""
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_unix_connection(path)
        except TimeoutError:
            return f"{path}: saslauthd does not take connections"
        except OSError as error:
            return f"{path}: {error.strerror}; saslauthd has gone but left its socket"
        writer.transport.abort()
        return ""

    def close(self) -> None:
        """Nothing is kept open."""
        self._guard.close()


async def _connect(sock: socket.socket, path: str) -> None:
    """Connect; while the daemon's queue of connections is full, again a little later (the guard has the limit)."""
    while True:
        try:
            sock.connect(path)
            return
        except BlockingIOError:
            await asyncio.sleep(0.01)


def _send(sock: socket.socket, wire: bytes) -> int:
    try:
        return sock.send(wire)
    except BlockingIOError:
        return 0


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    came = loop.create_future()
    number = sock.fileno()
    loop.add_reader(number, _came, came)
    try:
        await came
    finally:
        loop.remove_reader(number)


def _came(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _listening(path: str) -> bool:
    """Whether Linux lists `path` as a listening Unix socket; False also means "cannot tell"."""
    real = os.path.realpath(path)
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
            for line in table:
                fields = line.split(maxsplit=7)
                if len(fields) == 8 and fields[3] == "00010000" and fields[7].rstrip("\n") in (path, real):
                    return True
    except OSError:
        pass
    return False
