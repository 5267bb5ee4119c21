"""A private real Postfix that scenarios are played to; it needs root, as Postfix does.

It runs in a mount namespace with its own passwd, resolv.conf and hosts; queue, data and configuration lie under
`root`. What Postfix 3.7 would do by default otherwise than 3.12 is set in POSTFIX_ONLY, with the reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from support import scenario as sc
from support.rest import at_rest
from support.scenario_run import Place

DAEMONS = "/usr/lib/postfix/sbin"
POSTFIX_ONLY = {
    # Defaults of 3.12 (3.7 of Debian 12 has the parameters, with the old defaults).
    "smtpd_forbid_bare_newline": "normalize",
    "smtpd_forbid_bare_newline_exclusions": "",
    "smtpd_forbid_unauth_pipelining": "yes",
    "in_flow_delay": "0",
    "smtpd_client_connection_count_limit": "0",
    "maillog_file_prefixes": "/tmp, /var/tmp",
    "command_directory": "/usr/sbin",
    "daemon_directory": DAEMONS,
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
}
MASTER = """\
127.0.0.1:@PORT@ inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
  -o syslog_name=postfix/relay
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
INDEXED = ("hash:", "btree:", "lmdb:")


class PostfixRuns:
    """Runs scenarios against Postfix, one after the other, in the same queue directory."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.queue, self.data, self.log = root / "queue", root / "data", root / "log"
        for folder in (self.queue, self.data):
            folder.mkdir(exist_ok=True, mode=0o755)
        shutil.chown(self.data, "postfix")
        self.made = False

    def __enter__(self) -> PostfixRuns:
        self.place.sink.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.place.sink.stop()

    def run(self, scenario: sc.Scenario) -> tuple[list[str], list[str]]:
        """(lines of dialogue.txt, lines of delivered.txt). Raises RuntimeError when Postfix does not start."""
        base = {
            **sc.BASE, **POSTFIX_ONLY, "queue_directory": str(self.queue), "data_directory": str(self.data),
            "maillog_file": str(self.log),
        }  # fmt: skip
        self.place.prepare(scenario, base)
        master = MASTER.replace("@PORT@", self.place.places["PORT"])
        (self.place.etc / "master.cf").write_text(master + scenario.services(self.place.places))
        at_rest(self.place.etc)
        self._index()
        at_rest(self.place.etc)
        if self.log.exists():
            self.log.write_text("")
        with self.place.names(scenario):
            self._start()
            try:
                dialogue = sc.play(scenario, self.place.ports)
                log = sc.wait_settled(self._log, dialogue)
            finally:
                self._stop()
        self.last_log = log
        return dialogue, sc.outcome(self.place.homes, self.place.sink, log, self.place.places)

    def _index(self) -> None:
        text = (self.place.etc / "main.cf").read_text() + (self.place.etc / "master.cf").read_text()
        for path in sorted(self.place.etc.iterdir()):
            for kind in INDEXED:
                if f"{kind}{path}" in text:
                    tool = "postalias" if path.name.startswith("aliases") else "postmap"
                    words = [tool, "-c", str(self.place.etc), f"{kind}{path}"]
                    subprocess.run(words, check=True, timeout=30, stdout=subprocess.DEVNULL)

    def _log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.place.in_namespace(), *words], capture_output=True, text=True, timeout=60, check=False
        )

    def _start(self) -> None:
        etc = str(self.place.etc)
        if not self.made:
            self._command("postfix", "-c", etc, "check")
            self.made = True
        for name in ("incoming", "active", "deferred", "bounce", "defer", "hold", "corrupt", "trace", "maildrop"):
            for path in (self.queue / name).rglob("*"):
                if path.is_file():
                    path.unlink()
        for path in self.data.iterdir():
            path.unlink()
        self.said = open(self.place.root / "said", "w")  # noqa: SIM115
        self.master = subprocess.Popen(
            [*self.place.in_namespace(), f"{DAEMONS}/master", "-c", etc, "-d"],
            stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said, start_new_session=True,
        )  # fmt: skip
        for _ in range(500):
            if self.master.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.place.ports["PORT"]), 5).close()
                return
            except OSError:
                time.sleep(0.01)
        self._stop()
        said = (self.place.root / "said").read_text()
        raise RuntimeError(f"Postfix does not start: {said}{self._log()[-2000:]}")

    def _stop(self) -> None:
        if self.master.poll() is None:
            os.killpg(self.master.pid, signal.SIGKILL)
        self.master.wait(20)
        self.said.close()
