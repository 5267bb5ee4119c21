"""The life of the processes: stop, reload, bad configurations, children that die; nothing is cut, nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ports import free_port
from support.server import Server, read_replies
from tayori.programs.daemons.master import Child, Master


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, {"smtpd_client_connection_count_limit": "0"}) as found:
        yield found


def tayori(server: Server, *words: str) -> subprocess.CompletedProcess[str]:
    return server.command(*words, "-c", str(server.conf))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(what: str, true: object, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.03)


class Client:
    """A session that goes on step by step."""

    def __init__(self, server: Server, port: int = 0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port or server.port), 20)
        self.file = self.sock.makefile("rb")
        assert read_replies(self.file).startswith("220")

    def ask(self, line: str) -> str:
        self.sock.sendall(line.encode() + b"\r\n")
        return read_replies(self.file)

    def data(self) -> Client:
        for line in ("EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<taro@example.com>", "DATA"):
            assert self.ask(line)[:1] in ("2", "3")
        self.sock.sendall(b"Subject: begun\r\n\r\nfirst\r\n")
        time.sleep(0.1)
        return self

    def rest(self) -> str:
        return self.file.read().decode()


def test_children_die_with_a_killed_master(server: Server) -> None:
    """Also after deliveries have changed rights, which drops the kernel's tie between parent and child."""
    assert server.send("a@b.example", ["taro@example.com", "hanako@example.com"]).startswith("250")
    server.wait_mail("taro")
    children = list(server.children())
    assert len(children) >= 2
    server.kill("master")
    until("children live on", lambda: not any(map(alive, children)), 5)
    server.start()
    assert server.send("a@b.example", "taro@example.com").startswith("250")


def test_stop_waits_for_a_message_in_flight(server: Server) -> None:
    idle, busy = Client(server), Client(server).data()
    assert idle.ask("EHLO x").startswith("250")
    stop = threading.Thread(target=lambda: replies.append(tayori(server, "stop")))
    replies: list[subprocess.CompletedProcess[str]] = []
    stop.start()
    assert idle.rest() == "421 4.3.2 mail.example.com Service shutting down\r\n"
    until("the port is still open", lambda: not listening(server.port), 5)
    assert stop.is_alive()
    assert busy.ask("second\r\n.").startswith("250 2.0.0 Ok: queued as")
    assert busy.rest() == "421 4.3.2 mail.example.com Service shutting down\r\n"
    stop.join(20)
    assert replies[0].returncode == 0 and "stopped" in replies[0].stderr
    assert len(server.wait_mail("taro")) == 1
    assert server.stop() == 0


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2):
        return True
    return False


def test_stop_does_not_wait_for_ever(server: Server) -> None:
    """A sender that never ends its message gets 421, and what it sent is not kept."""
    stuck = Client(server).data()
    began = time.monotonic()
    assert server.stop() == 0
    assert 5 < time.monotonic() - began < 19
    assert stuck.rest().startswith("421 4.3.2")
    assert server.mailbox("taro") == []


def test_reload_cuts_no_connection(server: Server) -> None:
    old = set(server.children("worker"))
    idle, busy = Client(server), Client(server).data()
    server.set("smtpd_banner", "$myhostname ESMTP after")
    assert tayori(server, "reload").returncode == 0
    until("no new banner", lambda: "after" in server.talk([])[0])
    assert idle.ask("EHLO x").startswith("250")
    assert busy.ask("second\r\n.").startswith("250 2.0.0 Ok: queued as")
    assert busy.ask("NOOP").startswith("250")
    assert set(server.children("worker")) & old, "old workers with sessions go on"
    for client in (idle, busy):
        assert client.ask("QUIT").startswith("221")
    until("old workers stay", lambda: not set(server.children("worker")) & old)
    assert len(server.wait_mail("taro")) == 1


