"""Concurrency settings of one transport, and the feedback rule: SCHEDULER_README, "concurrency feedback".

default_destination_concurrency_limit, initial_destination_concurrency,
default_destination_concurrency_{positive,negative}_feedback and …_failed_cohort_limit, default_destination_rate_delay
and default_transport_rate_delay, each with its `transport_…` override (postconf(5)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings

_SHARES: dict[str, Callable[[float, int], float]] = {
    "": lambda amount, _: amount,
    "concurrency": lambda amount, concurrency: amount / concurrency,
    "sqrt_concurrency": lambda amount, concurrency: amount / math.sqrt(concurrency),
}


@dataclass(frozen=True, slots=True)
class Feedback:
    """How much one delivery counts: `amount` (0..1), divided by the concurrency, its square root, or nothing."""

    amount: float = 1.0
    divisor: str = ""

    @classmethod
    def parse(cls, text: str) -> Feedback:
        """`number`, `number/number`, `number/concurrency` or `number/sqrt_concurrency`. Raises ValueError."""
        left, slash, right = (part.strip() for part in text.partition("/"))
        amount = float(left)
        divisor = ""
        if slash:
            if right in _SHARES and right:
                divisor = right
            else:
                amount /= float(right) if float(right) else math.nan
        if not 0 <= amount <= 1:
            raise ValueError("outside 0..1")
        return cls(amount, divisor)

    def share(self, concurrency: int) -> float:
        """What one delivery counts at this concurrency (at least 1)."""
        return _SHARES[self.divisor](self.amount, concurrency)


@dataclass(frozen=True, slots=True)
class Limits:
    """One transport's limits. `concurrency` 0 means no limit, `cohorts` 0 means never dead. `delay`: seconds between
    two deliveries to one destination, which then has one at a time; `gate`: the same for the whole transport."""

    concurrency: int = 20
    initial: int = 5
    recipients: int = 50
    positive: Feedback = field(default_factory=Feedback)
    negative: Feedback = field(default_factory=Feedback)
    cohorts: int = 1
    delay: int = 0
    gate: int = 0

    @property
    def shared(self) -> bool:
        """Whether anything is to be counted over all workers."""
        return bool(self.concurrency or self.delay or self.gate)

    @classmethod
    def of(cls, settings: Settings, transport: str) -> Limits:
        """The transport's own parameter when it is set, else the default one. Raises ConfigError."""

        def name(own: str, default: str) -> str:
            own = f"{transport}_{own}"
            return own if settings.is_set(own) or settings.row(own) is not None else default

        def number(own: str, default: str) -> int:
            return max(0, settings.number(name(own, default)))

        def feedback(own: str, default: str) -> Feedback:
            parameter = name(own, default)
            try:
                return Feedback.parse(settings.text(parameter))
            except ValueError:
                raise ConfigError(
                    f"{parameter} = {settings.text(parameter)}: this must be a share from 0 to 1",
                    settings.origin(parameter) or settings.origin(default),
                    "write for example 1, 1/4 or 1/concurrency",
                ) from None

        concurrency = number("destination_concurrency_limit", "default_destination_concurrency_limit")
        delay = settings.seconds(name("destination_rate_delay", "default_destination_rate_delay"))
        if delay:
            concurrency = 1
        initial = max(1, number("initial_destination_concurrency", "initial_destination_concurrency"))
        return cls(
            concurrency=concurrency,
            initial=min(initial, concurrency) if concurrency else initial,
            recipients=number("destination_recipient_limit", "default_destination_recipient_limit"),
            positive=feedback(
                "destination_concurrency_positive_feedback", "default_destination_concurrency_positive_feedback"
            ),
            negative=feedback(
                "destination_concurrency_negative_feedback", "default_destination_concurrency_negative_feedback"
            ),
            cohorts=number(
                "destination_concurrency_failed_cohort_limit", "default_destination_concurrency_failed_cohort_limit"
            ),
            delay=delay,
            gate=settings.seconds(name("transport_rate_delay", "default_transport_rate_delay")),
        )
