"""When a deferred recipient is tried again, warned about, or given up: pure functions of state and a given time.

postconf(5) minimal_backoff_time, maximal_backoff_time, maximal_queue_lifetime, bounce_queue_lifetime,
delay_warning_time. As in Postfix, the wait until the next attempt is the age of the message, kept between the two
back-off times: a message that has waited long is tried seldom. Postfix finds due mail by a scan each
queue_run_delay; here it is claimed when due, so a retry never comes later than Postfix's.

All times are seconds; `now` and `arrival` are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from tayori.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Backoff:
    """The settings, read once. `warning` 0 means: no delay warnings."""

    minimal: int = 300
    maximal: int = 4000
    lifetime: int = 432_000
    bounce_lifetime: int = 432_000
    warning: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Backoff:
        """Raises ConfigError for a value that is no time."""
        minimal = settings.seconds("minimal_backoff_time")
        return cls(
            minimal=minimal,
            maximal=max(minimal, settings.seconds("maximal_backoff_time")),
            lifetime=settings.seconds("maximal_queue_lifetime"),
            bounce_lifetime=settings.seconds("bounce_queue_lifetime"),
            warning=settings.seconds("delay_warning_time"),
        )

    def due(self, arrival: float, now: float, dead_until: float = 0.0) -> float:
        """When to try again after a failure at `now`; not before `dead_until`, when the site is known to be dead.

        A clock that was set back (arrival after now) gives the minimal wait.
        """
        wait = min(max(now - arrival, self.minimal), self.maximal)
        return max(now + wait, dead_until)

    def expires(self, arrival: float, sender: str) -> float:
        """The time from which a temporary failure counts as final. The null sender marks a bounce message."""
        return arrival + (self.lifetime if sender else self.bounce_lifetime)

    def expired(self, arrival: float, sender: str, now: float) -> bool:
        """Whether a temporary failure at `now` is final. A lifetime of 0 tries once."""
        return now >= self.expires(arrival, sender)

    def warn(self, arrival: float, warned: bool, sender: str, now: float) -> bool:
        """Whether the sender is told now that the mail is late: once, and never for a bounce message."""
        return bool(self.warning) and not warned and sender != "" and now >= arrival + self.warning
