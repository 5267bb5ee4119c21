"""The master's decisions: who is started again, after which pause, and when old workers may go."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tayori.programs.daemons import master as module
from tayori.programs.daemons.master import Child, Master


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, daemon: str, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def master(tmp_path: Path) -> Master:
    found = Master(str(tmp_path), lambda *_: [], lambda _: None)
    found.log = Log()  # type: ignore[assignment]
    return found


def ended(code: int) -> int:
    """A wait status: an exit code, or a signal as a negative number."""
    return -code if code < 0 else code << 8


def pauses(master: Master, code: int, times: int, *, up: bool = False, age: float = 0.0) -> list[float]:
    found = []
    for pid in range(1, times + 1):
        master.wanted.clear()
        before = time.monotonic()
        master._replace(Child(pid, "worker", pid, 0, started=before - age, up=up), ended(code))
        found.append(round(master.wanted[0].at - before, 1))
    return found


def test_a_worker_that_dies_at_once_waits_longer_each_time(master: Master) -> None:
    found = pauses(master, 1, 10)
    assert found == sorted(found) and found[0] == 0.5 and found[-1] == 60.0
    assert pauses(master, 1, 1, age=100) == [0.0]
    assert pauses(master, 1, 1) == [0.5]


def test_a_crash_by_signal_is_its_own_fault_too(master: Master) -> None:
    found = pauses(master, -signal.SIGSEGV, 3, up=True)
    assert found == sorted(found) and found[0] > 0
    assert pauses(master, -signal.SIGKILL, 2)[1] > found[2], "killed before it was ready"


def test_a_kill_from_outside_costs_no_pause(master: Master) -> None:
    assert pauses(master, -signal.SIGKILL, 40, up=True) == [0.0] * 40
    assert pauses(master, 0, 5, up=True) == [0.0] * 5


def test_each_place_counts_for_itself(master: Master) -> None:
    pauses(master, 1, 5)
    master.wanted.clear()
    master._replace(Child(9, "local"), ended(1))
    assert master.wanted[0].at - time.monotonic() < 0.6


def test_no_room_for_a_child_is_tried_again(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    master.log.flush = lambda: None  # type: ignore[method-assign]
    monkeypatch.setattr(module.os, "fork", fork)
    gc.collect()  # what other tests have left must not close between the two counts
    descriptors = len(os.listdir("/proc/self/fd"))
    master.wanted = [module.Wanted("worker", 0, 0.0), module.Wanted("local", -1, 0.0)]
    master._start_wanted(100.0)
    assert [(w.kind, w.at) for w in master.wanted] == [("worker", 101.0), ("local", 101.0)]
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_old_workers_go_when_all_new_ones_are_up(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(module, "_kill", lambda pid, number: told.append((pid, number)))
    old = Child(1, "worker", 1, 0, retired=True, up=True)
    new = [Child(2, "worker", 2, 1), Child(3, "worker", 3, 2, up=True)]
    master.children = {c.pid: c for c in (old, *new, Child(4, "local", up=True))}
    master.leaving = {1}
    master._let_old_go()
    assert told == []
    new[0].up = True
    master.wanted = [module.Wanted("worker", 2, 1e9)]
    master._let_old_go()
    assert told == [], "one new worker has died and is awaited"
    master.wanted.clear()
    master._let_old_go()
    assert told == [(1, signal.SIGUSR1)]


TIED = """
import os, sys, time
from tayori.programs.daemons.parent import tie
master = os.getpid()
pid = os.fork()
if pid == 0:
    tied = tie(master)
    tied()
    if len(sys.argv) > 1:
        os.setresuid(65534, 65534, 65534)
        tied()
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""


@pytest.mark.parametrize("rights", [False, True], ids=["same user", "after giving up root"])
def test_the_tie_to_the_master(rights: bool) -> None:
    if rights and os.geteuid() != 0:
        pytest.skip("needs root: changing the user")
    parent = subprocess.Popen([sys.executable, "-c", TIED, *["x"] * rights], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait(10)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}/stat").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the child outlived its master"
        time.sleep(0.02)
    parent.stdout.close()


def test_a_child_of_a_dead_master_ends_itself() -> None:
    code = "from tayori.programs.daemons.parent import tie; tie(1 << 22)(); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20)
    assert done.returncode == 1 and done.stdout == b""
