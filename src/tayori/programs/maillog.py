"""The mail log in Postfix's line format, so that pflogsumm, fail2ban and grep go on working.

`Nov 24 18:04:56 host postfix/smtpd[123]: text`. Where it goes: `maillog_file` when set (opened for append,
reopened when it was moved away), else standard error, and beside it the local syslog socket where there is one and
we run as a service. Lines of one turn of the event loop are written together: who has read a reply finds its line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time

from tayori.config.settings import Settings

SYSLOG_SOCKET = "/dev/log"
FACILITIES = {
    name: number
    for number, name in enumerate(
        "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp".split()  # noqa: SIM905
    )
} | {f"local{n}": 16 + n for n in range(8)}
SEVERITIES = {"warning: ": 4, "error: ": 3, "fatal: ": 2, "panic: ": 2}


class MailLog:
    """One per process; made before the fork and adopted after it (`adopt`)."""

    def __init__(self, settings: Settings, *, syslog: bool = False) -> None:
        self.name = settings.text("syslog_name") or "postfix"
        self._host = settings.text("myhostname").partition(".")[0]
        self._facility = FACILITIES.get(settings.text("syslog_facility"), 2) * 8
        self._path = settings.text("maillog_file")
        self._fd = -1
        self._syslog: socket.socket | None = None
        self._lines: list[str] = []
        self._stamp = ""
        self._heads: dict[tuple[str, str], str] = {}
        self._second = -1
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False
        self._checked = 0
        if self._path and self._path != "/dev/stdout":
            self._open()
        elif self._path == "/dev/stdout":
            self._fd = 1
        else:
            self._fd = 2
            if syslog and os.path.exists(SYSLOG_SOCKET):
                self._connect_syslog()

    def adopt(self) -> None:
        """In a forked process: its own number, and its event loop when there is one."""
        self._pid = os.getpid()
        self._lines.clear()
        self._heads.clear()
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    def line(self, daemon: str, text: str, name: str = "") -> None:
        """One line. `daemon` is smtpd, cleanup, qmgr, local …; `name` stands in for syslog_name."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._stamp = time.strftime("%b %e %H:%M:%S", time.localtime(now))
            self._heads.clear()
        if "\n" in text or "\r" in text:
            text = text.replace("\r", "?").replace("\n", "?")
        head = self._heads.get((daemon, name))
        if head is None:
            head = f"{self._stamp} {self._host} {name or self.name}/{daemon}[{self._pid}]: "
            self._heads[daemon, name] = head
        self._lines.append(f"{head}{text}\n")
        if self._syslog is not None:
            self._send_syslog(daemon, text, name)
        if self._loop is None:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits; a log that cannot be written never stops mail."""
        self._scheduled = False
        if not self._lines:
            return
        data = "".join(self._lines).encode("utf-8", "surrogateescape")
        self._lines.clear()
        if self._path and self._second - self._checked >= 2:
            self._checked = self._second
            self._reopen_if_moved()
        with contextlib.suppress(OSError):
            os.write(self._fd, data)

    def _open(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            print(f"maillog_file {self._path} cannot be opened: {error.strerror}", file=sys.stderr)
            self._fd = 2

    def _reopen_if_moved(self) -> None:
        if self._fd <= 2:
            return
        try:
            here, there = os.fstat(self._fd), os.stat(self._path)
            if (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev):
                return
        except OSError:
            pass
        old = self._fd
        self._open()
        if old > 2:
            os.close(old)

    def _connect_syslog(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.setblocking(False)
        try:
            sock.connect(SYSLOG_SOCKET)
        except OSError:
            sock.close()
            return
        self._syslog = sock

    def _send_syslog(self, daemon: str, text: str, name: str) -> None:
        severity = next((level for prefix, level in SEVERITIES.items() if text.startswith(prefix)), 6)
        line = f"<{self._facility + severity}>{self._stamp} {name or self.name}/{daemon}[{self._pid}]: {text}"
        with contextlib.suppress(OSError):
            assert self._syslog is not None
            self._syslog.send(line.encode("utf-8", "surrogateescape"))


class Bridge(logging.Handler):
    """Python's logging into the mail log: `tayori.tables` becomes daemon `tables`."""

    def __init__(self, log: MailLog) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """logging: one record."""
        level = {logging.WARNING: "warning: ", logging.ERROR: "error: ", logging.CRITICAL: "fatal: "}
        daemon = record.name.removeprefix("tayori.").partition(".")[0] or "tayori"
        self._log.line(daemon, level.get(record.levelno, "") + record.getMessage())


def bridge(log: MailLog) -> None:
    """Send all of the `tayori` loggers to the mail log."""
    logger = logging.getLogger("tayori")
    logger.handlers[:] = [Bridge(log)]
    logger.setLevel(logging.INFO)
    logger.propagate = False
