"""Who may reach whom: permit_auth_destination, reject_unauth_destination, defer_unauth_destination (postconf(5)).

An authorised destination is one we deliver finally (mydestination, virtual alias and mailbox domains) or relay
for (relay_domains), and whose local part holds no routing operator (`@`, `%`, `!`) that the next host could
obey: such an address may end anywhere. Routing inside an address of our own is followed first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.config.origin import Origin
from tayori.policy.answers import PERMIT, Answer, Refusal, lookup_failed
from tayori.policy.generic import reply_code
from tayori.policy.rule import Rule
from tayori.rewrite.results import AddressClass, Classified, Deferred
from tayori.rewrite.routes import Routes

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation


class Destinations:
    """`prepared` of the three: how routes in addresses are followed, and the code of a refusal."""

    __slots__ = ("code", "routes")

    def __init__(self, compiler: Compiler, argument: str, origin: Origin | None) -> None:
        del argument, origin
        self.routes = Routes(compiler.settings, compiler.services.classes)
        self.code = reply_code(compiler, "relay_domains_reject_code")


async def authorised(run: Evaluation, address: str, how: Destinations) -> Classified | Deferred | None:
    """The class that makes `address` an authorised destination, or None."""
    followed = await how.routes.follow(address)
    if isinstance(followed, Deferred):
        return followed
    if followed.suspicious:
        return None
    found = await run.services.classes.classify(followed.address.rpartition("@")[2])
    return None if isinstance(found, Classified) and found.kind is AddressClass.DEFAULT else found


async def _ask(run: Evaluation, rule: Rule) -> Classified | Refusal | None:
    recipient = run.facts.recipient or ""
    found = await authorised(run, recipient, rule.prepared)
    if isinstance(found, Deferred):
        run.note(f"class of {recipient}", found.why)
        return lookup_failed(recipient, found.why)
    if found is None:
        run.note(f"class of {recipient}", "not ours: another's domain, or a routed address")
    else:
        place = f" at {found.origin}" if found.origin else ""
        run.note(f"class of {recipient}", f"{found.kind.value} by {found.parameter}{place}")
    return found


async def permit_auth_destination(run: Evaluation, rule: Rule) -> Answer:
    """Permit mail for our own domains."""
    if run.facts.recipient is None:
        return None
    found = await _ask(run, rule)
    return PERMIT if isinstance(found, Classified) else found


async def reject_unauth_destination(run: Evaluation, rule: Rule) -> Answer:
    """Reject mail for anybody else's domain (relay_domains_reject_code)."""
    return await _refuse(run, rule, rule.prepared.code)


async def defer_unauth_destination(run: Evaluation, rule: Rule) -> Answer:
    """The same with a 4xx reply, so that a mistake of ours loses no mail."""
    return await _refuse(run, rule, rule.prepared.code - 100 if rule.prepared.code >= 500 else rule.prepared.code)


async def _refuse(run: Evaluation, rule: Rule, code: int) -> Answer:
    recipient = run.facts.recipient
    if recipient is None:
        return None
    found = await _ask(run, rule)
    if isinstance(found, Classified):
        return None
    return found or Refusal(code, "5.7.1", f"<{recipient}>: Relay access denied")
