"""A whole tayori for tests, as a child process on loopback.

    with Server(tmp_path, {"smtpd_peername_lookup": "no"}, users=("taro",)) as server:
        assert server.talk(["EHLO x", "QUIT"])[-1].startswith("221")
        server.wait_mail("taro")           # paths of the files in ~taro/Maildir/new

Everything lies under `tmp_path`: `conf/` (main.cf, master.cf and `files`), `spool/` (queue_directory), `maillog`,
`home/NAME` (homes of the users in `conf/passwd`). As an ordinary user all mailboxes belong to that user; as root each
user gets a number of its own without being an account of the system (or the account's number, if there is one), and
workers run as mail_owner where the machine has one, else as root (`tayori_single_user = yes`).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from support.forker import Forked, forker
from support.ports import free_port

WAIT_SECONDS = 30.0
FIRST_UID = 64100
COMMAND = (sys.executable, "-m", "tayori")
STANDARD = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.com",
    "mydomain": "example.com",
    "mydestination": "$myhostname, localhost.$mydomain, $mydomain",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "alias_maps": "",
    "alias_database": "",
    "home_mailbox": "Maildir/",
    "smtpd_peername_lookup": "no",
}


def mail_owner_exists() -> bool:
    """Whether the machine has the user that workers run as."""
    for name in ("postfix", "tayori"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return True
    return False


def read_replies(file: object) -> str:
    """One reply of any number of lines, without the last line end; empty at the end of the connection."""
    lines: list[str] = []
    while True:
        line = file.readline().decode("utf-8", "replace")  # type: ignore[attr-defined]
        if not line:
            return "\n".join(lines)
        lines.append(line.rstrip("\r\n"))
        if line[3:4] != "-":
            return "\n".join(lines)


class Server:
    """`main_cf` as a mapping is added to STANDARD, as a text it is the file (plus what keeps it under `tmp_path`).

    `master_cf` None: one smtpd on `port`; a text may name `{port}`. `files` are written into the configuration
    folder, their folders too. `passwd` False leaves the system's users in charge. It is forked from a process that has
    imported tayori; `python -m tayori` it is with `prefix` or another environment, and when `forked` is False.
    """

    def __init__(
        self,
        tmp_path: Path,
        main_cf: str | Mapping[str, str] | None = None,
        master_cf: str | None = None,
        files: Mapping[str, str] | None = None,
        *,
        users: Iterable[str] = ("taro", "hanako"),
        passwd: bool = True,
        port: int = 0,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        forked: bool = True,
    ) -> None:
        self._forked = forked
        self.root = tmp_path
        self.conf = tmp_path / "conf"
        self.queue_directory = tmp_path / "spool"
        self.maillog = tmp_path / "maillog"
        self.homes = tmp_path / "home"
        self.port = port or free_port()
        self.prefix = tuple(prefix)
        self.env = {**os.environ, **(env or {})}
        self.users = tuple(users)
        self.uids: dict[str, int] = {}
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self._own_passwd = passwd
        self.conf.mkdir(parents=True, exist_ok=True)
        for folder in (tmp_path, self.homes):
            folder.mkdir(exist_ok=True)
        self.open_up()
        self._write_users()
        self._write(main_cf, master_cf)
        for name, text in (files or {}).items():
            path = self.conf / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def open_up(self) -> None:
        """As root: pytest's folders are 0700, but mail_owner and the users must get through."""
        if os.geteuid() == 0:
            for folder in (self.root, *self.root.parents):
                if str(folder).startswith(tempfile.gettempdir() + "/") and folder.stat().st_uid == 0:
                    folder.chmod(folder.stat().st_mode | 0o011)

    def _write_users(self) -> None:
        rows = []
        for number, name in enumerate(self.users):
            uid, gid = os.geteuid(), os.getegid()
            if uid == 0:
                uid = gid = FIRST_UID + number
                if not self._own_passwd:
                    entry = pwd.getpwnam(name)
                    uid, gid = entry.pw_uid, entry.pw_gid
            home = self.homes / name
            home.mkdir(exist_ok=True)
            if os.geteuid() == 0:
                os.chown(home, uid, gid)
            home.chmod(0o700)
            self.uids[name] = uid
            rows.append(f"{name}:x:{uid}:{gid}:{name}:{home}:/usr/sbin/nologin\n")
        if self._own_passwd:
            (self.conf / "passwd").write_text("".join(rows))

    def _write(self, main_cf: str | Mapping[str, str] | None, master_cf: str | None) -> None:
        ours = {"queue_directory": str(self.queue_directory), "maillog_file": str(self.maillog)}
        if self._own_passwd:
            ours["tayori_passwd_file"] = str(self.conf / "passwd")
        if os.geteuid() == 0 and not mail_owner_exists():
            ours["tayori_single_user"] = "yes"
        if isinstance(main_cf, str):
            text = main_cf.rstrip("\n") + "\n" + _lines({k: v for k, v in ours.items() if k not in main_cf})
        else:
            text = _lines({**STANDARD, **ours, **(main_cf or {})})
        (self.conf / "main.cf").write_text(text)
        master = master_cf if master_cf is not None else "127.0.0.1:{port} inet n - n - - smtpd\n"
        (self.conf / "master.cf").write_text(master.replace("{port}", str(self.port)))

    def set(self, name: str, value: str) -> None:
        """Change one setting in main.cf (takes effect at the next start or reload)."""
        path = self.conf / "main.cf"
        kept = [row for row in path.read_text().splitlines() if row.partition("=")[0].strip() != name]
        path.write_text("\n".join([*kept, f"{name} = {value}"]) + "\n")

    def command(self, *words: str, stdin: str = "", check: bool = False) -> subprocess.CompletedProcess[str]:
        """Run `tayori WORDS`; put -c where the command wants it yourself."""
        return subprocess.run(
            [*COMMAND, *words], input=stdin, text=True, capture_output=True, timeout=60, check=check, env=self.env
        )

    def start(self) -> Server:
        """Start, and wait until it serves. Raises RuntimeError with what it said when it does not."""
        said = self.root / "stderr"
        said.touch()
        mark = said.stat().st_size
        self.process = self._started(["start", "-c", str(self.conf)], said)
        deadline = time.monotonic() + WAIT_SECONDS
        while b"serving on" not in said.read_bytes()[mark:]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"tayori does not start:\n{self.stderr()[-4000:]}\n{self.log()[-2000:]}")
            time.sleep(0.01)
        return self

    def _started(self, words: list[str], said: Path) -> subprocess.Popen[bytes] | Forked:
        if self._forked and not self.prefix:
            parent = forker()
            if parent.env == {name: value for name, value in self.env.items() if name != "PYTEST_CURRENT_TEST"}:
                return parent.start(words, said)
        with open(said, "ab") as file:
            return subprocess.Popen(
                [*self.prefix, *COMMAND, *words],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=self.env,
            )  # fmt: skip

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, then SIGKILL when it takes too long; the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(10)
        self.process = None
        return code

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def stderr(self) -> str:
        """What the process said."""
        path = self.root / "stderr"
        return path.read_text(errors="replace") if path.exists() else ""

    def log(self) -> str:
        """The mail log so far."""
        return self.maillog.read_text(errors="replace") if self.maillog.exists() else ""

    def wait_log(self, text: str, seconds: float = 15.0) -> str:
        """The log once it holds `text`. Raises AssertionError."""
        deadline = time.monotonic() + seconds
        while text not in (log := self.log()):
            assert time.monotonic() < deadline, f"{text!r} does not come:\n{log[-4000:]}"
            time.sleep(0.03)
        return log

    def connect(self) -> socket.socket:
        """A connection to the port."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def talk(self, lines: Iterable[str | bytes]) -> list[str]:
        """The greeting, then the reply to each line (each sent after the reply before; lines of one reply parted by
        a newline). What follows a 354 is content: one string that holds it all, the last dot included."""
        with self.connect() as sock, sock.makefile("rb") as file:
            replies = [read_replies(file)]
            for line in lines:
                sock.sendall((line.encode() if isinstance(line, str) else line) + b"\r\n")
                replies.append(read_replies(file))
            return replies

    def send(self, sender: str, recipients: str | Sequence[str], content: str = "Subject: test\r\n\r\nhello") -> str:
        """One message by a plain session; the last reply that counts (a refusal, or the one after the dot)."""
        names = [recipients] if isinstance(recipients, str) else list(recipients)
        lines = ["EHLO client.example", f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{name}>" for name in names), "DATA"]
        with self.connect() as sock, sock.makefile("rb") as file:
            read_replies(file)
            for line in [*lines, content + "\r\n.", "QUIT"]:
                sock.sendall(line.encode() + b"\r\n")
                reply = read_replies(file)
                if reply[:1] in ("4", "5") or line.endswith("\r\n."):
                    return reply
        raise AssertionError("unreachable")

    def mailbox(self, user: str) -> list[Path]:
        """The files in ~user/Maildir/new, by name."""
        folder = self.homes / user / "Maildir" / "new"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def wait_mail(self, user: str, count: int = 1, seconds: float = 15.0) -> list[Path]:
        """The same, once there are `count`. Raises AssertionError."""
        deadline = time.monotonic() + seconds
        while len(found := self.mailbox(user)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages for {user}:\n{self.log()[-4000:]}"
            time.sleep(0.03)
        return found

    def children(self, kind: str = "") -> dict[int, str]:
        """{process number: "worker" | "local" | other} of the master's children, by the names that they give
        themselves."""
        assert self.process is not None
        found = {}
        for pid in _children(self.process.pid):
            with contextlib.suppress(OSError):
                what = Path(f"/proc/{pid}/comm").read_text().strip().removeprefix("tayori ")
                if not kind or kind == what:
                    found[pid] = what
        return found

    def kill(self, kind: str, number: int = signal.SIGKILL) -> int:
        """Kill one process: "master", "worker" or "local"; its number."""
        assert self.process is not None
        pid = self.process.pid if kind == "master" else next(iter(self.children(kind)))
        os.kill(pid, number)
        if kind == "master":
            self.process.wait(20)
            self.process = None
        return pid


def _lines(settings: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
