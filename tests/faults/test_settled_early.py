"""What is done is done, though the rest of the message takes long: a kill, a stop or a reload meanwhile repeats nothing
that is known to have arrived."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.test_expansion_kill import FAST, queue, until
from support.server import Server
from support.sink import Sink


class Gate:
    """An answer after the last dot that comes when it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, line: str) -> str | None:
        self.reached.set()
        self.opened.wait(20)
        return None


@contextlib.contextmanager
def two_hops(root: Path, gate: Gate, **settings: str) -> Iterator[tuple[Server, Sink, Sink]]:
    """quick.example answers, slow.example does not before the gate opens."""
    with Sink() as quick, Sink(answers={".": gate}) as slow:
        routes = f"quick.example smtp:[127.0.0.1]:{quick.port}\nslow.example smtp:[127.0.0.1]:{slow.port}\n"
        maps = {"transport_maps": f"texthash:{root}/conf/transport"}
        with Server(root, {**FAST, **maps, **settings}, files={"transport": routes}) as server:
            try:
                yield server, quick, slow
            finally:
                gate.opened.set()


def dead(pid: int) -> bool:
    """Whether all threads have ended, and with them every descriptor is closed; nobody need have waited for it."""
    task = Path(f"/proc/{pid}/task")
    return [path.name for path in task.iterdir()] == [str(pid)] and "\nState:\tZ" in (
        task.parent / "status"
    ).read_text()


def empty(server: Server) -> None:
    until("the queue is empty", server, lambda: "Mail queue is empty" in queue(server))


@pytest.mark.parametrize("end", ["worker killed", "master killed", "stopped"])
def test_a_slow_next_hop_and_a_quick_one(tmp_path: Path, end: str) -> None:
    gate = Gate()
    with two_hops(tmp_path, gate) as (server, quick, slow):
        names = ["taro@example.com", "a@quick.example", "b@slow.example"]
        assert server.send("s@example.com", names).startswith("250")
        assert gate.reached.wait(10)
        until("those who can have it", server, lambda: server.log().count("status=sent") == 2)
        (path,) = server.wait_mail("taro")
        path.unlink()  # read and thrown away
        until("two have left the queue", server, lambda: "quick.example" not in queue(server))
        if end == "stopped":
            assert server.stop() == 0
        else:
            server.kill(end.split()[0])
        gate.opened.set()
        if end != "worker killed":
            server.start()
        empty(server)
        assert len(quick.messages) == 1
        assert server.mailbox("taro") == []
        assert slow.messages


def test_the_groups_of_one_next_hop(tmp_path: Path) -> None:
    gate = Gate()
    with two_hops(tmp_path, gate, smtp_destination_recipient_limit="2") as (server, _, slow):
        gate.opened.set()
        names = [f"u{n}@slow.example" for n in range(5)]
        gate.reached.clear()
        stage: list[int] = []

        def third(line: str) -> str | None:
            stage.append(1)
            if len(stage) == 3:
                gate.opened.clear()
                return gate(line)
            return None

        slow.answers["."] = third
        assert server.send("s@example.com", names).startswith("250")
        until("the third group", server, lambda: len(stage) == 3)
        until("four have left the queue", server, lambda: queue(server).count("slow.example") == 1)
        server.kill("worker")
        gate.opened.set()
        empty(server)
        got = Counter(name for message in slow.messages for name in message.recipients)
    assert [got[name] for name in names[:4]] == [1, 1, 1, 1]
    assert got[names[4]] in (1, 2), "its answer was never heard"


def reloaded(server: Server, gate: Gate) -> int:
    """Reload in the middle of a delivery to the slow next hop; the number of the old worker."""
    assert server.send("s@example.com", "b@slow.example").startswith("250")
    assert gate.reached.wait(10)
    (old,) = server.children("worker")
    assert server.command("reload", "-c", str(server.conf)).returncode == 0
    until("a new worker", server, lambda: set(server.children("worker")) - {old})
    return old


def test_a_reload_lets_a_delivery_come_to_its_end(tmp_path: Path) -> None:
    """Longer than a stop would wait (worker.DRAIN_SECONDS)."""
    gate = Gate()
    with two_hops(tmp_path, gate) as (server, _, slow):
        old = reloaded(server, gate)
        threading.Event().wait(5.5)
        gate.opened.set()
        empty(server)
        until("the old worker ends", server, lambda: old not in server.children("worker"))
        assert len(slow.messages) == 1
        assert "status=deferred" not in server.log()


