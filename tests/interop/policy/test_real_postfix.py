"""The same dialogues as tests/unit/policy, asked of a real Postfix: the data must be true."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.peers import need_root, require
from support.policy import BASE
from support.policy_cases import CASES, Case
from support.policy_cases_access import ACCESS_CASES
from support.ports import free_port

sys.path.insert(0, str(Path(__file__).parent))
from realpostfix import RealPostfix

LEFT_OUT = {"smtpd_peername_lookup"}


@pytest.fixture(scope="module")
def server() -> Iterator[RealPostfix]:
    need_root("a private Postfix is started")
    require("postfix")
    with RealPostfix(free_port()) as started:
        yield started


@pytest.mark.peer
@pytest.mark.root
@pytest.mark.parametrize("case", CASES + ACCESS_CASES, ids=lambda case: case.name)
def test_postfix_says_so(case: Case, server: RealPostfix) -> None:
    server.configure({k: v for k, v in {**BASE, **case.settings}.items() if k not in LEFT_OUT})
    for dialogue in case.dialogues:
        commands = ["x\r\n." if command == "." else command for command, _ in dialogue]
        replies = server.talk(commands)[1:]
        for (command, expected), reply in zip(dialogue, replies, strict=True):
            if not expected:
                continue
            if expected == "250":
                assert reply[:3] in ("250", "252", "354"), (command, reply)
            else:
                assert reply == expected, command
    wanted = {line.partition(": ")[2] for line in case.log}
    log: list[str] = []
    for _ in range(50):  # postlogd writes a moment later
        log = [line.partition(": ")[2] for line in server.rejects()]
        if wanted <= set(log):
            return
        time.sleep(0.1)
    assert wanted <= set(log), log[-5:]
