"""One attempt at mailboxes: what is asked of the local process, for whom, and what has ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tayori.delivery.outcome import DeliveryOutcome
from tayori.delivery.request import Target
from tayori.programs.daemons.dispatch.ended import Ended, Work
from tayori.programs.daemons.dispatch.members import Way
from tayori.queue.model import Recipient
from tayori.rewrite.aliases import Target as Leaf


@dataclass(frozen=True, slots=True)
class Aim:
    """What a target is for: `recipient`, under the name of `address`, as one member (`part`) of an expansion.

    `member`: as in queue.model.Recipient. `owner`: the envelope sender that an owner- alias gives.
    """

    recipient: Recipient
    address: str
    part: bool = False
    member: str = ""
    owner: str | None = None

    def ended(self, outcome: DeliveryOutcome) -> Ended:
        """How it ended."""
        return Ended(self.recipient, outcome, "local", self.address, self.part, member=self.member)


@dataclass(slots=True)
class Attempt:
    """The state of one `Mailboxes.deliver`. `passed` and `jobs` come last; `seen` keeps members from coming twice."""

    work: Work
    ended: list[Ended] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    passed: list[Way] = field(default_factory=list)
    jobs: list[Callable[[], Awaitable[Ended]]] = field(default_factory=list)
    seen: set[tuple[int, Leaf]] = field(default_factory=set)

    def take(self) -> tuple[tuple[Target, ...], list[Aim]]:
        """What is to be asked now."""
        targets, aims = tuple(self.targets), self.aims
        self.targets, self.aims = [], []
        return targets, aims
