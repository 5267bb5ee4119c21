"""local: the process that writes into mailboxes, as each recipient; the only one that needs to be root for it.

It takes `Deliver` frames from the workers on a Unix socket and answers `Done` (delivery/request.py). A plain blocking
single thread: effective ids belong to the whole process, so nothing may run beside a delivery. Everything that all
workers have sent by now is one round: grouped by user, written, synced once, answered; meanwhile the next round
gathers in the sockets. A kill at any point loses nothing: no answer was given, the worker repeats with `recovered`.

What a worker asked for that is dead when the round begins is not done: another worker may own that message by now and
ask for it, too (docs/path.md, "When a worker dies"). Large messages are read from their content files, a few in each
round, so that small ones do not wait behind them.
"""

from __future__ import annotations

import logging
import os
import resource
import select
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from tayori.config.settings import Settings
from tayori.delivery.request import Deliver, Done
from tayori.programs import ipc
from tayori.programs.daemons.rounds import Deliverer, Job

READ = 1 << 20
ROUND = 8 << 20
"""Bytes taken from one worker in one round: bounds memory and the time to an answer."""
ROUND_LARGE = 32 << 20
"""Bytes of large messages in one round, but always one message."""
PRIVILEGED = ("file", "include")
FAREWELL = 5.0
"""Seconds that the last answers may take after SIGTERM."""

_log = logging.getLogger("tayori.local")
_DELIVER = msgspec.msgpack.Decoder(Deliver)


@dataclass(slots=True, eq=False)
class _Connection:
    """One worker's connection: bytes not yet understood, bytes not yet sent."""

    sock: socket.socket
    frames: ipc.Frames = field(default_factory=ipc.Frames)
    out: bytearray = field(default_factory=bytearray)
    trusted: bool = False
    closed: bool = False
    poll: select.poll = field(default_factory=select.poll)

    def gone(self) -> bool:
        """Whether the worker has hung up or died by now, whatever of its requests is still unread."""
        return self.closed or bool(self.poll.poll(0))


