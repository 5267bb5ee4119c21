"""reject_unverified_sender, reject_unverified_recipient (ADDRESS_VERIFICATION_README; postconf(5) unverified_*).

The answer comes from `Services.verify`. Without a prober nothing can be known: that is temporary trouble.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tayori.config.origin import Origin
from tayori.policy.answers import Answer, DeferIfPermit, Refusal
from tayori.policy.generic import reply_code
from tayori.policy.rule import Function, Prepare, Resource, Rule
from tayori.policy.services import Verified
from tayori.policy.unknown import tempfail_action

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation

MAX_REASON = 250


@dataclass(frozen=True, slots=True)
class Codes:
    """The unverified_* parameters of one role."""

    reject: int
    later: int
    reason: str
    defer: bool


def unverified(role: str) -> Prepare:
    """A `prepare` for "sender" or "recipient"."""

    def read(compiler: Compiler, argument: str, origin: Origin | None) -> Codes:
        del argument, origin
        return Codes(
            reply_code(compiler, f"unverified_{role}_reject_code"),
            reply_code(compiler, f"unverified_{role}_defer_code"),
            compiler.settings.text(f"unverified_{role}_reject_reason"),
            tempfail_action(compiler, f"unverified_{role}_tempfail_action"),
        )

    return read


def reject_unverified(resource: Resource) -> Function:
    """The restriction for senders or recipients."""

    async def check(run: Evaluation, rule: Rule) -> Answer:
        address = run.facts.sender if resource is Resource.SENDER else run.facts.recipient
        codes: Codes = rule.prepared
        if not address:
            return None
        probe = run.services.verify
        known = await probe(address) if probe is not None else Verified("unknown")
        run.note(f"verification of {address}", f"{known.state} {known.reason}".strip())
        if known.state == "ok":
            return None
        what = resource.value
        own = "5.1.7" if resource is Resource.SENDER else "5.1.1"
        if known.state == "undeliverable":
            text = run.rejected(address, what, f"undeliverable address: {codes.reason or known.reason[:MAX_REASON]}")
            return Refusal(codes.reject, own, text)
        why = known.reason[:MAX_REASON] if known.state == "deferred" else "Address verification in progress"
        why = codes.reason or why
        refusal = Refusal(codes.later, own, run.rejected(address, what, f"unverified address: {why}"))
        return refusal if codes.defer else DeferIfPermit(refusal)

    return check
