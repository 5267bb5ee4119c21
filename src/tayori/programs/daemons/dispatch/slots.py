"""Who may deliver to a destination now, and who waits: this worker's view of it, and what all workers share.

`schedule.destinations` says what a destination can take as far as this worker knows; the limits of main.cf hold for
all workers together (`board.Share`): default_destination_concurrency_limit; default_destination_rate_delay and
default_transport_rate_delay, from the end of one delivery to the beginning of the next, as Postfix counts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from tayori.programs.daemons.dispatch.board import Share
from tayori.schedule.destinations import Busy, Dead, Decision, Destinations, Go
from tayori.schedule.feedback import Limits

MAX_WAITING = 500
"""Messages that may wait in memory for a slot of one destination; more go back to the queue."""
WAIT_AGAIN = 15.0
"""Seconds until those are looked at again, at least; and the longest that a message waits in memory for a pause."""
LONGEST = 4000.0
LOOK = 0.05
"""Seconds between two looks at what other workers have under way."""
Key = tuple[str, str]


class Slots:
    """One worker's deliveries by (transport, destination)."""

    def __init__(
        self,
        destinations: Destinations,
        limits: Callable[[str], Limits],
        share: Share,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._destinations = destinations
        self._limits = limits
        self._share = share
        self._clock = clock
        self._waiting: dict[Key, deque[asyncio.Future[None]]] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._promised: dict[Key, float] = {}
        self._closed = False

    def close(self) -> None:
        """Nobody gets a slot any more; who waits learns of it."""
        self._closed = True
        for queue in self._waiting.values():
            for turn in queue:
                if not turn.done():
                    turn.set_result(None)

    async def take(self, transport: str, name: str) -> Decision:
        """Wait for a slot; Go must be given back by `give`."""
        key = transport, name
        for attempt in range(MAX_WAITING):
            if self._closed:
                return Busy(self._clock())
            decision, pause = self._try(transport, name)
            if not isinstance(decision, Busy):
                return decision
            queue = self._waiting.setdefault(key, deque())
            if len(queue) >= MAX_WAITING or self._ahead(key) >= WAIT_AGAIN:
                return Busy(self._promise(key))
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            # who has had his turn and found nothing is still the first
            (queue.appendleft if attempt else queue.append)(turn)
            self._tell(key)
            if pause:
                self._look_again(key, pause)
            try:
                await turn
            finally:
                if turn in queue:
                    queue.remove(turn)
                self._tell(key)
        return Busy(self._promise(key))

    def give(self, transport: str, name: str, go: Go, healthy: bool | None, reason: str = "") -> None:
        """A delivery has ended; `healthy` as for Destinations.finished."""
        now, limits = self._clock(), self._limits(transport)
        self._destinations.finished(transport, name, now, healthy, reason, go)
        if limits.shared:
            self._leave(self._share.slot(transport, name), now, limits.delay)
        if limits.gate:
            self._leave(self._share.slot(transport), now, limits.gate)
        self._next((transport, name))

    def _try(self, transport: str, name: str) -> tuple[Decision, float]:
        """What may be done now; of Busy also after how many seconds to ask again, 0.0 where an end of ours will
        tell."""
        limits, now = self._limits(transport), self._clock()
        if not limits.shared:
            return self._destinations.start(transport, name, now), 0.0
        share, slot = self._share, self._share.slot(transport, name)
        left = self._left(slot, now, limits.delay)
        if left and not isinstance(state := self._destinations.state(transport, name, now), Dead):
            return Busy(), left
        if left:
            return state, 0.0
        others = share.others(slot)
        decision = self._destinations.start(transport, name, now, others)
        if not isinstance(decision, Go):
            return decision, LOOK if others else 0.0
        pause = self._enter(slot, now, limits.concurrency, limits.delay)
        if not pause and limits.gate:
            pause = self._enter(share.slot(transport), now, 1, limits.gate)
            if pause:
                share.give(slot)
        if not pause:
            return decision, 0.0
        self._destinations.finished(transport, name, now, None, go=decision)
        return Busy(), pause

    def _enter(self, slot: int, now: float, limit: int, delay: int) -> float:
        """Take a place among all workers: 0.0; else after how many seconds to look again."""
        if not self._share.take(slot, limit):
            return LOOK
        left = self._left(slot, now, delay)
        if left:
            self._share.give(slot)
        return left

    def _leave(self, slot: int, now: float, delay: int) -> None:
        """Give it back; the pause begins before anybody else can enter."""
        if delay:
            self._share.rest(slot, now + delay)
        self._share.give(slot)

    def _left(self, slot: int, now: float, delay: int) -> float:
        """Seconds of the pause after the last delivery that are left; a clock that was set back ends it."""
        left = self._share.until(slot) - now if delay else 0.0
        return left if 0.0 < left <= delay else 0.0

    def _ahead(self, key: Key) -> float:
        """Seconds of pauses for those who wait already: a message that waits long does so in the queue, not in
        memory."""
        limits = self._limits(key[0])
        ahead = limits.delay * len(self._waiting[key])
        if limits.gate:
            everybody = sum(len(some) for one, some in self._waiting.items() if one[0] == key[0])
            ahead = max(ahead, limits.gate * everybody)
        return ahead

    def _promise(self, key: Key) -> float:
        """When a message that finds no room may come again: one after the other where there is a pause between
        them."""
        now, limits = self._clock(), self._limits(key[0])
        delay = max(limits.delay, limits.gate)
        if limits.gate:
            key = key[0], ""
        at = max(now + WAIT_AGAIN, self._promised.get(key, 0.0) + delay)
        at = min(at, now + LONGEST)
        if delay:
            if len(self._promised) > MAX_WAITING:
                self._promised = {one: when for one, when in self._promised.items() if when > now}
            self._promised[key] = at
        return at

    def _tell(self, key: Key) -> None:
        """The other workers see that we wait, and leave us our part."""
        queue = self._waiting.get(key)
        if queue is not None:
            self._share.wait(self._share.slot(*key), len(queue))
            if not queue:
                del self._waiting[key]

    def _next(self, key: Key) -> None:
        queue = self._waiting.get(key)
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                # a death lets all who wait learn of it; otherwise one slot wakes one
                if not isinstance(self._destinations.state(*key, self._clock()), Dead):
                    break

    def _look_again(self, key: Key, pause: float) -> None:
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + pause:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(pause, self._look, key)

    def _look(self, key: Key) -> None:
        del self._timers[key]
        self._next(key)
