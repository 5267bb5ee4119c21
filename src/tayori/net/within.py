"""A time limit for a coroutine that seldom waits: one that ends without waiting costs no timer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await `work` for at most `seconds`, counted from its first wait. Raises TimeoutError, and what it raises."""
    try:
        waiting = work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    # what asyncio.timeout does, in fewer steps
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    late = False

    def expire() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        return await _Rest(work, waiting)
    except asyncio.CancelledError as cancelled:
        if late and task.uncancel() <= before:
            raise TimeoutError from cancelled
        raise
    finally:
        timer.cancel()


class _Rest(Generic[T]):
    """What is left of a coroutine whose first step was made by hand."""

    __slots__ = ("_waiting", "_work")

    def __init__(self, work: Coroutine[Any, Any, T], waiting: object) -> None:
        self._work = work
        self._waiting = waiting

    def __await__(self) -> Generator[Any, Any, T]:
        work, waiting = self._work, self._waiting
        while True:
            try:
                try:
                    answer = yield waiting
                except GeneratorExit:
                    work.close()
                    raise
                except BaseException as error:  # a cancelled task, most of all: the coroutine has to hear of it
                    waiting = work.throw(error)
                else:
                    waiting = work.send(answer)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
