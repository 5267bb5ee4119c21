"""What the local process does in one round: all that is small, and a few of the large."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tayori.config.settings import Settings
from tayori.delivery.request import Deliver
from tayori.programs.daemons.local import ROUND_LARGE, _Server
from tayori.programs.daemons.rounds import Deliverer, Job

MEGABYTE = 1 << 20


class Asker:
    def gone(self) -> bool:
        """Never."""
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    (tmp_path / "passwd").touch()
    settings = Settings.of({"tayori_passwd_file": str(tmp_path / "passwd"), "home_mailbox": "Maildir/"})
    listener, (wake, woken) = socket.socket(socket.AF_UNIX), socket.socketpair()
    listener.bind(str(tmp_path / "s"))
    with listener, wake, woken:
        yield _Server(listener, Deliverer(settings, True, 0), set(), wake, lambda: None)


def jobs(*sizes: int) -> list[Job[Any]]:
    return [Job(Asker(), Deliver(n, n, b"", (), size=size)) for n, size in enumerate(sizes)]


def sizes(some: list[Job[Any]]) -> list[int]:
    return [job.request.size for job in some]


def test_small_mail_never_waits_behind_large(server: _Server) -> None:
    large = 10 * MEGABYTE
    assert sizes(server._turn(jobs(large, 0, large, large, large, 0, large))) == [0, 0, large, large, large]
    assert sizes(server._turn(jobs(0))) == [0, large, large]
    assert sizes(server._turn(jobs(0, 0))) == [0, 0]
    assert server._turn([]) == []


def test_one_of_any_size_is_done(server: _Server) -> None:
    huge = 2 * ROUND_LARGE
    assert sizes(server._turn(jobs(huge, huge, 1))) == [huge]
    assert sizes(server._turn([])) == [huge]
    assert sizes(server._turn([])) == [1]
