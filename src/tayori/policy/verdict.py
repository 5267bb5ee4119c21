"""What a restriction list decides: a verdict with its reply, its side effects and its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tayori.config.origin import Origin
from tayori.protocol.reply import Reply


class Action(Enum):
    """Outcome of a list. DUNNO never leaves the evaluator."""

    PERMIT = "permit"
    REJECT = "reject"
    DEFER = "defer"
    DISCARD = "discard"
    DISCONNECT = "disconnect"
    DUNNO = "dunno"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: which restriction, at which stage, in which line, what was looked up and what came back."""

    stage: str
    parameter: str
    restriction: str
    argument: str = ""
    origin: Origin | None = None
    looked_up: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something an access(5) action asks for beside the verdict.

    `kind`: "HOLD", "REDIRECT", "FILTER", "BCC", "PREPEND", "INFO", "WARN", "SLEEP"; `value` its text
    (seconds for SLEEP). PREPEND, REDIRECT, HOLD, FILTER and BCC act on the message.
    """

    kind: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One restriction asked and what it said; the trace of a decision is a tuple of these."""

    reason: Reason
    action: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reply` is None for PERMIT. `log` is the text after "reject: …" that Postfix would log, where it differs."""

    action: Action
    reply: Reply | None = None
    reason: Reason | None = None
    effects: tuple[Effect, ...] = ()
    trace: tuple[Step, ...] = field(default=(), compare=False)
    log: str = ""

    @property
    def permitted(self) -> bool:
        """Whether the session goes on as if nothing was."""
        return self.action in (Action.PERMIT, Action.DISCARD)
