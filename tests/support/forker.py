"""One process that has imported tayori and forks for each `tayori COMMAND` that a test asks for.

    child = forker().start(["start", "-c", str(etc)], said=tmp_path / "stderr")
    child.terminate()
    assert child.wait(10) == 0

What runs is the command's own code, in a process of its own; only the import, 0.6 seconds of CPU, is done once. A test
that starts tayori with another environment, or through another program, starts it in full (support/server.py).
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

SOURCE = """
import gc, json, os, sys
import tayori.programs.commands.start, tayori.programs.daemons.master
from tayori.programs.main import main
gc.collect()
gc.freeze()  # what is imported is not looked through, and so not copied, in each child
for line in sys.stdin:
    order = json.loads(line)
    if "reap" in order:
        pid, status = os.waitpid(order["reap"], os.WNOHANG)
        print(os.waitstatus_to_exitcode(status) if pid else "", flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        if order["session"]:
            os.setsid()
        os.chdir(order["cwd"])
        null = os.open("/dev/null", os.O_RDONLY)
        said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(null, 0); os.dup2(said, 1); os.dup2(said, 2)
        os.closerange(3, 64)
        sys.argv = ["tayori", *order["words"]]
        code = 1
        try:
            code = main() or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush(); sys.stderr.flush()
            os._exit(code)
    print(pid, flush=True)
"""


class Forked:
    """A child of the forker, with the words of subprocess.Popen."""

    def __init__(self, owner: Forker, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._owner = owner
        self._watch = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        if self.returncode is None and select.select([self._watch], [], [], 0)[0]:
            self.returncode = self._owner.reap(self.pid)
            os.close(self._watch)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """subprocess: raises TimeoutExpired."""
        if self.returncode is None and not select.select([self._watch], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Nothing happens to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Forker:
    """`before` are words before the command that runs it."""

    def __init__(self, before: Sequence[str] = ()) -> None:
        self.env = environment()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [*before, sys.executable, "-c", SOURCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, words: Sequence[str], said: Path, session: bool = False) -> Forked:
        """`tayori WORDS`; what it says is added to the file `said`. `session`: of its own, for killpg."""
        order = {"words": list(words), "said": str(said), "cwd": os.getcwd(), "session": session}
        return Forked(self, int(self._ask(order)))

    def reap(self, pid: int) -> int:
        """The status of a child that has ended."""
        return int(self._ask({"reap": pid}))

    def close(self) -> None:
        """No more orders; the children live on."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def _ask(self, order: dict[str, object]) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()


_forkers: list[Forker] = []


def environment() -> dict[str, str]:
    """What matters of ours: pytest changes one variable with each test."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def forker() -> Forker:
    """The one of this process."""
    if not _forkers:
        _forkers.append(Forker())
        atexit.register(_forkers[0].close)
    return _forkers[0]
