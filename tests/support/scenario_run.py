"""The two servers that scenarios are played to: `TayoriRuns` and (support/postfix.py) `PostfixRuns`.

    with TayoriRuns(tmp_path) as runs:
        dialogue, delivered = runs.run(scenario)      # lists of lines

Each scenario gets a tayori of its own. To make that cheap one process imports tayori once and forks for each
`tayori start`; what runs is the command's own code in a process of its own, master, workers and local process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from support import scenario as sc
from support.certificates import make
from support.dns import DnsServer
from support.forker import Forked, Forker
from support.policy_server import PolicyServer
from support.ports import free_port
from support.server import FIRST_UID, mail_owner_exists
from support.sink import KEYWORDS, Sink

DNS_HOST = f"127.77.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}"
"""An address of loopback for this process alone, so that runs side by side do not meet on port 53."""

START_SECONDS = 30.0


class Place:
    """The folders that a server under test works in: etc/, homes, a sink, a passwd file, and (root) a name server."""

    def __init__(self, root: Path) -> None:
        self.root, self.etc, self.homes = root, root / "etc", root / "home"
        for folder in (root, self.etc, self.homes):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        if os.geteuid() == 0:
            for parent in root.parents:
                if str(parent).startswith(("/tmp/", "/var/tmp/")):
                    parent.chmod(parent.stat().st_mode | 0o011)
        self.owners = {
            name: (FIRST_UID + n, FIRST_UID + n) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
            for n, name in enumerate(sc.USERS)
        }
        rows = [
            f"{name}:x:{uid}:{gid}:{name.title()}:{self.homes}/{name}:/bin/sh\n"
            for name, (uid, gid) in self.owners.items()
        ]
        self.passwd = root / "passwd"
        self.passwd.write_text(Path("/etc/passwd").read_text() + "".join(rows))
        (root / "resolv.conf").write_text(f"nameserver {DNS_HOST}\noptions timeout:1 attempts:1\n")
        (root / "hosts").write_text("127.0.0.1 localhost\n")
        self.sink = Sink(answers={"RCPT": sc.sink_answer})
        self.tls = make("mail.example.com").write(root / "tls.pem")
        self.places: dict[str, str] = {}
        self.ports: dict[str, int] = {}

    def prepare(self, scenario: sc.Scenario, base: dict[str, str]) -> None:
        """Fresh homes, configuration and ports for a scenario."""
        sc.clean(self.homes, self.sink, self.owners)
        shutil.rmtree(self.etc)
        self.etc.mkdir(mode=0o755)
        self.sink.keywords = KEYWORDS if scenario.offers is None else scenario.offers
        self.ports = {"PORT": free_port(), "PORT2": free_port()}
        policy = {"POLICY": str(free_port())} if scenario.policy else {}
        self.places = {
            "SINK": str(self.sink.port), "HOME": str(self.homes), "UID": str(self.owners["alice"][0]),
            "ETC": str(self.etc), "TLS": self.tls, **policy, **{name: str(port) for name, port in self.ports.items()},
        }  # fmt: skip
        scenario.write(self.etc, base, self.places)
        scenario.furnish(self.homes, self.places, self.owners)

    @contextlib.contextmanager
    def names(self, scenario: sc.Scenario) -> Iterator[None]:
        """The scenario's zones, served on port 53 of a loopback address of our own while it runs; its policy server."""
        with contextlib.ExitStack() as running:
            if scenario.policy:
                running.enter_context(PolicyServer(scenario.policy, int(self.places["POLICY"])))
            if os.geteuid() == 0:
                running.enter_context(DnsServer(scenario.zones, host=DNS_HOST, port=53))
            yield

    def in_namespace(self) -> list[str]:
        """Words before a command that give it our passwd, resolv.conf and hosts; empty for an ordinary user."""
        if os.geteuid() != 0:
            return []
        mounts = "".join(
            f"mount --bind {self.root}/{name} /etc/{name}; " for name in ("passwd", "resolv.conf", "hosts")
        )
        return ["unshare", "-m", "sh", "-ec", mounts + 'ulimit -n 1024; exec "$@"', "sh"]


HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$0000000000000000000000"
"""Fits no password."""


class TayoriRuns:
    """Runs scenarios against tayori, one after the other. `more`: settings beside the scenarios' own."""

    more: ClassVar[dict[str, str]] = {}

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.log = root / "maillog"
        self.forker: Forker | None = None

    def __enter__(self) -> TayoriRuns:
        self.place.sink.start()
        self.forker = Forker(self.place.in_namespace())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self.forker is not None
        self.forker.close()
        self.place.sink.stop()

    def run(self, scenario: sc.Scenario) -> tuple[list[str], list[str]]:
        """(lines of dialogue.txt, lines of delivered.txt). Raises RuntimeError when tayori does not start."""
        spool = self.place.root / "spool"
        shutil.rmtree(spool, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        base = {
            **sc.BASE, "queue_directory": str(spool), "maillog_file": str(self.log),
            "tayori_passwd_file": str(self.place.passwd), "tayori_workers": "1", **self.more,
        }  # fmt: skip
        if os.geteuid() == 0 and not mail_owner_exists():
            base["tayori_single_user"] = "yes"
        self.place.prepare(scenario, base)
        # a back end that needs no extra: without one no AUTH is offered, and XCLIENT's LOGIN= is not explained
        (self.place.etc / "accounts").write_text(f"nobody:{{ARGON2ID}}{HASH}\n")
        master = "127.0.0.1:@PORT@ inet n - n - - smtpd\n".replace("@PORT@", self.place.places["PORT"])
        (self.place.etc / "master.cf").write_text(master + scenario.services(self.place.places))
        with self.place.names(scenario):
            server = self._start()
            try:
                dialogue = sc.play(scenario, self.place.ports)
                log = sc.wait_settled(self._log, dialogue)
            finally:
                self._finish(scenario, server)
        return dialogue, sc.outcome(self.place.homes, self.place.sink, log, self.place.places)

    def _finish(self, scenario: sc.Scenario, server: Forked) -> None:
        _end(server)

    def _log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        """The end of the last server's log and what it said, for a failed test."""
        return f"{self.stderr()[-1500:]}\n{self._log()[-3000:]}"

    def stderr(self) -> str:
        """What the last server said."""
        return (self.place.root / "said").read_text(errors="replace")

    def _start(self) -> Forked:
        assert self.forker is not None
        said = self.place.root / "said"
        said.write_text("")
        server = self.forker.start(["start", "-c", str(self.place.etc)], said, session=True)
        deadline = time.monotonic() + START_SECONDS
        while "serving on" not in (text := said.read_text(errors="replace")):
            if "not started" in text or "Traceback" in text or time.monotonic() > deadline:
                _end(server)
                raise RuntimeError(f"tayori does not start: {text}\n{self._log()[-2000:]}")
            time.sleep(0.01)
        return server


def _end(server: Forked) -> None:
    """The whole session of a server that we started; what it leaves is thrown away, so no time for farewells."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(20)
