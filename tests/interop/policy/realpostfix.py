"""A private real Postfix on a loopback port, for comparing replies; it needs root, as Postfix does."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from support.rest import at_rest

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - discard
virtual unix - n n - - discard
relay unix - - n - - discard
smtp unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class RealPostfix:
    """`with RealPostfix(port) as server: server.configure({...}); server.talk([...])`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.root = Path(tempfile.mkdtemp(prefix="tayori-postfix-"))
        self.etc = self.root / "etc"
        self.started = False

    def __enter__(self) -> RealPostfix:
        self.root.chmod(0o755)
        for part in ("etc", "queue", "data"):
            (self.root / part).mkdir(mode=0o755)
        shutil.chown(self.root / "data", "postfix")
        return self

    def __exit__(self, *_: object) -> None:
        if self.started:
            subprocess.run(["postfix", "-c", str(self.etc), "stop"], capture_output=True, timeout=30, check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def configure(self, values: dict[str, str], files: dict[str, str] | None = None) -> None:
        """Write main.cf (and files into its folder, `@DIR@` stands for it) and start.

        With max_use=1 every connection is served by new processes, which read the new main.cf: no reload.
        """
        base = {
            "compatibility_level": "0",
            "queue_directory": str(self.root / "queue"),
            "data_directory": str(self.root / "data"),
            "maillog_file": str(self.root / "log"),
            "maillog_file_prefixes": str(self.root),
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "all",
            "smtpd_authorized_xclient_hosts": "127.0.0.1",
            "alias_maps": "",
            "alias_database": "",
            "smtpd_error_sleep_time": "0",
            "smtpd_soft_error_limit": "1000",
            "smtpd_hard_error_limit": "1000",
            "smtpd_client_connection_count_limit": "0",
            "notify_classes": "",
            "max_use": "1",
            "ipc_idle": "1s",
            "service_throttle_time": "1s",
            "disable_dns_lookups": "no",
        }
        base.update(values)
        for name, text in (files or {}).items():
            (self.etc / name).write_text(text)
            if "hash:@DIR@/" + name in " ".join(base.values()):
                at_rest(self.etc)
                subprocess.run(["postmap", f"hash:{self.etc / name}"], check=True, timeout=30)
        text = "".join(f"{name} = {value}\n" for name, value in base.items()).replace("@DIR@", str(self.etc))
        (self.etc / "main.cf.new").write_text(text)
        (self.etc / "main.cf.new").replace(self.etc / "main.cf")
        (self.etc / "master.cf").write_text(MASTER.format(port=self.port))
        at_rest(self.etc)
        if not self.started:
            subprocess.run(["postfix", "-c", str(self.etc), "start"], capture_output=True, timeout=120, check=True)
            self.started = True
        self._wait()

    def _wait(self) -> None:
        for _ in range(50):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 10) as probe:
                    probe.recv(1)
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("the private Postfix does not listen: " + self.log()[-2000:])

    def talk(self, commands: list[str]) -> list[str]:
        """Send commands one by one; one reply each (lines joined by a newline), the greeting first."""
        replies: list[str] = []
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            connection.settimeout(30)
            stream = connection.makefile("rb")
            replies.append(self._reply(stream))
            for command in commands:
                try:
                    connection.sendall(command.encode() + b"\r\n")
                    replies.append(self._reply(stream))
                except ConnectionError:
                    replies.append("")
                if not replies[-1]:
                    break
        return replies

    @staticmethod
    def _reply(stream: object) -> str:
        lines: list[str] = []
        for _ in range(100):
            line = stream.readline().decode().rstrip("\r\n")  # type: ignore[attr-defined]
            lines.append(line)
            if len(line) < 4 or line[3] != "-":
                break
        return "\n".join(lines)

    def log(self) -> str:
        """The whole log so far."""
        path = self.root / "log"
        return path.read_text() if path.exists() else ""

    def rejects(self) -> list[str]:
        """The "NOQUEUE: …" parts of the log."""
        return [m.group(1) for m in re.finditer(r"postfix/smtpd\[\d+\]: (\w+: .*)", self.log())]


def usable() -> str:
    """Why it cannot run here; empty when it can."""
    if os.geteuid() != 0:
        return "a private Postfix needs root"
    return "" if shutil.which("postfix") else "postfix is not installed"
