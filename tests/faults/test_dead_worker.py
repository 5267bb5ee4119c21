"""What a dead worker had asked of the local process and what its successor asks: once, whoever moves files meanwhile."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from faults.killing import Reader
from faults.test_maildir_kill import Daemon, base, body, daemon, target
from faults.test_processes import until
from support.server import Server
from tayori.delivery.request import Target
from tayori.programs.daemons.local_client import AgentLost, LocalAgent

__all__ = ["base", "daemon"]


def box(daemon: Daemon, number: int) -> Target:
    """An mbox file: what is delivered twice stands in it twice."""
    (daemon.base / "v").mkdir(exist_ok=True)
    return target(number, n=0, kind="virtual", mailbox=f"{daemon.base}/v/file")


def copies(daemon: Daemon, number: int) -> int:
    path = daemon.base / "v" / "file"
    return len(re.findall(rb"^Subject: %d$" % number, path.read_bytes(), re.M)) if path.exists() else 0


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_a_request_of_the_dead_is_not_done(daemon: Daemon, kind: str) -> None:
    """It waits in the socket when its worker dies; the successor's is the one that counts, also when it comes first."""

    async def go() -> None:
        successor = LocalAgent(daemon.path)
        await successor.deliver(1, body(1), (target(1),), False)
        dead = LocalAgent(daemon.path)
        await dead.deliver(2, body(2), (target(2),), False)
        daemon.process.send_signal(signal.SIGSTOP)
        wanted = target(3) if kind == "maildir" else box(daemon, 3)
        asked = asyncio.create_task(dead.deliver(3, body(3), (wanted,), False))
        alone = asyncio.create_task(dead.deliver(4, body(4), (target(4),), False))
        await asyncio.sleep(0.1)
        dead.close()
        for task in (asked, alone):
            with pytest.raises(AgentLost):
                await task
        again = asyncio.create_task(successor.deliver(3, body(3), (wanted,), True))
        await asyncio.sleep(0.1)
        daemon.process.send_signal(signal.SIGCONT)
        assert (await again)[0].status == "sent"
        # whatever was begun before is over when this one is answered
        await successor.deliver(5, body(5), (target(5),), False)
        successor.close()

    asyncio.run(go())
    found = Counter(int(re.search(r"Q([0-9A-F]+)R", p.name)[1], 16) for p in daemon.base.rglob("Maildir/*/*"))  # type: ignore[index]
    assert found == Counter((1, 2, 5) if kind == "mbox" else (1, 2, 3, 5)), "4 was asked for by the dead alone"
    assert copies(daemon, 3) == (kind == "mbox")


def test_the_dead_wait_for_no_lock(daemon: Daemon) -> None:
    """An mbox file that somebody else had locked when the worker died is not written when the lock goes."""
    wanted = box(daemon, 3)
    lock = daemon.base / "v" / "file.lock"
    lock.touch()

    async def go() -> None:
        dead, other = LocalAgent(daemon.path), LocalAgent(daemon.path)
        asked = asyncio.create_task(dead.deliver(3, body(3), (wanted,), False))
        await other.deliver(1, body(1), (target(1),), False)
        await asyncio.sleep(0.1)
        dead.close()
        with pytest.raises(AgentLost):
            await asked
        lock.unlink()
        # the lock is tried again after deliver_lock_delay, one second here
        await asyncio.sleep(1.3)
        await other.deliver(2, body(2), (target(2),), False)
        other.close()

    asyncio.run(go())
    assert copies(daemon, 3) == 0


@pytest.mark.parametrize("mailbox", ["Maildir/", "mbox"])
def test_the_worker_dies_while_the_local_process_sleeps(tmp_path: Path, mailbox: str) -> None:
    """Accepted mail is asked for, the worker is killed, another takes over, and a reader is at work all the time."""
    count = 40
    settings = {
        "tayori_workers": "1", "home_mailbox": mailbox, "smtpd_client_connection_count_limit": "0",
        "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s",
    }  # fmt: skip
    with Server(tmp_path, settings) as server:
        maildir = server.homes / "taro" / "Maildir"
        with Reader({"taro": maildir} if mailbox == "Maildir/" else {}):
            for round_ in range(3):
                [local] = server.children("local")
                [worker] = server.children("worker")
                os.kill(local, signal.SIGSTOP)
                for number in range(count):
                    text = f"Subject: m{round_}.{number}\r\n\r\nx"
                    assert server.send("a@b.example", "taro@example.com", text).startswith("250")
                time.sleep(0.3)
                os.kill(worker, signal.SIGKILL)
                until("another worker", lambda old=worker: set(server.children("worker")) - {old}, 20)
                server.talk(["QUIT"])
                time.sleep(1.5)  # it has claimed the mail and asked for it, too
                os.kill(local, signal.SIGCONT)
                wanted = (round_ + 1) * count
                until("all is delivered", lambda n=wanted: len(subjects(server)) >= n, 30)
                time.sleep(0.5)
                found = Counter(subjects(server))
                assert len(found) == wanted and max(found.values()) == 1, found.most_common(5)


def subjects(server: Server) -> list[str]:
    home = server.homes / "taro"
    files = [home / "mbox"] if (home / "mbox").exists() else list((home / "Maildir").rglob("*/*"))
    texts = []
    for path in files:
        try:
            texts.append(path.read_text())
        except FileNotFoundError:
            # the reader has just moved it
            return []
    return re.findall(r"^Subject: (m\S+)$", "".join(texts), re.M)


def test_an_mbox_file_whose_answer_was_never_heard(daemon: Daemon) -> None:
    """The first worker died after the file was written: its successor finds the letter there, others came behind."""

    async def go() -> None:
        dead, successor = LocalAgent(daemon.path), LocalAgent(daemon.path)
        assert (await dead.deliver(3, body(3), (box(daemon, 3),), False))[0].status == "sent"
        dead.close()
        assert (await successor.deliver(4, body(4), (box(daemon, 4),), False))[0].status == "sent"
        assert (await successor.deliver(3, body(3), (box(daemon, 3),), True))[0].status == "sent"
        successor.close()

    asyncio.run(go())
    assert [copies(daemon, number) for number in (3, 4)] == [1, 1]