def test_reload_under_load_loses_nothing(server: Server) -> None:
    kept, trouble, stop = [0], [], threading.Event()

    def send(lock: threading.Lock) -> None:
        while not stop.is_set():
            try:
                reply = server.send("a@b.example", "taro@example.com")
            except (OSError, AssertionError) as error:
                trouble.append(repr(error))
                continue
            with lock:
                kept[0] += reply.startswith("250")
            if not reply.startswith("250"):
                trouble.append(reply)

    lock = threading.Lock()
    threads = [threading.Thread(target=send, args=(lock,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for at in range(6):
        time.sleep(0.7)
        server.set("smtpd_banner", f"$myhostname ESMTP {at}")
        assert tayori(server, "reload").returncode == 0
    time.sleep(0.7)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert trouble == []
    assert server.log().count("reload -- ") == 6
    assert kept[0] > 50
    assert len(server.wait_mail("taro", kept[0], 20)) == kept[0]


@pytest.mark.parametrize(
    "bad",
    ["smtpd_recipient_restrictions = permit_mynetwork\n", "message_size_limit = much\n", "no equals sign here\n",
     "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /nowhere/at/all\n"],
)  # fmt: skip
def test_a_bad_configuration_replaces_nothing(server: Server, bad: str) -> None:
    path = server.conf / "main.cf"
    good, workers = path.read_text(), set(server.children())
    path.write_text(good + bad)
    done = tayori(server, "reload")
    assert done.returncode == 78 and "main.cf" in done.stderr, done.stderr
    os.kill(server.process.pid, signal.SIGHUP)  # type: ignore[union-attr]
    server.wait_log("reload refused, the running configuration stays")
    assert set(server.children()) == workers
    assert server.send("a@b.example", "taro@example.com").startswith("250")
    path.unlink()
    os.kill(server.process.pid, signal.SIGHUP)  # type: ignore[union-attr]
    until("no second refusal", lambda: server.log().count("reload refused") >= 2)
    path.write_text(good)
    assert server.send("a@b.example", "taro@example.com").startswith("250")


def test_ports_come_and_go_with_reload(server: Server) -> None:
    """A removed port is closed at once, even while an old worker still has a session from it."""
    other = free_port()
    master = server.conf / "master.cf"
    before = master.read_text()
    master.write_text(before + f"127.0.0.1:{other} inet n - n - - smtpd\n")
    assert tayori(server, "reload").returncode == 0
    until("the new port", lambda: listening(other))
    client = Client(server, other)
    master.write_text(before)
    assert tayori(server, "reload").returncode == 0
    until("the old port is still open", lambda: not listening(other))
    assert client.ask("EHLO x").startswith("250")
    assert client.ask("QUIT").startswith("221")
    assert listening(server.port)


def test_a_taken_port_is_refused_at_reload(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        master = server.conf / "master.cf"
        master.write_text(master.read_text() + f"127.0.0.1:{taken.getsockname()[1]} inet n - n - - smtpd\n")
        os.kill(server.process.pid, signal.SIGHUP)  # type: ignore[union-attr]
        assert "is taken by" in server.wait_log("reload refused")
    assert server.send("a@b.example", "taro@example.com").startswith("250")


def test_killed_children_are_started_again(server: Server) -> None:
    for kind in ("worker", "local", "worker"):
        gone = server.kill(kind)
        until(f"no other {kind}", lambda gone=gone: gone not in server.children() and len(server.children()) >= 3)
        assert server.send("a@b.example", "taro@example.com").startswith("250")
    assert len(server.wait_mail("taro", 3)) == 3
    assert "killed by signal 9; starting another" in server.log()


def test_a_second_start_is_refused(server: Server) -> None:
    done = tayori(server, "start")
    assert done.returncode == 78
    assert "is running already" in done.stderr and "tayori stop" in done.stderr


def test_a_killed_retired_worker_frees_its_mail(server: Server) -> None:
    """Nobody takes its place, and yet what it held is delivered."""
    busy = Client(server).data()
    old = set(server.children("worker"))
    (server.homes / "taro").rename(server.homes / "away")
    assert tayori(server, "reload").returncode == 0
    server.wait_log("reload -- ")
    until("no new workers", lambda: set(server.children("worker")) - old)
    until("one old worker is left", lambda: len(set(server.children("worker")) & old) == 1)
    [last] = set(server.children("worker")) & old
    os.kill(last, signal.SIGKILL)
    until("it is gone", lambda: last not in server.children())
    (server.homes / "away").rename(server.homes / "taro")
    busy.sock.close()
    assert server.send("a@b.example", "taro@example.com").startswith("250")
    server.wait_mail("taro")
    assert len(server.children("worker")) == len(old)


def test_an_errand_that_fails_is_sent_again() -> None:
    """Else what a retired worker held when it died would wait for the next start."""
    master = Master.__new__(Master)
    pid = os.fork()
    if pid == 0:
        os._exit(1)
    master.children = {pid: Child(pid, "release", 5, retired=True)}
    master.stopping, master.wanted, master.leaving = False, [], set()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    master._reap()
    assert [(want.kind, want.number) for want in master.wanted] == [("release", 5)]
