"""Policy answers what a real Postfix answered (cases.py holds the data)."""

from __future__ import annotations

import asyncio

import pytest

from support.policy import Session, build
from support.policy_cases import CASES, Case
from support.policy_cases_access import ACCESS_CASES


@pytest.mark.parametrize("case", CASES + ACCESS_CASES, ids=lambda case: case.name)
def test_answers_as_postfix(case: Case) -> None:
    async def run() -> list[str]:
        policy = build(case.settings)
        log: list[str] = []
        for dialogue in case.dialogues:
            session = Session(policy)
            await policy.connect(session.facts)
            for command, expected in dialogue:
                reply = await session.say(command)
                assert not expected or reply == expected, command
            log += session.log
        return log

    log = asyncio.run(run())
    for line in case.log:
        assert line in log
