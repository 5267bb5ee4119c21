"""net.within: a time limit that costs nothing to those who do not wait."""

from __future__ import annotations

import asyncio

import pytest

from tayori.net.within import within


async def value(result: str) -> str:
    return result


def test_without_waiting() -> None:
    work = within(1.0, value("a"))
    with pytest.raises(StopIteration) as done:
        work.send(None)  # no event loop: nothing but the coroutine ran
    assert done.value.value == "a"


def test_what_it_raises_without_waiting() -> None:
    async def fails() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        asyncio.run(within(1.0, fails()))


def test_several_waits() -> None:
    async def waits() -> list[int]:
        seen = []
        for n in range(3):
            await asyncio.sleep(0)
            seen.append(await asyncio.wait_for(asyncio.sleep(0.001, n), 1))
        async with asyncio.timeout(1):
            seen.append(await asyncio.get_running_loop().run_in_executor(None, lambda: 7))
        return seen

    assert asyncio.run(within(5.0, waits())) == [0, 1, 2, 7]


def test_the_limit() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        asyncio.run(within(0.01, waits()))
    assert ended == [True]


def test_an_inner_limit_is_its_own() -> None:
    async def waits() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        except TimeoutError:
            await asyncio.sleep(0)
            return "inner"
        return "none"

    assert asyncio.run(within(5.0, waits())) == "inner"


def test_cancelling() -> None:
    heard = []

    async def waits() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            heard.append(True)
            raise

    async def main() -> None:
        task = asyncio.create_task(within(5.0, waits()))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert heard == [True]


def test_cancelled_from_outside_while_it_expires() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)  # the other cancel comes now
            raise

    async def main() -> None:
        task = asyncio.create_task(within(0.01, stubborn()))
        await asyncio.sleep(0.03)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_the_task_is_whole_after_a_limit() -> None:
    async def main() -> tuple[int, str]:
        with pytest.raises(TimeoutError):
            await within(0.01, asyncio.sleep(30))
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling(), await within(1.0, asyncio.sleep(0.001, "goes on"))

    assert asyncio.run(main()) == (0, "goes on")


def test_what_it_raises_later() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        asyncio.run(within(5.0, fails()))
