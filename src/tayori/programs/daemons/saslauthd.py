"""saslauthd: checks passwords for programs that may not see them, over the socket DIR/mux.

Stands in for Cyrus's saslauthd(8): the same flags, socket, modes and answers ("OK", "NO authentication failed"), so
that Postfix, Cyrus IMAP, Sendmail and tayori itself can use it. When a back end cannot be asked the connection is
closed without an answer: the client then knows that this was not a wrong password.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import signal
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tayori.config.origin import ConfigError
from tayori.protocol.saslauthd import NO, OK, ProtocolError, Request, RequestReader, encode_reply
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict, Verifier

log = logging.getLogger("saslauthd")
READ_SECONDS = 10.0
ANSWER_SECONDS = 45.0
CONNECTIONS = 512
_ENTRY_BYTES = 128


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of saslauthd(8). `cache_seconds` 0: no cache; `cache_kilobytes` bounds it."""

    directory: str
    combine_realm: bool = False
    cache_seconds: float = 0.0
    cache_kilobytes: int = 128
    verbose: bool = False


class Cache:
    """Right passwords, as keyed digests under a salt of their own, in memory only; never a wrong one."""

    def __init__(self, seconds: float, kilobytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._most = max(1, kilobytes * 1024 // _ENTRY_BYTES)
        self._clock = clock
        self._key = os.urandom(32)
        self._good: OrderedDict[tuple[bytes, bytes, bytes], tuple[bytes, bytes, float]] = OrderedDict()

    def holds(self, request: Request) -> bool:
        """Whether this very password was right lately."""
        known = self._good.get((request.login, request.realm, request.service))
        if known is None or known[2] < self._clock():
            return False
        return hmac.compare_digest(known[1], self._digest(known[0], request.password))

    def add(self, request: Request) -> None:
        """Remember a right password."""
        if self._seconds <= 0:
            return
        key = (request.login, request.realm, request.service)
        self._good.pop(key, None)
        while len(self._good) >= self._most:
            self._good.popitem(last=False)
        salt = os.urandom(16)
        self._good[key] = (salt, self._digest(salt, request.password), self._clock() + self._seconds)

    def _digest(self, salt: bytes, password: bytes) -> bytes:
        return hmac.digest(self._key, salt + password, hashlib.sha256)


class Saslauthd:
    """The daemon: `start`, `serve` until SIGTERM or SIGINT, `close`."""

    def __init__(self, verifier: Verifier, options: Options) -> None:
        self._verifier = verifier
        self._options = options
        self._cache = Cache(options.cache_seconds, options.cache_kilobytes)
        self._path = Path(options.directory) / "mux"
        self._server: asyncio.Server | None = None
        self._lock = -1
        self._open = 0

    async def start(self) -> None:
        """Bind the socket (mode 0777: the folder's mode says who may ask). Raises ConfigError."""
        folder = self._path.parent
        if not folder.is_dir():
            raise ConfigError(
                f"{folder} does not exist", mend=f"mkdir -p {folder}; chgrp sasl {folder}; chmod 710 {folder}"
            )
        try:
            self._take_lock(folder)
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            before = os.umask(0)
            try:
                self._server = await asyncio.start_unix_server(self._client, self._path, backlog=128)
            finally:
                os.umask(before)
        except OSError as error:
            raise ConfigError(
                f"{self._path}: {error.strerror}", mend="run as root, or choose a folder with -m"
            ) from error
        log.info("listening on %s, asking %s", self._path, self._verifier.name)
        why = await self._verifier.probe()
        if why:
            log.warning("%s cannot be asked now: %s", self._verifier.name, why)

    async def serve(self) -> None:
        """Until SIGTERM or SIGINT comes; SIGHUP is passed over, as by Cyrus's."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await stop.wait()

    def close(self) -> None:
        """Take the socket away and end the back end."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
        self._verifier.close()
        if self._lock >= 0:
            with contextlib.suppress(FileNotFoundError):
                (self._path.parent / "saslauthd.pid").unlink()
            os.close(self._lock)

    def _take_lock(self, folder: Path) -> None:
        self._lock = os.open(folder / "saslauthd.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = os.read(self._lock, 20).decode("ascii", "replace").strip()
            os.close(self._lock)
            self._lock = -1
            raise ConfigError(f"another saslauthd (process {held}) serves {folder}", mend=f"kill {held}") from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > CONNECTIONS:
                log.warning("more than %d connections: one is turned away", CONNECTIONS)
                return
            try:
                request = await self._request(reader)
            except ProtocolError as error:
                log.warning("a client does not speak the protocol: %s", error)
                writer.write(encode_reply(NO))
                return
            if request is None:
                return
            async with asyncio.timeout(ANSWER_SECONDS):
                verdict = await self.answer(request)
            if not isinstance(verdict, TryLater):
                writer.write(encode_reply(OK if isinstance(verdict, Accepted) else NO))
                await writer.drain()
        except (OSError, TimeoutError):
            return
        finally:
            self._open -= 1
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> Request | None:
        wanted, request = RequestReader(), None
        async with asyncio.timeout(READ_SECONDS):
            while request is None:
                data = await reader.read(4096)
                if not data:
                    return None
                request = wanted.feed(data)
        return request

    async def answer(self, request: Request) -> Verdict:
        """Check one request and log it, without the password."""
        login, password, service, realm = (
            part.decode("utf-8", "surrogateescape")
            for part in (request.login, request.password, request.service, request.realm)
        )
        if self._options.cache_seconds and self._cache.holds(request):
            self._log("authentication ok, from the cache", login, realm, service)
            return Accepted(login, "cache")
        if not login or not password:
            verdict: Verdict = Refused("an empty name or password")
        elif self._options.combine_realm and realm:
            verdict = await self._verifier.verify(f"{login}@{realm}", password, "", service)
        else:
            verdict = await self._verifier.verify(login, password, realm, service)
        if isinstance(verdict, Accepted):
            self._cache.add(request)
            self._log("authentication ok", login, realm, service)
        elif isinstance(verdict, Refused):
            log.info("%s", self._words(f"auth failure: {verdict.why}", login, realm, service))
        else:
            log.warning("%s", self._words(f"could not be asked: {verdict.why}", login, realm, service))
        return verdict

    def _log(self, what: str, login: str, realm: str, service: str) -> None:
        if self._options.verbose:
            log.info("%s", self._words(what, login, realm, service))

    def _words(self, what: str, login: str, realm: str, service: str) -> str:
        shown = [text.encode("ascii", "backslashreplace").decode()[:200] for text in (login, service, realm)]
        return f"{what} [user={shown[0]}] [service={shown[1]}] [realm={shown[2]}] [mech={self._verifier.name}]"


async def run(verifier: Verifier, options: Options, ready: Callable[[], None] = lambda: None) -> None:
    """Serve until a signal comes; `ready` is called once clients can connect. Raises ConfigError."""
    daemon = Saslauthd(verifier, options)
    try:
        await daemon.start()
        ready()
        await daemon.serve()
    finally:
        daemon.close()
