"""Turns: a limit for each name and one for all."""

from __future__ import annotations

import asyncio

from tayori.programs.daemons.turns import Turns


def peaks(turns: Turns, names: list[str]) -> tuple[int, int]:
    """The most that ran at once: of "a", and of all."""
    running: list[str] = []
    most = [0, 0]

    async def one(name: str) -> None:
        async with turns.of(name):
            running.append(name)
            most[0] = max(most[0], running.count("a"))
            most[1] = max(most[1], len(running))
            await asyncio.sleep(0)
            running.remove(name)

    async def run() -> None:
        await asyncio.gather(*(one(name) for name in names))

    asyncio.run(run())
    assert turns._named == {}
    return most[0], most[1]


def test_limits() -> None:
    assert peaks(Turns(2, 10), ["a"] * 6) == (2, 2)
    assert peaks(Turns(2, 3), ["a"] * 6 + list("bcdef")) == (2, 3)
    assert peaks(Turns(0, 10), ["a"] * 6) == (6, 6)
    assert peaks(Turns(2, 0), ["a"] * 3) == (1, 1)
