"""A table of 300,000 lines: indexed before workers open it, and while a new version is indexed sessions go on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server

LINES = 300_000
NAMES = 40
"""Look-ups of one session: enough to be in the way of an index that is built in the worker."""


def write(path: Path, last: str) -> None:
    """A new version, in the file's place; `last` is what the last of the names is called."""
    rows = [f"user{number}@virtual.example taro@example.com\n" for number in range(LINES - 1)]
    fresh = path.with_name("fresh")
    fresh.write_text("".join([*rows, f"{last}@virtual.example taro@example.com\n"]))
    then = time.time() - 10
    os.utime(fresh, (then, then))
    fresh.rename(path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    table = tmp_path / "conf" / "virtual"
    main = {
        "virtual_alias_domains": "virtual.example",
        "virtual_alias_maps": f"hash:{table}",
        "data_directory": str(tmp_path / "data"),
        "smtpd_error_sleep_time": "0",
        "smtpd_hard_error_limit": "1000",
        "tayori_workers": "2",
    }
    made = Server(tmp_path, main)
    (tmp_path / "data").mkdir()
    write(table, "before")
    with made:
        yield made


def reply(server: Server, name: str) -> str:
    lines = ["EHLO x", "MAIL FROM:<a@b.example>", f"RCPT TO:<{name}@virtual.example>"]
    return server.talk(lines)[-1]


def test_indexed_before_workers_and_beside_them(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tables"
    (first,) = folder.glob("*.index")
    assert reply(server, "user7").startswith("250")
    assert reply(server, "before").startswith("250")
    assert [path.name for path in folder.glob("*.index")] == [first.name], "a worker built one of its own"
    assert os.stat(folder).st_uid == os.stat(next(folder.glob("*.lock"))).st_uid

    write(tmp_path / "conf" / "virtual", "after")
    longest, sessions = 0.0, 0
    deadline = time.monotonic() + 15
    while True:
        began = time.monotonic()
        lines = ["EHLO x", "MAIL FROM:<a@b.example>"]
        lines += [f"RCPT TO:<user{number}@virtual.example>" for number in range(NAMES)]
        replies = server.talk([*lines, "RCPT TO:<after@virtual.example>"])
        assert all(text.startswith("250") for text in replies[3:-1])
        if replies[-1].startswith("250"):
            break
        longest = max(longest, time.monotonic() - began)
        sessions += 1
        assert replies[-1].startswith("550")
        assert time.monotonic() < deadline, server.log()[-2000:]
    assert sessions >= 3, "the new version came at once: nothing was tried"
    assert longest < 1.0, f"a session had to wait for {longest:.2f} s"
    while reply(server, "before").startswith("250"):  # the other worker
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(list(folder.glob("*.index"))) == 1
    server.wait_log("virtual has changed and was read again")
