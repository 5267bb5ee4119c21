"""What one restriction can answer: nothing, permit, a refusal, or a refusal kept for later.

SMTPD_ACCESS_README: a restriction says DUNNO (None here), PERMIT, REJECT or DEFER; `defer_if_permit` and
`defer_if_reject` postpone the answer until the list has said what it would do.
"""

from __future__ import annotations

from dataclasses import dataclass

from tayori.protocol.reply import Reply


@dataclass(frozen=True, slots=True)
class Permit:
    """OK: the rest of this list is not asked."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A 4xx or 5xx reply. `hard`: trouble of ours (a table, the configuration) that warn_if_reject cannot soften.

    `log` replaces the reply in the log where the client is told less. `disconnect`: end the session (421, 521).
    """

    code: int
    enhanced: str
    text: str
    hard: bool = False
    log: str = ""

    def reply(self) -> Reply:
        """The reply; the enhanced code's class digit always follows the reply code, as in Postfix."""
        enhanced = self.enhanced
        if enhanced and not enhanced.startswith(str(self.code // 100)):
            enhanced = f"{self.code // 100}{enhanced[1:]}"
        return Reply(self.code, enhanced, self.text)


@dataclass(frozen=True, slots=True)
class DeferIfPermit:
    """Refuse with this if the mail would otherwise be accepted (postconf(5) defer_if_permit)."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class DeferIfReject:
    """Give this 4xx reply instead of a later 5xx one (postconf(5) defer_if_reject)."""

    refusal: Refusal


PERMIT = Permit()
Answer = Permit | Refusal | DeferIfPermit | DeferIfReject | None


def lookup_failed(name: str, why: str = "") -> Refusal:
    """A table or service could not answer: 451 4.3.0, never a silent yes or no. `why` is only logged."""
    return Refusal(451, "4.3.0", f"<{name}>: Temporary lookup failure", hard=True)


def misconfigured() -> Refusal:
    """A rule that cannot be applied, found while mail was coming in (an access table's right-hand side)."""
    return Refusal(451, "4.3.5", "Server configuration error", hard=True)