def test_a_stop_does_not_wait_for_a_retired_worker(tmp_path: Path) -> None:
    gate = Gate()
    with two_hops(tmp_path, gate) as (server, _, slow):
        reloaded(server, gate)
        assert server.stop(15) == 0
        gate.opened.set()
        server.start()
        empty(server)
        assert slow.messages


@pytest.mark.parametrize("end", ["reload", "worker"])
def test_a_command_runs_once(tmp_path: Path, end: str) -> None:
    """Longer than the pipe process waits at a stop; it lives on when a worker dies, and knows what it runs."""
    runs, done = tmp_path / "open" / "runs", tmp_path / "open" / "done"
    runs.parent.mkdir()
    runs.parent.chmod(0o777)
    files = {"aliases": f'slow: taro, "|echo run >>{runs}; while ! test -e {done}; do sleep 0.1; done"\n'}
    with Server(tmp_path, {**FAST, "alias_maps": f"hash:{tmp_path}/conf/aliases"}, files=files) as server:
        assert server.send("s@example.com", "slow@example.com").startswith("250")
        until("the command", server, runs.exists)
        (pipe,) = server.children("pipe")
        if end == "worker":
            server.kill("worker")
            until("it is asked again", server, lambda: server.log().count("(queue active)") == 2)
        else:
            assert server.command("reload", "-c", str(server.conf)).returncode == 0
            until("a new process", server, lambda: set(server.children("pipe")) - {pipe})
        threading.Event().wait(0.5 if end == "worker" else 6.0)
        done.touch()
        empty(server)
        assert runs.read_text() == "run\n"
        if end == "reload":
            until("the old process ends", server, lambda: pipe not in server.children("pipe"))


def test_a_command_that_has_run_does_not_run_again(tmp_path: Path) -> None:
    """The worker dies between two commands: only the second is in doubt, and the pipe process knows."""
    runs, done = tmp_path / "open" / "runs", tmp_path / "open" / "done"
    runs.parent.mkdir()
    runs.parent.chmod(0o777)
    commands = f'"|echo one >>{runs}", "|while ! test -e {done}; do sleep 0.1; done; echo two >>{runs}"'
    with Server(
        tmp_path, {**FAST, "alias_maps": f"hash:{tmp_path}/conf/aliases"}, files={"aliases": f"both: {commands}\n"}
    ) as server:
        assert server.send("s@example.com", "both@example.com").startswith("250")
        until("the first command", server, runs.exists)
        worker = server.kill("worker", signal.SIGSTOP)
        done.touch()
        until("the second command", server, lambda: runs.read_text().count("two") == 1)
        os.kill(worker, signal.SIGKILL)
        empty(server)
        assert sorted(runs.read_text().split()) == ["one", "two"]


def test_what_waits_for_its_turn_is_not_begun_for_the_dead(tmp_path: Path) -> None:
    runs, done = tmp_path / "open" / "runs", tmp_path / "open" / "done"
    runs.parent.mkdir()
    runs.parent.chmod(0o777)
    files = {"aliases": f'slow: "|echo run >>{runs}; while ! test -e {done}; do sleep 0.1; done"\n'}
    settings = {
        **FAST,
        "alias_maps": f"hash:{tmp_path}/conf/aliases",
        "local_destination_concurrency_limit": "1",
    }
    with Server(tmp_path, settings, files=files) as server:
        for _ in range(2):
            assert server.send("s@example.com", "slow@example.com").startswith("250")
        until("the first command", server, runs.exists)
        threading.Event().wait(0.5)  # the second order comes meanwhile; sooner, and this test only sees less
        assert server.process is not None
        master = server.process.pid
        os.kill(master, signal.SIGSTOP)
        try:
            worker = server.kill("worker")
            until("its end", server, lambda: dead(worker))  # a loaded machine takes its time over that
            done.touch()
            threading.Event().wait(1.0)
            assert runs.read_text() == "run\n"
        finally:
            os.kill(master, signal.SIGCONT)
        empty(server)
        assert runs.read_text() == "run\nrun\n"
