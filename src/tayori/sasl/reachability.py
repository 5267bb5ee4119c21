"""Reachability: AUTH is offered while a back end can be asked, and comes back by itself.

`up()` answers at once from what is known and, when that is old, looks again in the background, at most every
`every` seconds. Each change is one log line; the one for the worse names the file and line to mend.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from tayori.config.origin import Origin
from tayori.sasl.verifiers.base import Verifier

log = logging.getLogger("tayori.sasl")
_PROBE_SECONDS = 10.0


class Reachability:
    """Of several verifiers in order: one that answers is enough. `origin` is where they were chosen."""

    def __init__(
        self,
        verifiers: Sequence[Verifier],
        origin: Origin | None,
        *,
        every: float = 3.0,
        every_when_up: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verifiers = tuple(verifiers)
        self._origin = origin
        self._every = every
        self._every_when_up = every_when_up
        self._clock = clock
        self._next = 0.0
        self._task: asyncio.Task[None] | None = None
        self._up = bool(verifiers)
        self.why: dict[str, str] = {}
        self.looks = 0
        self.tells = True
        """False: says nothing; of several workers one is enough."""

    def up(self) -> bool:
        """Whether to offer AUTH now."""
        if self._verifiers and self._clock() >= self._next and (self._task is None or self._task.done()):
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return self._up
            self._task = loop.create_task(self.look())
        return self._up

    def failed(self) -> None:
        """A verifier answered TryLater: look again soon, whatever was known."""
        self._next = min(self._next, self._clock() + 0.05)

    async def look(self) -> None:
        """Probe every verifier now."""
        self._next = self._clock() + self._every
        why = {}
        for verifier in self._verifiers:
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    answer = await verifier.probe()
            except TimeoutError:
                answer = f"no answer within {_PROBE_SECONDS:g} seconds"
            if answer:
                why[verifier.name] = answer
        up = len(why) < len(self._verifiers)
        place = f"{self._origin}: " if self._origin else ""
        for name, text in why.items():
            if self.tells and self.why.get(name) != text:
                effect = "logins go on with the other back ends" if up else "AUTH is not offered until it answers"
                log.warning("%s%s cannot be asked: %s; %s", place, name, text, effect)
        for name in self.why.keys() - why.keys() if self.tells else ():
            log.info("%s%s answers again", place, name)
        self.why, self._up = why, up
        self.looks += 1
        if not why:
            self._next = self._clock() + self._every_when_up

    def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
