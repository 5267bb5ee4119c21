"""Tables asked in children: a library that hangs with the interpreter's lock stops a look-up, never the loop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from typing import Any

from tayori.config.settings import Settings
from tayori.tables.blocking import Lost, Wrong
from tayori.tables.forked import ForkedTable
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, TempFail
from tayori.tables.registry import Tables
from tayori.tables.spec import Spec


class Plain:
    """A frame that changes nothing."""

    async def asks(self, key: str) -> bool:
        return True

    def join(self, values: list[str], key: str) -> str | None:
        return ", ".join(values) or None


class Stubborn:
    """A directory whose library holds the lock of the interpreter while it waits."""

    timeout = 0.2

    def connect(self, host: str) -> Any:
        if host == "dead":
            raise Lost("nobody there")
        return host

    def fetch(self, connection: Any, key: str) -> list[str] | None:
        if key == "hang":
            ctypes.PyDLL(None).usleep(20_000_000)
        if key == "wrong":
            raise Wrong("no such attribute")
        if key == "gone":
            raise Lost("reset")
        if key == "die":
            os._exit(1)
        return [] if key == "none" else [f"{key}@{connection}", str(os.getpid())]

    def disconnect(self, connection: Any) -> None:
        pass


def table(*hosts: str, limit: float = 0.5) -> ForkedTable:
    tables = Tables(Settings.of({}))
    spec = Spec("ldap", "x", tables.settings, tables.open, lambda: "", tables)
    return ForkedTable(spec, Plain(), Stubborn(), hosts, limit)  # type: ignore[arg-type]


def test_answers_come_from_another_process_that_stays() -> None:
    async def scenario() -> None:
        made = table("a", limit=5.0)
        first = await made.lookup("taro")
        assert isinstance(first, Found) and first.value.startswith("taro@a, ")
        assert str(os.getpid()) not in first.value and await made.lookup("taro") == first
        assert await made.lookup("none") == NOT_FOUND
        wrong = await made.lookup("wrong")
        assert isinstance(wrong, TempFail) and "no such attribute" in wrong.why
        assert isinstance(await made.lookup("taro"), Found)
        made.close()

    asyncio.run(scenario())


def test_a_hanging_library_does_not_stop_the_loop() -> None:
    async def scenario() -> None:
        made = table("a")
        gaps: list[float] = []

        async def tick() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                gaps.append(time.monotonic() - before)

        ticking = asyncio.create_task(tick())
        before = time.monotonic()
        answers: list[Outcome] = list(await asyncio.gather(*(made.lookup("hang") for _ in range(3))))
        assert all(isinstance(answer, TempFail) for answer in answers)
        assert time.monotonic() - before < 5 and max(gaps) < 2
        ticking.cancel()
        again = await made.lookup("taro")
        assert isinstance(again, TempFail) and "no answer within" in again.why  # left alone for a while
        made.close()

    asyncio.run(scenario())


def test_servers_that_are_gone_and_children_that_die() -> None:
    async def scenario() -> None:
        made = table("dead", limit=5.0)
        for _ in range(2):
            answer = await made.lookup("taro")
            assert isinstance(answer, TempFail) and "nobody there" in answer.why
        made.close()
        made = table("a", limit=5.0)
        died = await made.lookup("die")
        assert isinstance(died, TempFail) and "died" in died.why
        assert isinstance(await made.lookup("gone"), TempFail)
        made.close()

    asyncio.run(scenario())
