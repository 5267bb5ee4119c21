"""What is asked for twice is done once: a worker that died has asked for a command, its successor asks again.

The queue learns that a command has run only from the worker, after its answer. So an order that comes again is one
that nobody could settle: while the first still runs, or has succeeded, its answer is the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
MOST = 10_000
"""Answers that are remembered."""


class Once(Generic[T]):
    """`keeps`: whether an answer is remembered; any other is forgotten with the last who waits for it."""

    def __init__(self, keeps: Callable[[T], bool], most: int = MOST) -> None:
        self._keeps, self._most = keeps, most
        self._running: dict[Hashable, asyncio.Future[T]] = {}
        self._done: dict[Hashable, T] = {}

    async def do(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The answer of `work`, or of the same `key` before. Raises what `work` does."""
        if key in self._done:
            return self._done[key]
        running = self._running.get(key)
        if running is not None:
            return await asyncio.shield(running)
        running = self._running[key] = asyncio.ensure_future(work())
        try:
            answer = await running
        finally:
            del self._running[key]
        if self._keeps(answer):
            self._done[key] = answer
            if len(self._done) > self._most:
                del self._done[next(iter(self._done))]
        return answer
