"""kill -9 of the local process under load, with a reader at work; and a disk that is full. Nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.peers import need_root
from tayori.delivery.request import Result, Target
from tayori.programs.daemons.local_client import AgentLost, LocalAgent

USERS = 5
SERVE = """
import socket, sys
from tayori.config.settings import Settings
from tayori.programs.daemons.local import run
settings = Settings.of({"home_mailbox": sys.argv[2], "tayori_passwd_file": sys.argv[3], "deliver_lock_delay": "1s",
    "virtual_mailbox_base": sys.argv[6], "deliver_lock_attempts": "3"})
run(socket.socket(fileno=int(sys.argv[1])), settings, allowed_uids={int(sys.argv[4])}, single_user=sys.argv[5] == "1")
"""


class Daemon:
    """The local process, restarted on the same listening socket as master does it."""

    def __init__(
        self, base: Path, home_mailbox: str = "Maildir/", single_user: bool = True, allowed: int = -1
    ) -> None:
        self.base = base
        self.path = str(base / "socket")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.arguments = [
            str(self.listener.fileno()), home_mailbox, str(base / "passwd"),
            str(os.geteuid() if allowed < 0 else allowed), "1" if single_user else "0", str(base),
        ]  # fmt: skip
        with (base / "passwd").open("w") as file:
            for n in range(USERS):
                uid = os.geteuid() if single_user else 61000 + n
                (base / f"u{n}").mkdir()
                os.chown(base / f"u{n}", uid, uid if not single_user else -1)
                file.write(f"u{n}:x:{uid}:{uid}::{base}/u{n}:/bin/sh\n")
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", SERVE, *self.arguments]
        self.process = subprocess.Popen(command, pass_fds=[self.listener.fileno()])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self.listener.close()


def open_to_all(path: Path) -> None:
    """pytest's folders are private; other users must pass through."""
    for folder in (path, *path.parents):
        if folder.owner() == "root" and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    if os.geteuid() == 0:
        open_to_all(tmp_path)
    return tmp_path


@pytest.fixture
def daemon(base: Path) -> Iterator[Daemon]:
    found = Daemon(base)
    yield found
    found.close()


def target(number: int, **changes: object) -> Target:
    values: dict[str, object] = {
        "n": 0, "kind": "local", "address": "u@x", "user": f"u{number % USERS}",
        "prefix": b"Return-Path: <a@b>\n", "name": f"1795543849.Q{number:X}R0.mail",
    }  # fmt: skip
    return Target(**{**values, **changes})  # type: ignore[arg-type]


def body(number: int) -> bytes:
    return b"Subject: %d\n\n" % number + b"%d " % number * (number % 700) + b"\n"


async def until_sent(agent: LocalAgent, number: int, losses: list[int]) -> Result:
    """The worker's way: repeat with `recovered` until there is an answer."""
    recovered = False
    for _ in range(200):
        try:
            [result] = await agent.deliver(number, body(number), (target(number),), recovered)
            return result
        except AgentLost:
            losses.append(number)
            recovered = True
            await asyncio.sleep(0.01)
    raise AssertionError("no answer")


@pytest.mark.parametrize("single_user", [True, False], ids=["one user", "root"])
def test_kill_nine_under_load(base: Path, single_user: bool) -> None:
    if not single_user:
        need_root("delivery as each recipient")
    chance = random.Random(20261124)
    daemon = Daemon(base, single_user=single_user)
    losses: list[int] = []
    done: set[int] = set()

    async def load() -> int:
        agent = LocalAgent(daemon.path)
        end = time.monotonic() + 5
        numbers = iter(range(1, 1_000_000))

        async def sender() -> None:
            while time.monotonic() < end:
                number = next(numbers)
                assert (await until_sent(agent, number, losses)).status == "sent"
                done.add(number)

        async def killer() -> None:
            while time.monotonic() < end - 0.5:
                await asyncio.sleep(chance.uniform(0.15, 0.45))
                await asyncio.to_thread(daemon.kill)
                daemon.start()

        async def reader() -> None:
            while time.monotonic() < end:
                await asyncio.sleep(0.003)
                for n in range(USERS):
                    new = base / f"u{n}" / "Maildir" / "new"
                    for name in os.listdir(new)[:40] if new.exists() else []:
                        if chance.random() < 0.3:
                            os.rename(new / name, new.parent / "cur" / f"{name}:2,{chance.choice(['', 'S', 'FS'])}")

        await asyncio.gather(killer(), reader(), *(sender() for _ in range(30)))
        agent.close()
        return len(done)

    try:
        sent = asyncio.run(load())
    finally:
        daemon.close()
    assert sent > 100 and losses, "the kills must have hit deliveries in flight"
    found: dict[int, bytes] = {}
    for path in base.rglob("Maildir/*/*"):
        assert path.parent.name in ("new", "cur"), f"{path} was left behind"
        match = re.search(r"Q([0-9A-F]+)R0", path.name)
        assert match is not None
        number = int(match.group(1), 16)
        assert number not in found, f"{number} is there twice"
        found[number] = path.read_bytes()
        if not single_user:
            assert path.stat().st_uid == 61000 + number % USERS
    assert set(found) == done
    assert all(found[n] == b"Return-Path: <a@b>\n" + body(n) for n in found)


