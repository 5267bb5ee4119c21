"""A compiled restriction, and the entry that describes a restriction to the compiler.

A restriction is one async function `(run, rule) -> Answer` and one entry in `restrictions.RESTRICTIONS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from tayori.config.origin import Origin
from tayori.policy.answers import Answer
from tayori.policy.facts import Stage
from tayori.policy.verdict import Reason, Step

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation

Function = Callable[["Evaluation", "Rule"], Awaitable[Answer]]
Prepare = Callable[["Compiler", str, Origin | None], Any]


class Resource(Enum):
    """What a list is about; the value is how replies call it."""

    CLIENT = "Client host"
    HELO = "Helo command"
    SENDER = "Sender address"
    RECIPIENT = "Recipient address"
    ETRN = "Etrn command"
    DATA = "Data command"
    END_OF_DATA = "End-of-data"


@dataclass(frozen=True, slots=True)
class Restriction:
    """`prepare(compiler, argument, origin)` runs once, at construction, and may raise ConfigError.

    What it returns becomes `rule.prepared`. `argument`: a word follows the name.
    """

    function: Function
    prepare: Prepare | None = None
    argument: bool = False


@dataclass(slots=True)
class Rule:
    """One restriction in one list. `warn`: warn_if_reject stood before it; `logged`: a permit is worth a line
    (smtpd_log_access_permit_actions)."""

    name: str
    function: Function
    argument: str
    prepared: Any
    origin: Origin | None
    parameter: str
    warn: bool = False
    logged: bool = False
    quiet: tuple[Stage, Step] | None = None

    def reason(self, stage: Stage, looked_up: str = "", answer: str = "") -> Reason:
        """Why, for a trace."""
        return Reason(stage.value, self.parameter, self.name, self.argument, self.origin, looked_up, answer)

    def dunno(self, stage: Stage) -> Step:
        """The step of a rule that had nothing to say and looked nothing up; kept for the next time."""
        quiet = self.quiet
        if quiet is None or quiet[0] is not stage:
            quiet = self.quiet = (stage, Step(self.reason(stage), "dunno"))
        return quiet[1]


@dataclass(frozen=True, slots=True)
class RuleList:
    """One parameter's rules."""

    parameter: str
    resource: Resource
    rules: tuple[Rule, ...]
