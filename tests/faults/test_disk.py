"""A full disk: 452, nothing that was accepted is lost, and the server comes back by itself when there is room again."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.peers import need_root
from support.server import Server, read_replies

MEGABYTE = 1 << 20


class Disk:
    """A small tmpfs; `fill` leaves no room, `clear` gives it back."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tayori-test", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")

    def fill(self, leave: int = 0) -> None:
        stat = os.statvfs(self.path)
        with open(self.path / "ballast", "ab", buffering=0) as file:
            left = stat.f_bavail * stat.f_frsize - leave
            try:
                while left > 0:
                    left -= file.write(bytes(min(left, 65536)))
            except OSError:
                assert leave == 0

    def clear(self) -> None:
        (self.path / "ballast").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    need_root("mounting a small disk")
    found = Disk(tmp_path / "disk", 24 * MEGABYTE)
    yield found
    found.close()


def big(size: int) -> str:
    return "Subject: big\r\n\r\n" + "0123456789abcdef" * 4 * (size // 66) + "\r\n"


def test_queue_on_a_full_disk(tmp_path: Path, disk: Disk) -> None:
    settings = {"queue_directory": str(disk.path), "minimal_backoff_time": "1s", "queue_run_delay": "1s"}
    with Server(tmp_path, settings) as server:
        server.queue_directory = disk.path
        assert server.send("a@b.example", "taro@example.com").startswith("250")
        server.wait_mail("taro", 1)
        disk.fill()
        time.sleep(1.2)  # free space is looked up once a second
        refused = [server.send("a@b.example", "taro@example.com") for _ in range(3)]
        assert all(reply.startswith("452 4.3.1 Insufficient system storage") for reply in refused), refused
        disk.clear()
        time.sleep(1.2)
        assert server.send("a@b.example", "taro@example.com", "Subject: again\r\n\r\nx").startswith("250")
        assert len(server.wait_mail("taro", 2)) == 2


def test_disk_fills_up_behind_the_check(tmp_path: Path, disk: Disk) -> None:
    """The look at the free space said yes and the write fails: the reply is still 452 and what was kept stays."""
    settings = {
        "queue_directory": str(disk.path), "minimal_backoff_time": "1s", "maximal_backoff_time": "2s",
        "queue_run_delay": "1s", "message_size_limit": "0",
    }  # fmt: skip
    with Server(tmp_path, settings) as server:
        server.queue_directory = disk.path
        # these wait in the queue: their home is not there
        (server.homes / "hanako").rename(server.homes / "away")
        server.set("require_home_directory", "yes")
        assert server.command("reload", "-c", str(server.conf)).returncode == 0
        server.wait_log("reload -- ")
        kept = 0
        for _ in range(8):
            kept += server.send("a@b.example", "hanako@example.com", big(100_000)).startswith("250")
        assert kept == 8
        disk.fill(leave=700_000)
        replies = []
        for _ in range(12):
            replies.append(server.send("a@b.example", "hanako@example.com", big(400_000)))
            kept += replies[-1].startswith("250")
        assert replies[-1].startswith("452 4.3.1"), replies
        assert all(reply.startswith(("250", "452 4.3.1")) for reply in replies), replies
        time.sleep(1.0)
        disk.clear()
        time.sleep(1.2)
        kept += server.send("a@b.example", "hanako@example.com", big(400_000)).startswith("250")
        (server.homes / "away").rename(server.homes / "hanako")
        server.command("postqueue", "-c", str(server.conf), "-f")
        assert len(server.wait_mail("hanako", kept, seconds=40)) == kept
        server.stop()
        content = list((disk.path / "tayori" / "queue" / "content").iterdir())
        assert content == []
        server.start()
        assert len(server.mailbox("hanako")) == kept


def test_disk_fills_up_in_the_middle_of_data(tmp_path: Path, disk: Disk) -> None:
    """The client may send it all; then it is 452, its half a file is gone at once, and the next message is kept."""
    settings = {"queue_directory": str(disk.path), "message_size_limit": "0", "minimal_backoff_time": "1s"}
    with Server(tmp_path, settings) as server:
        server.queue_directory = disk.path
        folder = disk.path / "tayori" / "queue" / "content"
        disk.fill(leave=6 * MEGABYTE)
        for _ in range(2):
            reply = server.send("a@b.example", "taro@example.com", big(10 * MEGABYTE))
            assert reply.startswith("452 4.3.1 Insufficient system storage")
            deadline = time.monotonic() + 5
            while list(folder.iterdir()):
                assert time.monotonic() < deadline, "half a message was left"
                time.sleep(0.02)
            assert os.statvfs(disk.path).f_bavail * os.statvfs(disk.path).f_frsize > 4 * MEGABYTE
        assert server.send("a@b.example", "taro@example.com", big(1 * MEGABYTE)).startswith("250")
        assert len(server.wait_mail("taro", 1)) == 1
        log = server.log()
        assert "not enough space for the queue" in log and "Traceback" not in log


def test_minfree_is_reached_in_the_middle_of_data(tmp_path: Path, disk: Disk) -> None:
    settings = {"queue_directory": str(disk.path), "message_size_limit": "0", "queue_minfree": str(12 * MEGABYTE)}
    with Server(tmp_path, settings) as server:
        server.queue_directory = disk.path
        lines = (big(15 * MEGABYTE) + ".\r\n").encode()
        with server.connect() as sock, sock.makefile("rb") as file:
            read_replies(file)
            for line in ("EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<taro@example.com>", "DATA"):
                sock.sendall(line.encode() + b"\r\n")
                assert read_replies(file)[:1] in ("2", "3")
            half = len(lines) * 9 // 10
            sock.sendall(lines[:half])
            time.sleep(1.2)  # free space is looked up once a second
            sock.sendall(lines[half:])
            assert read_replies(file).startswith("452 4.3.1 Insufficient system storage")
        assert server.mailbox("taro") == []


def test_maildir_on_a_full_disk_is_tried_again(tmp_path: Path, disk: Disk) -> None:
    with Server(tmp_path, {"minimal_backoff_time": "1s", "maximal_backoff_time": "2s"}) as server:
        home = disk.path / "taro"
        home.mkdir()
        os.chown(home, server.uids["taro"], server.uids["taro"])
        passwd = server.conf / "passwd"
        passwd.write_text(passwd.read_text().replace(str(server.homes / "taro"), str(home)))
        disk.fill()
        assert server.send("a@b.example", "taro@example.com", big(50_000)).startswith("250")
        server.wait_log("status=deferred")
        assert "No space left on device" in server.log()
        disk.clear()
        log = server.wait_log("status=sent", 30)
        assert "status=bounced" not in log
        [path] = (home / "Maildir" / "new").iterdir()
        assert path.stat().st_size > 45_000
        assert list((home / "Maildir" / "tmp").iterdir()) == []


def test_queue_minfree(tmp_path: Path) -> None:
    """More than the disk has is asked to stay free: 452 at MAIL FROM, before anything is sent."""
    stat = os.statvfs(tmp_path)
    with Server(tmp_path, {"queue_minfree": str(stat.f_blocks * stat.f_frsize)}) as server:
        replies = server.talk(["EHLO x", "MAIL FROM:<a@b.example>", "QUIT"])
        assert replies[2].startswith("452 4.3.1 Insufficient system storage")
        assert replies[3].startswith("221")