def test_sigterm_finishes_what_is_in_hand(daemon: Daemon) -> None:
    async def go() -> None:
        agent = LocalAgent(daemon.path)
        await agent.deliver(1, body(1), (target(1),), False)
        calls = [asyncio.create_task(agent.deliver(n, body(n), (target(n),), False)) for n in range(2, 200)]
        await asyncio.sleep(0.005)
        daemon.process.terminate()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert await asyncio.to_thread(daemon.process.wait, 10) == 0
        sent = [n for n, result in enumerate(ended, 2) if isinstance(result, tuple)]
        assert all(isinstance(result, tuple | AgentLost) for result in ended)
        there = {path.name for path in daemon.base.rglob("Maildir/new/*")}
        assert {f"1795543849.Q{n:X}R0.mail" for n in sent} <= there
        agent.close()

    asyncio.run(go())


def test_many_targets_and_kinds_in_one_request(daemon: Daemon) -> None:
    async def go() -> None:
        agent = LocalAgent(daemon.path)
        targets = (
            target(0, n=0),
            target(1, n=1, user="nobody-here"),
            target(2, n=2, kind="virtual", mailbox=f"{daemon.base}/v/box/"),
            target(3, n=3, kind="virtual", mailbox=f"{daemon.base}/v/file", sender="s@x"),
            target(4, n=4, kind="virtual", mailbox="/elsewhere/"),
        )
        results = {r.n: r for r in await agent.deliver(1, body(1), targets, False)}
        assert [results[n].status for n in range(5)] == ["sent", "bounced", "sent", "sent", "deferred"]
        assert results[3].text == "delivered to mailbox"
        assert (daemon.base / "v" / "file").read_bytes().startswith(b"From s@x  ")
        agent.close()

    asyncio.run(go())


def test_a_locked_mbox_makes_nobody_else_wait(daemon: Daemon) -> None:
    (daemon.base / "v").mkdir()
    lock = daemon.base / "v" / "file.lock"

    async def go() -> None:
        agent = LocalAgent(daemon.path)
        locked = (target(1, kind="virtual", mailbox=f"{daemon.base}/v/file"),)
        await agent.deliver(1, body(1), (target(1),), False)
        lock.touch()
        first = asyncio.create_task(agent.deliver(1, body(1), locked, False))
        before = time.monotonic()
        await agent.deliver(2, body(2), (target(2),), False)
        assert time.monotonic() - before < 0.9
        lock.unlink()
        assert (await first)[0].status == "sent"
        lock.touch()
        [result] = await agent.deliver(1, body(1), locked, False)
        assert (result.status, result.enhanced) == ("deferred", "4.2.0")
        assert result.text.endswith("file.lock: File exists")
        agent.close()

    asyncio.run(go())


def test_only_the_mail_system_may_ask(base: Path) -> None:
    daemon = Daemon(base, allowed=54321)

    async def go() -> None:
        with pytest.raises(AgentLost):
            await LocalAgent(daemon.path).deliver(1, body(1), (target(1),), False)

    try:
        asyncio.run(go())
    finally:
        daemon.close()
    assert not list(base.rglob("Maildir"))


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", b"\0\0\0\2\x91\x01"])
def test_junk_costs_only_its_own_connection(daemon: Daemon, junk: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(daemon.path)
        sock.sendall(junk)
        assert sock.recv(10) == b""

    async def go() -> None:
        agent = LocalAgent(daemon.path)
        assert (await agent.deliver(1, body(1), (target(1),), False))[0].status == "sent"
        agent.close()

    asyncio.run(go())


def test_a_full_disk_defers_and_recovers(base: Path) -> None:
    need_root("a small tmpfs")
    small = base / "v"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    daemon = Daemon(base)
    big = b"Subject: x\n\n" + b"x" * 100_000 + b"\n"

    async def go() -> None:
        agent = LocalAgent(daemon.path)

        async def one(number: int) -> Result:
            box = target(number, kind="virtual", mailbox=f"{small}/box/")
            [result] = await agent.deliver(number, big, (box,), False)
            return result

        results = await asyncio.gather(*(one(n) for n in range(1, 21)))
        full = [n for n, result in enumerate(results, 1) if result.status == "deferred"]
        assert 8 <= len(full) < 20
        text = "maildir delivery failed: error writing message: No space left on device"
        assert {(results[n - 1].enhanced, results[n - 1].text) for n in full} == {("4.3.0", text)}
        assert len(list(small.rglob("new/*"))) == 20 - len(full)
        assert not list(small.rglob("tmp/*"))
        for path in small.rglob("new/*"):
            assert path.stat().st_size == len(big) + len(target(1).prefix)
            path.unlink()
        assert (await one(full[0])).status == "sent"
        agent.close()

    try:
        asyncio.run(go())
    finally:
        daemon.close()
        subprocess.run(["umount", str(small)], check=True)
