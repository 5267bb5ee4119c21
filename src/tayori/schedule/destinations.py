"""What each destination can take now: concurrency, and the rest that a dead one is given. Pure; time is passed in.

A destination is (transport, next hop). Its concurrency grows with deliveries whose connection and handshake went
well and shrinks with those that failed (SCHEDULER_README). After `cohorts` failed pseudo-cohorts it is dead: nothing
is sent there for a while (minimal_backoff_time, doubling up to maximal_backoff_time), then ONE delivery probes it
while all others still wait; a probe that gets through brings it back at once. So a dead site costs one connection
attempt per rest, however much mail waits for it, and never delays another.

Memory is bounded: at most `memory` idle destinations are remembered, the longest unused is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tayori.schedule.feedback import Limits

Destination = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Go:
    """Deliver now, and call `finished` afterwards, whatever happens. `probe` marks the one that tests a dead site."""

    probe: bool = False


@dataclass(frozen=True, slots=True)
class Busy:
    """All its slots are taken: ask again when a delivery to it has finished, or at `until` (seconds since the
    epoch)."""

    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Dead:
    """Not before `until` (seconds since the epoch); `reason` is the last failure's text, for mailq and the log."""

    until: float
    reason: str


Decision = Go | Busy | Dead
_GO = Go()
_PROBE = Go(probe=True)
_BUSY = Busy()


@dataclass(slots=True)
class _State:
    concurrency: int
    busy: int = 0
    success: float = 0.0
    failure: float = 0.0
    cohorts: float = 0.0
    until: float = 0.0
    rest: float = 0.0
    probing: bool = False
    reason: str = ""


class Destinations:
    """All destinations of one worker."""

    def __init__(
        self, limits: Callable[[str], Limits], rest: float = 300.0, longest_rest: float = 4000.0, memory: int = 5000
    ) -> None:
        """`limits(transport)` must be cheap (cache it); `rest`, `longest_rest`: the back-off times in seconds."""
        self._limits = limits
        self._rest = rest
        self._longest = max(rest, longest_rest)
        self._memory = memory
        self._states: OrderedDict[Destination, _State] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def start(self, transport: str, nexthop: str, now: float, elsewhere: int = 0) -> Decision:
        """Ask for a slot; only Go takes one. `elsewhere` counts other workers' deliveries to the same destination."""
        key = transport, nexthop
        state = self._states.get(key)
        limits = self._limits(transport)
        if state is None:
            if limits.concurrency and elsewhere >= limits.concurrency:
                return _BUSY
            state = self._states[key] = _State(limits.initial)
            self._forget()
        else:
            self._states.move_to_end(key)
        if state.rest:
            if now < state.until or state.probing:
                return Dead(max(state.until, now + 1.0), state.reason)
            state.probing = True
            state.busy += 1
            return _PROBE
        if state.busy >= state.concurrency > 0 or (
            limits.concurrency and state.busy + elsewhere >= limits.concurrency
        ):
            return _BUSY
        state.busy += 1
        return _GO

    def state(self, transport: str, nexthop: str, now: float) -> Decision:
        """What `start` would say about rest and slots, taking nothing (mailq, status)."""
        state = self._states.get((transport, nexthop))
        if state is None:
            return _GO
        if state.rest and (now < state.until or state.probing):
            return Dead(max(state.until, now + 1.0), state.reason)
        return _BUSY if state.busy >= state.concurrency else _GO

    def finished(
        self, transport: str, nexthop: str, now: float, healthy: bool | None, reason: str = "", go: Go = _GO
    ) -> None:
        """A delivery has ended; `go` is what `start` gave it.

        `healthy`: True when connection and handshake went well (whatever became of the recipients), False when they
        failed with `reason`, None when the delivery says nothing about the site (it never got that far).
        """
        state = self._states.get((transport, nexthop))
        if state is None:
            return
        state.busy = max(0, state.busy - 1)
        limits = self._limits(transport)
        if healthy is True:
            self._good(state, limits)
        elif healthy is False:
            self._bad(state, limits, now, reason, go.probe)
        if go.probe:
            state.probing = False

    def _good(self, state: _State, limits: Limits) -> None:
        if state.rest:
            state.rest = state.until = state.failure = state.success = 0.0
            state.concurrency = limits.initial
            state.reason = ""
        state.cohorts = 0.0
        # growing beyond what is in use would delay the effect of later failures
        if state.concurrency < state.busy + 1 + limits.initial:
            state.success += limits.positive.share(state.concurrency)
            while state.success >= 1.0:
                state.concurrency += 1
                state.success -= 1.0
                state.failure = 0.0
        if limits.concurrency:
            state.concurrency = min(state.concurrency, limits.concurrency)

    def _bad(self, state: _State, limits: Limits, now: float, reason: str, probe: bool) -> None:
        state.reason = reason
        if state.rest:
            # only a failed probe counts: deliveries that were on their way when the site died add nothing
            if probe:
                self._lay_to_rest(state, now, min(state.rest * 2, self._longest))
            return
        if limits.cohorts:
            state.cohorts += 1.0 / state.concurrency
            if state.cohorts >= limits.cohorts - 1e-9:
                self._lay_to_rest(state, now, self._rest)
                return
        state.failure -= limits.negative.share(state.concurrency)
        while state.failure < 0.0:
            state.concurrency -= 1
            state.failure += 1.0
            state.success = 0.0
        state.concurrency = max(1, state.concurrency)

    @staticmethod
    def _lay_to_rest(state: _State, now: float, rest: float) -> None:
        state.rest = rest
        state.until = now + rest

    def _forget(self) -> None:
        if len(self._states) <= self._memory:
            return
        for looked, (key, state) in enumerate(self._states.items()):
            if state.busy == 0 or looked >= 50:
                if state.busy == 0:
                    del self._states[key]
                return
