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

    `kind`: "HOLD", "REDIRECT", "FILTER", "BCC", "PREPEND", "INFO", "WARN", "SLEEP", "PERMIT"
    (smtpd_log_access_permit_actions) or "REJECT_WARNING"; `value` its text
    (seconds for SLEEP). PREPEND, REDIRECT, HOLD, FILTER and BCC act on the message.
    `log` is what `policy.log.effect_line` writes after "hold: RCPT from host[address]: "; empty: nothing is logged.
    """

    kind: str
    value: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One restriction asked and what it said; the trace of a decision is a tuple of these."""

    reason: Reason
    action: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """A defer_if_permit of an earlier stage (smtpd_delay_reject = no): mail may yet be refused, never accepted."""

    reply: Reply
    reason: Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reply` is None for PERMIT. `log` is the text after "reject: …" that Postfix would log, where it differs.

    `pending` must be handed on as Facts.pending of the session's later stages.
    """

    action: Action
    reply: Reply | None = None
    reason: Reason | None = None
    effects: tuple[Effect, ...] = ()
    trace: tuple[Step, ...] = field(default=(), compare=False)
    log: str = ""
    pending: Pending | None = None

    @property
    def permitted(self) -> bool:
        """Whether the session goes on as if nothing was."""
        return self.action in (Action.PERMIT, Action.DISCARD)
