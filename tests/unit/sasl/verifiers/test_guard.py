from __future__ import annotations

import asyncio
import threading
import time

from tayori.sasl.verifiers.base import TryLater
from tayori.sasl.verifiers.guard import Guard, Trouble


def test_at_most_so_many_at_once() -> None:
    async def scenario() -> None:
        guard = Guard("g", at_once=3, waiting=5)
        running, most = 0, 0

        async def work() -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1
            return 1

        answers = await asyncio.gather(*(guard.run(work) for _ in range(20)))
        assert most == 3
        assert answers.count(1) == 8, "three run, five wait, the rest are told so"
        assert await guard.run(work) == 1, "and afterwards every place is free again"

    asyncio.run(scenario())


def test_the_breaker_opens_and_closes() -> None:
    now = [0.0]

    async def scenario() -> None:
        guard = Guard("g", failures=2, pause=5, clock=lambda: now[0])
        asked = 0

        async def broken() -> int:
            nonlocal asked
            asked += 1
            raise ConnectionRefusedError(111, "Connection refused")

        for _ in range(5):
            assert isinstance(await guard.run(broken), TryLater)
        assert asked == 2
        now[0] = 6
        assert await guard.run(broken) == TryLater("Connection refused", "g")
        assert asked == 3

        async def fine() -> int:
            return 1

        assert isinstance(await guard.run(fine), TryLater), "one trouble after the pause opens it again"
        now[0] = 20
        assert await guard.run(fine) == 1
        assert await guard.run(fine) == 1

    asyncio.run(scenario())


def test_threads_that_hang_are_bounded_and_never_block_the_loop() -> None:
    release = threading.Event()

    async def scenario() -> None:
        guard = Guard("g", at_once=2, seconds=0.1, failures=100)
        before = time.monotonic()
        answers = await asyncio.gather(*(guard.run_in_thread(lambda: release.wait(5)) for _ in range(6)))
        assert time.monotonic() - before < 1
        assert all(isinstance(answer, TryLater) for answer in answers)
        release.set()
        await asyncio.sleep(0.1)
        assert await guard.run_in_thread(lambda: 7) == 7

        def trouble() -> int:
            raise Trouble("no")

        assert await guard.run_in_thread(trouble) == TryLater("no", "g")
        guard.close()

    asyncio.run(scenario())


def test_cancelling_gives_the_place_back() -> None:
    async def scenario() -> None:
        guard = Guard("g", at_once=1)

        async def forever() -> None:
            await asyncio.sleep(60)

        tasks = [asyncio.create_task(guard.run(forever)) for _ in range(4)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        async def fine() -> int:
            return 1

        assert await guard.run(fine) == 1

    asyncio.run(scenario())
