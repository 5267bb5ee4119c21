"""The master: opens ports, starts the local process and the workers, watches them, reloads and stops (master(8)).

It is small on purpose and speaks to nobody: what it knows, children inherit by fork. A child that dies is started
again, with growing pauses when it dies at once; a configuration that does not hold up is refused at reload and the
running one goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from tayori.config.mastercf import Service, read_services
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.policy.rates import Board
from tayori.programs.daemons import errands, local, pipes, worker
from tayori.programs.daemons.dispatch.board import DeliveryBoard
from tayori.programs.daemons.layout import Layout, Owner, mail_owner
from tayori.programs.daemons.notify import notify
from tayori.programs.daemons.parent import tie
from tayori.programs.daemons.ports import Ports, unix_listener
from tayori.programs.daemons.preload import preload
from tayori.programs.daemons.worker import Plan
from tayori.programs.maillog import MailLog, bridge
from tayori.sasl.board import LoginBoard

REGIONS = 64
STOP_SECONDS = 20.0
QUICK_SECONDS = 10.0
DEAD_SECONDS = 20.0
RELEASE_SECONDS = 1.0


@dataclass(slots=True)
class Child:
    """One process. `number` owns queue rows (0: none); `retired` children are not started again."""

    pid: int
    kind: str
    number: int = 0
    region: int = -1
    started: float = field(default_factory=time.monotonic)
    retired: bool = False
    ready: int = -1
    up: bool = False


@dataclass(slots=True)
class Wanted:
    """A child to start, not before `at` (monotonic seconds). `number`: whose rows a "release" errand frees."""

    kind: str
    region: int
    at: float
    number: int = 0


class Master:
    """One instance. `announce` tells the person at the terminal; `refuse` findings stop a start."""

    def __init__(
        self,
        directory: str,
        vet: Callable[[Settings, tuple[Service, ...]], list[str]],
        announce: Callable[[str], None],
    ) -> None:
        self.pid = os.getpid()
        self.directory = directory
        self.vet = vet
        self.announce = announce
        self.children: dict[int, Child] = {}
        self.wanted: list[Wanted] = []
        self.ports = Ports()
        self.board = Board(REGIONS)
        self.login_board = LoginBoard(REGIONS)
        self.delivery_board = DeliveryBoard(REGIONS)
        self.next_number = 1
        self.failures: dict[str, int] = {}
        self.leaving: set[int] = set()
        self.signals: list[int] = []
        self.stopping = False
        self.said_ready = False

    def load(self) -> tuple[Settings, tuple[Service, ...]]:
        """Read and vet the configuration. Raises ConfigError."""
        settings = Settings.read(self.directory, probe())
        services = tuple(read_services(settings))
        refused = self.vet(settings, services)
        if refused:
            raise ConfigError("\n".join(refused))
        errands.rehearse(self.pid, settings, services)
        return settings, services

    def start(self) -> None:
        """Load, take the lock, open ports, recover the queue. Raises ConfigError: nothing is left running."""
        self.settings, self.services = self.load()
        self.layout = Layout.of(self.settings)
        self.owner: Owner | None = mail_owner(self.settings)
        if self.owner is not None:
            preload()
        self.layout.make(self.owner)
        self._lock()
        self.plan_sockets = self.ports.open(self.settings, self.services)
        self.submit = unix_listener(self.layout.submit_socket, 0o666, self.owner, self.settings)
        self.local = unix_listener(self.layout.local_socket, 0o600, self.owner, self.settings)
        self.pipe = unix_listener(self.layout.pipe_socket, 0o600, self.owner, self.settings)
        service_log = bool(os.environ.get("INVOCATION_ID")) or not sys.stderr.isatty()
        self.log = MailLog(self.settings, syslog=service_log and self.settings.system.root)
        messages, orphans = errands.recover(self.pid, self.layout, self.owner)
        self.log.line("master", f"daemon started -- tayori, configuration {self.directory}")
        if messages:
            self.log.line("master", f"{messages} messages were waiting in the queue")
        if orphans:
            self.log.line("master", f"{orphans} content files without a message were removed")

    def _lock(self) -> None:
        self._pid_fd = os.open(self.layout.pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._pid_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(self._pid_fd, 20).decode("ascii", "replace").strip() or "?"
            raise ConfigError(
                f"a tayori with this queue_directory is running already (process {pid})",
                self.settings.origin("queue_directory"),
                f"stop it with: tayori stop -c {self.directory}",
            ) from None
        os.ftruncate(self._pid_fd, 0)
        os.pwrite(self._pid_fd, f"{self.pid}\n".encode(), 0)
        self._wait_for_the_dead()

    def _wait_for_the_dead(self) -> None:
        """Children of a master that was killed end with it, but not at the same instant: every child holds this lock,
        and until the last has let go, ports are taken and deliveries may be under way. Raises ConfigError."""
        self._children_fd = os.open(self.layout.children_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(int(DEAD_SECONDS / 0.02)):
            with contextlib.suppress(OSError):
                fcntl.flock(self._children_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.02)
        raise ConfigError(
            "processes of an earlier run of this instance are still at work",
            self.settings.origin("queue_directory"),
            f"find them with: fuser {self.layout.children_lock}",
        )

    def workers(self) -> int:
        """tayori_workers, or one per core."""
        return min(REGIONS // 2, self.settings.number("tayori_workers") or len(os.sched_getaffinity(0)))

    def helpers(self) -> tuple[str, ...]:
        """The processes beside the workers: one writes into mailboxes, one runs commands."""
        return ("local", "pipe")

    def run(self) -> int:
        """Start children and watch them until SIGTERM; the exit status."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda n, _: self.signals.append(n))
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self.wanted = [Wanted(kind, -1, 0.0) for kind in self.helpers()]
        self.wanted += [Wanted("worker", n, 0.0) for n in range(self.workers())]
        deadline = 0.0
        while True:
            now = time.monotonic()
            if not self.stopping:
                self._start_wanted(now)
            elif not self.children:
                break
            elif now > deadline:
                for child in self.children.values():
                    _kill(child.pid, signal.SIGKILL)
            pause = 1.0 if self.stopping or self.wanted else 60.0
            watched = [c.ready for c in self.children.values() if c.ready >= 0]
            readable, _, _ = select.select([wake_read, *watched], [], [], pause)
            if wake_read in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
            self._note_ready(readable)
            self._let_old_go()
            while self.signals:
                came = self.signals.pop(0)
                if came == signal.SIGHUP and not self.stopping:
                    self.reload()
                elif came in (signal.SIGTERM, signal.SIGINT) and not self.stopping:
                    self.stopping = True
                    deadline = time.monotonic() + STOP_SECONDS
                    self._stop()
            self._reap()
        self.log.line("master", "stopped")
        for path in (
            self.layout.submit_socket,
            self.layout.local_socket,
            self.layout.pipe_socket,
        ):
            path.unlink(missing_ok=True)
        return 0

    def _stop(self) -> None:
        self.log.line("master", "terminating")
        # as long as anybody holds them, clients would wait for a greeting that never comes
        self.ports.close()
        self.submit.close()
        notify("STOPPING=1")
        for child in self.children.values():
            if child.kind == "worker":
                _kill(child.pid, signal.SIGTERM)
        self._stop_local_when_alone()

    def _stop_local_when_alone(self) -> None:
        """The local process goes last: workers finish what they have in hand through it."""
        if self.stopping and not any(c.kind == "worker" for c in self.children.values()):
            for child in self.children.values():
                _kill(child.pid, signal.SIGTERM)

    def _start_wanted(self, now: float) -> None:
        due = [w for w in self.wanted if w.at <= now]
        self.wanted = [w for w in self.wanted if w.at > now]
        for want in due:
            if want.kind != "worker":
                started = self._fork(want.kind, -1, want.number)
            else:
                self.next_number += 1
                self.board.clear(want.region)
                self.delivery_board.clear(want.region)
                self.login_board.use(want.region)
                started = self._fork("worker", want.region, self.next_number)
            if not started:
                self.wanted.append(Wanted(want.kind, want.region, now + 1.0, want.number))

    def _fork(self, kind: str, region: int, number: int) -> bool:
        """Start a child; False when the system has no room for one now."""
        self.log.flush()
        try:
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
            try:
                pid = os.fork()
            except OSError:
                os.close(read_end)
                os.close(write_end)
                raise
        except OSError as error:
            self.log.line("master", f"warning: cannot start a {kind} process: {error.strerror}")
            return False
        if pid == 0:
            os.close(read_end)
            self._child(kind, region, number, write_end)
        os.close(write_end)
        self.children[pid] = Child(pid, kind, number, region, ready=read_end, retired=kind == "release")
        return True

    def _child(self, kind: str, region: int, number: int, ready_fd: int) -> None:
        """In the new process; never returns."""
        code = 1
        signal.set_wakeup_fd(-1)
        for which in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(which, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.close(self._pid_fd)
        for other in self.children.values():
            if other.ready >= 0:
                os.close(other.ready)
        _called(f"tayori {kind}")
        tied = tie(self.pid)
        tied()
        self.log.adopt()
        if kind != "worker":
            self.ports.close()
            self.submit.close()
        bridge(self.log)

        def ready() -> None:
            os.write(ready_fd, b"1")
            os.close(ready_fd)

        try:
            if kind == "release":
                errands.release(self.layout, self.owner, number, tied)
            elif kind == "local":
                uids = {os.geteuid(), 0} | ({self.owner.uid} if self.owner else set())
                owner = self.owner.uid if self.owner else -1
                self.pipe.close()
                ready()
                local.run(
                    self.local, self.settings, allowed_uids=uids, single_user=self.owner is None, owner=owner,
                    tied=tied,
                )  # fmt: skip
            elif kind == "pipe":
                self.local.close()
                ready()
                owner = self.owner.uid if self.owner else os.geteuid()
                pipes.run(self.pipe, self.settings, self.services, {0, owner}, owner)
            else:
                worker.run(self._plan(region, number, tied), ready)
            code = 0
        except ConfigError as error:
            self.log.line(kind, f"fatal: {error}")
        except BaseException:
            for line in traceback.format_exc().splitlines():
                self.log.line(kind, f"fatal: {line}")
        finally:
            self.log.flush()
            os._exit(code)

    def _plan(self, region: int, number: int, tied: Callable[[], None]) -> Plan:
        return Plan(
            settings=self.settings,
            services=self.services,
            sockets=tuple(sockets for _, sockets in self.plan_sockets),
            submit=self.submit,
            layout=self.layout,
            owner=self.owner,
            board=self.board,
            login_board=self.login_board,
            delivery_board=self.delivery_board,
            log=self.log,
            region=region,
            number=number,
            living=tuple(c.number for c in self.children.values() if c.number),
            tied=tied,
        )

    def _note_ready(self, readable: list[int]) -> None:
        for child in self.children.values():
            if child.ready in readable:
                said = os.read(child.ready, 1)
                os.close(child.ready)
                child.ready = -1
                child.up = bool(said)
        settled = not self.wanted and all(c.up for c in self.children.values())
        if not self.said_ready and settled and len(self.children) == self.workers() + len(self.helpers()):
            self.said_ready = True
            notify("READY=1")
            self.announce(self.where())

    def where(self) -> str:
        """The ports in words."""
        rows = []
        for service, sockets in self.plan_sockets:
            for sock in sockets:
                host, port = sock.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                name = "" if str(port) in service.name else f" ({service.name})"
                rows.append(f"{shown}:{port}{name}")
        return ", ".join(rows)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is None:
                continue
            if child.ready >= 0:
                os.close(child.ready)
            if child.region >= 0:
                self.board.clear(child.region)
                self.delivery_board.clear(child.region)
                self.login_board.clear_begun(child.region)
            self.leaving.discard(pid)
            if not self.stopping and not child.retired:
                self._replace(child, status)
            elif not self.stopping and child.number and status != 0:
                # nobody takes this one's place, so nobody would free what it held; nor what an errand that failed
                # should have
                pause = RELEASE_SECONDS if child.kind == "release" else 0.0
                self.wanted.append(Wanted("release", -1, time.monotonic() + pause, child.number))
            self._stop_local_when_alone()

    def _replace(self, child: Child, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        how = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        key = f"{child.kind}{child.region}"
        pause = 0.0
        if code == 0 or time.monotonic() - child.started > QUICK_SECONDS:
            self.failures.pop(key, None)
        elif not (code == -signal.SIGKILL and child.up):
            # it died by its own fault soon after the start; a kill from outside says nothing about the next one
            self.failures[key] = self.failures.get(key, 0) + 1
            pause = min(60.0, 0.25 * 2 ** self.failures[key])
        again = f"; starting another in {pause:g} s" if pause else "; starting another"
        self.log.line("master", f"warning: {child.kind} process {child.pid} ended: {how}{again}")
        self.wanted.append(Wanted(child.kind, child.region, time.monotonic() + pause))

    def reload(self) -> None:
        """New workers with the new configuration, old ones finish; a bad configuration changes nothing."""
        notify("RELOADING=1\nMONOTONIC_USEC=" + str(time.monotonic_ns() // 1000))
        try:
            settings, services = self.load()
            if Layout.of(settings) != self.layout:
                raise ConfigError(
                    "queue_directory changed", settings.origin("queue_directory"), "stop and start instead"
                )
            used = {c.region for c in self.children.values() if c.kind == "worker"}
            free = [n for n in range(REGIONS) if n not in used]
            if not free:
                raise ConfigError("too many old workers still have connections", None, "wait, or stop and start")
            plan = self.ports.open(settings, services)
        except (ConfigError, OSError, ValueError) as error:
            for line in str(error).splitlines():
                self.log.line("master", f"error: reload refused, the running configuration stays: {line}")
            notify("READY=1")
            return
        self.settings, self.services, self.plan_sockets = settings, services, plan
        self.log = MailLog(settings, syslog=self.log._syslog is not None)
        self.log.line("master", f"reload -- tayori, configuration {self.directory}")
        old = [c for c in self.children.values() if not c.retired]
        self.failures.clear()
        self.wanted = [w for w in self.wanted if w.kind != "worker"]
        self.wanted += [Wanted("worker", region, 0.0) for region in free[: self.workers()]]
        running = {c.kind for c in old} | {w.kind for w in self.wanted}
        self.wanted += [Wanted(kind, -1, 0.0) for kind in self.helpers() if kind not in running]
        for child in old:
            if child.kind == "worker":
                child.retired = True
                self.leaving.add(child.pid)
            elif child.kind == "pipe":
                # commands that it runs come to their end; a new one takes what comes meanwhile
                child.retired = True
                self.wanted.append(Wanted("pipe", -1, 0.0))
                _kill(child.pid, signal.SIGUSR1)
            else:
                # the local process reads its settings at start; one that ends cleanly is started again at once
                _kill(child.pid, signal.SIGTERM)
        notify("READY=1")

    def _let_old_go(self) -> None:
        """Old workers take connections until all new ones do."""
        current = [c for c in self.children.values() if c.kind == "worker" and not c.retired]
        if self.leaving and not self.stopping and not self.wanted and current and all(c.up for c in current):
            for pid in self.leaving:
                _kill(pid, signal.SIGUSR1)
            self.leaving.clear()


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _called(name: str) -> None:
    """What ps and top call this process, where there is such a thing."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
        comm.write(name)
