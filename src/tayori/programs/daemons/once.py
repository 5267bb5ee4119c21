"""What is asked for twice is done once: a worker that died has asked for a command, its successor asks again.

The queue learns that a command has run only from the worker, after its answer. So an order that comes again is one
that nobody could settle: while the first still runs, or has succeeded, its answer is the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
Asker = Callable[[], bool]
MOST = 10_000
"""Answers that are remembered."""


class Once(Generic[T]):
    """`keeps`: whether an answer is remembered; any other is forgotten with the last who waits for it."""

    def __init__(self, keeps: Callable[[T], bool], most: int = MOST) -> None:
        self._keeps, self._most = keeps, most
        self._running: dict[Hashable, tuple[asyncio.Future[T], list[Asker]]] = {}
        self._done: dict[Hashable, T] = {}

    async def do(self, key: Hashable, gone: Asker, work: Callable[[Callable[[], bool]], Awaitable[T]]) -> T:
        """The answer of `work`, or of the same `key` before. `gone`: whether who asks is dead; `work` is given a
        function that says whether anybody waits still, to be asked before what cannot be undone. Raises what `work`
        does."""
        if key in self._done:
            return self._done[key]
        if key in self._running:
            running, askers = self._running[key]
            askers.append(gone)
            return await asyncio.shield(running)
        askers = [gone]
        running = asyncio.ensure_future(work(lambda: not all(dead() for dead in askers)))
        self._running[key] = running, askers
        try:
            answer = await running
        finally:
            del self._running[key]
        if self._keeps(answer):
            self._done[key] = answer
            if len(self._done) > self._most:
                del self._done[next(iter(self._done))]
        return answer
