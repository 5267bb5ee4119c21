"""The two servers that scenarios are played to: `TayoriRuns` and (support/postfix.py) `PostfixRuns`.

    with TayoriRuns(tmp_path) as runs:
        dialogue, delivered = runs.run(scenario)      # lists of lines

Each scenario gets a tayori of its own. To make that cheap one process imports tayori once and forks for each
`tayori start`; what runs is the command's own code in a process of its own, master, workers and local process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from support import scenario as sc
from support.certificates import make
from support.dns import DnsServer
from support.policy_server import PolicyServer
from support.ports import free_port
from support.server import FIRST_UID, mail_owner_exists
from support.sink import KEYWORDS, Sink

DNS_HOST = f"127.77.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}"
"""An address of loopback for this process alone, so that runs side by side do not meet on port 53."""

START_SECONDS = 30.0
FORKER = """
import json, os, signal, sys
import tayori.programs.commands.start, tayori.programs.daemons.master
from tayori.programs.main import main
for line in sys.stdin:
    order = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        null, said = os.open("/dev/null", os.O_RDONLY), os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(null, 0); os.dup2(said, 1); os.dup2(said, 2)
        sys.argv = ["tayori", *order["words"]]
        code = 1
        try:
            code = main() or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stdout.flush(); sys.stderr.flush()
            os._exit(code)
    print(pid, flush=True)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


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


class TayoriRuns:
    """Runs scenarios against tayori, one after the other. `more`: settings beside the scenarios' own."""

    more: ClassVar[dict[str, str]] = {}

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.log = root / "maillog"
        self.forker: subprocess.Popen[str] | None = None

    def __enter__(self) -> TayoriRuns:
        self.place.sink.start()
        self.forker = subprocess.Popen(
            [*self.place.in_namespace(), sys.executable, "-c", FORKER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self.forker is not None and self.forker.stdin is not None
        self.forker.stdin.close()
        self.forker.wait(20)
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
        master = "127.0.0.1:@PORT@ inet n - n - - smtpd\n".replace("@PORT@", self.place.places["PORT"])
        (self.place.etc / "master.cf").write_text(master + scenario.services(self.place.places))
        with self.place.names(scenario):
            pid = self._start()
            try:
                dialogue = sc.play(scenario, self.place.ports)
                log = sc.wait_settled(self._log)
            finally:
                self._finish(scenario, pid)
        return dialogue, sc.outcome(self.place.homes, self.place.sink, log, self.place.places)

    def _finish(self, scenario: sc.Scenario, pid: int) -> None:
        _end(pid)

    def _log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        """The end of the last server's log and what it said, for a failed test."""
        return f"{self.stderr()[-1500:]}\n{self._log()[-3000:]}"

    def stderr(self) -> str:
        """What the last server said."""
        return (self.place.root / "said").read_text(errors="replace")

    def _start(self) -> int:
        assert self.forker is not None and self.forker.stdin is not None and self.forker.stdout is not None
        said = self.place.root / "said"
        said.write_text("")
        order = {"words": ["start", "-c", str(self.place.etc)], "said": str(said)}
        self.forker.stdin.write(json.dumps(order) + "\n")
        self.forker.stdin.flush()
        pid = int(self.forker.stdout.readline())
        deadline = time.monotonic() + START_SECONDS
        while "serving on" not in (text := said.read_text(errors="replace")):
            if "not started" in text or "Traceback" in text or time.monotonic() > deadline:
                _end(pid)
                raise RuntimeError(f"tayori does not start: {text}\n{self._log()[-2000:]}")
            time.sleep(0.01)
        return pid


def _end(pid: int) -> None:
    """The whole session of a server that we started; what it leaves is thrown away, so no time for farewells."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