class _Server:
    """The socket side: workers come and go, requests become jobs, results become answers."""

    def __init__(
        self,
        listener: socket.socket,
        deliverer: Deliverer,
        allowed: set[int],
        wake: socket.socket,
        tied: Callable[[], None],
    ) -> None:
        self._tied = tied
        self._listener = listener
        self._deliverer = deliverer
        self._allowed = allowed
        self._selector = selectors.DefaultSelector()
        self._connections: set[_Connection] = set()
        self._large: deque[Job[_Connection]] = deque()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ)
        self._wake = wake

    def serve(self, stopping: list[bool]) -> None:
        """Rounds until SIGTERM has set `stopping`; then the last answers, for a bounded time."""
        while not stopping:
            waiting = self._deliverer.waiting
            now = time.monotonic()
            timeout = max(0.0, min(locked.due for locked in waiting) - now) if waiting else None
            self._round(self._turn(self._ready(0.0 if self._large else timeout)))
        self._finish()

    def _turn(self, jobs: list[Job[_Connection]]) -> list[Job[_Connection]]:
        """What is done now: all that is small, and of the large as many as fit."""
        self._large += [job for job in jobs if job.request.size]
        now = [job for job in jobs if not job.request.size] if self._large else jobs
        size = 0
        while self._large and (not size or size + self._large[0].request.size <= ROUND_LARGE):
            size += self._large[0].request.size
            now.append(self._large.popleft())
        return now

    def _living(self, jobs: list[Job[_Connection]]) -> list[Job[_Connection]]:
        """The jobs of those who still want them: see above."""
        gone = {connection for connection in {job.asker for job in jobs} if connection.gone()}
        for connection in gone:
            self._close(connection)
        return [job for job in jobs if job.asker not in gone] if gone else jobs

    def _round(self, jobs: list[Job[_Connection]]) -> None:
        jobs = self._living(jobs)
        if jobs:
            self._deliverer.round(jobs)
        answered: list[Job[_Connection]] = []
        if self._deliverer.waiting:
            self._deliverer.forget_gone()
            answered = self._deliverer.again(time.monotonic())
        if jobs or answered:
            # every change of rights has cut the tie to the master
            self._tied()
        self._answer(jobs + answered)

    def _ready(self, timeout: float | None) -> list[Job[_Connection]]:
        """Wait for workers, take everything that they have sent."""
        jobs: list[Job[_Connection]] = []
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._wake:
                self._wake.recv(64)
            else:
                connection: _Connection = key.data
                if events & selectors.EVENT_WRITE:
                    self._flush(connection)
                if events & selectors.EVENT_READ and not connection.closed:
                    self._read(connection, jobs)
        return jobs

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            _log.warning("accept: %s", error.strerror)
            return
        pid, uid, _ = ipc.peer(sock)
        if uid not in self._allowed:
            _log.warning("refused process %d of uid %d: only the mail system may ask for deliveries", pid, uid)
            sock.close()
            return
        sock.setblocking(False)
        connection = _Connection(sock, trusted=uid == os.geteuid())
        connection.poll.register(sock, select.POLLRDHUP)
        self._connections.add(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _read(self, connection: _Connection, jobs: list[Job[_Connection]]) -> None:
        """Read until the socket is empty, or enough for one round."""
        taken = 0
        while taken < ROUND:
            try:
                data = connection.sock.recv(READ)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._close(connection)
                return
            taken += len(data)
            try:
                for payload in connection.frames.feed(data):
                    request = _DELIVER.decode(payload)
                    if not connection.trusted and any(target.kind in PRIVILEGED for target in request.targets):
                        raise ipc.BadFrame("only the pipe process may ask for files and lists")
                    jobs.append(Job(connection, request))
            except (ipc.BadFrame, msgspec.DecodeError) as error:
                _log.warning("closed a connection: %s", error)
                self._close(connection)
                return

    def _answer(self, jobs: list[Job[_Connection]]) -> None:
        """Send the Done of each job that has all its results."""
        touched: set[_Connection] = set()
        for job in jobs:
            if len(job.results) < len(job.request.targets):
                continue
            job.end()
            if not job.asker.closed:
                done = Done(job.request.seq, tuple(job.results))
                job.asker.out += ipc.pack(ipc.encode(done))
                touched.add(job.asker)
        for connection in touched:
            self._flush(connection)

    def _flush(self, connection: _Connection) -> None:
        out = connection.out
        try:
            while out:
                del out[: connection.sock.send(out)]
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if out else 0)
        if self._selector.get_key(connection.sock).events != wanted:
            self._selector.modify(connection.sock, wanted, connection)

    def _close(self, connection: _Connection) -> None:
        """Forget a worker, and what it asked for that is not begun: it will repeat that, or another will."""
        if connection.closed:
            return
        connection.closed = True
        self._connections.discard(connection)
        self._selector.unregister(connection.sock)
        connection.sock.close()

    def _finish(self) -> None:
        """What has arrived whole is done and answered; the rest belongs to the workers' next attempt."""
        self._selector.unregister(self._listener)
        self._round(self._turn(self._ready(0)))
        self._answer(self._deliverer.again(time.monotonic(), last=True))
        end = time.monotonic() + FAREWELL
        while (left := end - time.monotonic()) > 0 and any(connection.out for connection in self._connections):
            for key, events in self._selector.select(left):
                if key.data is not None and events & selectors.EVENT_WRITE:
                    self._flush(key.data)
        for connection in list(self._connections):
            self._close(connection)


def run(
    listener: socket.socket,
    settings: Settings,
    *,
    allowed_uids: set[int],
    single_user: bool,
    owner: int = -1,
    tied: Callable[[], None] = lambda: None,
) -> None:
    """Serve on a listening Unix stream socket until SIGTERM. Raises ConfigError before it serves anything.

    `allowed_uids`: who may ask, by SO_PEERCRED. `single_user`: nothing is done as anybody else, every file belongs to
    the process's own user. `owner`: whose the queue's files are (-1: the process's own). `tied` renews the tie to the
    master (parent.py).
    """
    deliverer = Deliverer(settings, single_user, owner if owner >= 0 else os.geteuid())
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stopping: list[bool] = []
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    before = signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    old_wake = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    try:
        _Server(listener, deliverer, allowed_uids, wake, tied).serve(stopping)
    finally:
        signal.set_wakeup_fd(old_wake)
        signal.signal(signal.SIGTERM, before)
        wake.close()
        woken.close()
