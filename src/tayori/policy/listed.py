"""Whether an address exists: reject_unlisted_recipient, reject_unlisted_sender (postconf(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.policy.answers import Answer, Refusal, lookup_failed
from tayori.policy.dsn import fitting
from tayori.policy.rule import Resource, Rule
from tayori.rewrite.results import Deferred, Unlisted

if TYPE_CHECKING:
    from tayori.policy.evaluate import Evaluation


def _refuse(run: Evaluation, address: str, found: Unlisted | Deferred | None, enhanced: str) -> Answer:
    if found is None:
        return None
    if isinstance(found, Deferred):
        run.note(address, found.why)
        return lookup_failed(address, found.why)
    run.note(f"{address} in {found.parameter}", "not found")
    return Refusal(found.code, enhanced, f"<{address}>: {found.text}")


async def reject_unlisted_recipient(run: Evaluation, rule: Rule) -> Answer:
    """Reject a recipient that its class does not list; asked at most once per recipient."""
    del rule
    address = run.facts.recipient
    if address is None or run.listed_recipient:
        return None
    run.listed_recipient = not run.warning
    found = await run.services.listing.recipient(address, run.facts.sender or "")
    return _refuse(run, address, found, found.enhanced if isinstance(found, Unlisted) else "")


async def reject_unlisted_sender(run: Evaluation, rule: Rule) -> Answer:
    """Reject a sender of one of our domains whom its class does not list."""
    del rule
    address = run.facts.sender
    if not address or run.listed_sender:
        return None
    run.listed_sender = not run.warning
    found = await run.services.listing.sender(address)
    enhanced = ""
    if isinstance(found, Unlisted):
        # a real Postfix says 5.1.7 ("bad sender's address") where a virtual alias is missing
        alias = found.parameter == "virtual_alias_maps"
        enhanced = "5.1.7" if alias else fitting(found.enhanced, Resource.SENDER.value)
    return _refuse(run, address, found, enhanced)
