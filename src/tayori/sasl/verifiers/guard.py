"""Guard: what stands between a verifier and the event loop.

At most `at_once` questions run, at most `waiting` wait; each has `seconds` in all; after `failures` troubles in a
row further questions fail at once for `pause` seconds (one is let through when it is over). Trouble is never
"wrong password": it becomes TryLater.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tayori.net.within import within
from tayori.sasl.verifiers.base import TryLater

T = TypeVar("T")


class Trouble(Exception):
    """A back end that could not be asked; the text is for the log and holds no secret."""


class Guard:
    """One per verifier. `name` is the verifier's, for the reasons."""

    def __init__(
        self,
        name: str,
        *,
        at_once: int = 16,
        waiting: int = 500,
        seconds: float = 15.0,
        failures: int = 5,
        pause: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.seconds = seconds
        self._at_once = at_once
        self._waiting = waiting
        self._failures = failures
        self._pause = pause
        self._clock = clock
        self._running = 0
        self._queue: list[asyncio.Future[None]] = []
        self._in_a_row = 0
        self._open_until = 0.0
        self._trial = False
        self._last = ""
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], Awaitable[T]]) -> T | TryLater:
        """Run a coroutine under the guard. OSError, TimeoutError and Trouble become TryLater."""
        refused = self._refused()
        if refused is not None:
            return refused
        trial = self._trial = self._broken
        try:
            answer = await within(self.seconds, self._in_turn(work))
        except TimeoutError:
            return self._trouble(f"no answer within {self.seconds:g} seconds")
        except (OSError, Trouble) as error:
            return self._trouble(describe(error))
        finally:
            if trial:
                self._trial = False
        self._in_a_row = 0
        return answer

    async def _in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._enter()
        try:
            return await work()
        finally:
            self._leave()

    async def run_in_thread(self, work: Callable[[], T]) -> T | TryLater:
        """Run a blocking function in a thread of the verifier's own pool.

        When the time is over the answer is TryLater; the thread keeps its place until it really ends, so
        that a hanging library can never pile up threads.
        """
        refused = self._refused()
        if refused is not None:
            return refused
        trial = self._trial = self._broken
        try:
            return await self._threaded(work)
        finally:
            if trial:
                self._trial = False

    async def _threaded(self, work: Callable[[], T]) -> T | TryLater:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="sasl")
        started = self._clock()
        try:
            async with asyncio.timeout(self.seconds):
                await self._enter()
        except TimeoutError:
            return self._trouble(f"busy for {self.seconds:g} seconds")
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._thread_done)
        left = max(0.01, self.seconds - (self._clock() - started))
        await asyncio.wait({future}, timeout=left)
        if not future.done():
            return self._trouble(f"no answer within {self.seconds:g} seconds")
        try:
            answer = future.result()
        except (OSError, Trouble) as error:
            return self._trouble(describe(error))
        self._in_a_row = 0
        return answer

    def close(self) -> None:
        """Let go of the threads; those that hang are not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _thread_done(self, future: asyncio.Future[T]) -> None:
        if not future.cancelled():
            future.exception()  # looked at here, or asyncio complains about an answer that came too late
        self._leave()

    @property
    def _broken(self) -> bool:
        """So much trouble in a row that one question at a time may try whether it is over."""
        return self._in_a_row >= self._failures

    def _refused(self) -> TryLater | None:
        if self._open_until > self._clock() or self._trial:
            return TryLater(f"not asked again yet: {self._last}", self.name)
        if len(self._queue) >= self._waiting:
            return TryLater(f"{self._waiting} log-ins are waiting already", self.name)
        return None

    def _trouble(self, why: str) -> TryLater:
        self._last = why
        self._in_a_row += 1
        if self._broken:
            self._open_until = self._clock() + self._pause
        return TryLater(why, self.name)

    async def _enter(self) -> None:
        if self._running < self._at_once:
            self._running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._queue:
                self._queue.remove(turn)
            elif turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._queue:
            turn = self._queue.pop(0)
            if not turn.done():
                turn.set_result(None)  # the place is handed on
                return
        self._running -= 1


def describe(error: Exception) -> str:
    """Words for an error, without the address of memory or the secrets that reprs may hold."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
