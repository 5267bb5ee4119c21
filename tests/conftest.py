"""Temporary folders of each run of the tests by itself, short and open enough for processes that give root up; and the
order in which `make test` gives files to its processes: what takes long begins first, the largest files in parts.

pytest closes /tmp/pytest-of-root to all but root whenever a run begins, also under the feet of another run; and a Unix
socket's path may have 107 characters.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from support.peers import WHOLE

SECONDS = {"faults": 1.5, "interop": 1.5, "scenarios": 0.5, "parity": 0.25}
"""About, for one test, by folder; others take next to nothing."""
PARTS = {"tests/scenarios/test_scenarios.py": 6, "tests/parity/test_parity.py": 4}
_made: list[Path] = []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before the first tmp_path; workers of xdist get theirs from their controller. What is said is in English, whatever
    the language of who runs the tests."""
    os.environ["LC_ALL"] = "C.UTF-8"
    if not config.option.basetemp and not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="t"))
        folder.chmod(0o755)
        config.option.basetemp = str(folder / "t")
        _made.append(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whoever made it takes it away."""
    for folder in _made:
        shutil.rmtree(folder, ignore_errors=True)


def part_of(nodeid: str) -> str:
    """What runs in one process, one test after the other: a file, or the same part of a large one in each run."""
    file = nodeid.partition("::")[0]
    return f"{file}/{zlib.crc32(nodeid.encode()) % PARTS[file]}" if file in PARTS else file


class ByFile(LoadScopeScheduling):
    """--dist loadfile with our parts."""

    def _split_scope(self, nodeid: str) -> str:
        return part_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    """In the order that we give, not by number of tests."""
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What `make test` leaves to others."""
    if not WHOLE:
        terminalreporter.write_line(
            "make test-all also plays every scenario to a real Postfix, and wants every peer."
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The parts that take longest first, when several processes share them."""
    if not hasattr(config, "workerinput"):
        return
    parts: dict[str, list[pytest.Item]] = {}
    for item in items:
        parts.setdefault(part_of(item.nodeid), []).append(item)

    def seconds(part: str) -> float:
        return len(parts[part]) * SECONDS.get(part.split("/")[1], 0.03)

    items[:] = [item for part in sorted(parts, key=seconds, reverse=True) for item in parts[part]]
