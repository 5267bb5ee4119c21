"""permit_mx_backup, permit_mx_backup_networks (postconf(5)); reject_multi_recipient_bounce."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.config.interfaces import own_addresses
from tayori.config.origin import Origin
from tayori.net.dns import DnsTempFail, Records
from tayori.policy.answers import PERMIT, Answer, DeferIfReject, Refusal, lookup_failed
from tayori.policy.relay import Destinations, authorised
from tayori.policy.rule import Rule
from tayori.rewrite.results import AddressClass, Classified, Deferred
from tayori.rewrite.routes import OPERATORS
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.networks import parse_address
from tayori.tables.outcome import TempFail

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation


class Backup:
    """`prepared`: our own addresses and name, and the networks of primaries that we back up."""

    __slots__ = ("destinations", "myhostname", "networks", "own")

    def __init__(self, compiler: Compiler, argument: str, origin: Origin | None) -> None:
        settings = compiler.settings
        own = [*own_addresses(settings), *settings.items("proxy_interfaces")]
        self.own = frozenset(found for text in own if (found := parse_address(text)) is not None)
        self.destinations = Destinations(compiler, argument, origin)
        self.myhostname = settings.text("myhostname").lower()
        words = settings.items("permit_mx_backup_networks")
        place = settings.origin("permit_mx_backup_networks")
        opener = compiler.services.tables
        self.networks = MatchList([(word, place) for word in words], Kind.NETWORK, opener) if words else None  # type: ignore[arg-type]


async def _is_us(run: Evaluation, how: Backup, host: str) -> bool | DnsTempFail:
    if host == how.myhostname:
        return True
    found = await run.services.classes.classify(host)
    if isinstance(found, Classified) and found.kind is AddressClass.LOCAL:
        return True
    answer = await run.services.resolver.addresses(host)
    if isinstance(answer, DnsTempFail):
        return answer
    return isinstance(answer, Records) and any(parse_address(a) in how.own for a in answer.values)


async def _primary_permitted(run: Evaluation, how: Backup, hosts: list[str]) -> bool | DnsTempFail | TempFail:
    """Whether an address of a primary host lies in permit_mx_backup_networks (or none are named)."""
    if how.networks is None:
        return True
    for host in hosts:
        answer = await run.services.resolver.addresses(host)
        if isinstance(answer, DnsTempFail):
            return answer
        for address in answer.values if isinstance(answer, Records) else ():
            match = await how.networks.match(address)
            if match is not None:
                return match if isinstance(match, TempFail) else True
    return False


def _later(recipient: str) -> Answer:
    why = "Unable to look up mail exchanger information: Host not found, try again"
    return DeferIfReject(Refusal(450, "4.4.4", f"<{recipient}>: Recipient address rejected: {why}"))


async def permit_mx_backup(run: Evaluation, rule: Rule) -> Answer:
    """Permit a domain of ours, and one whose MX list names us, but not first."""
    recipient = run.facts.recipient
    if not recipient:
        return None
    how: Backup = rule.prepared
    ours = await authorised(run, recipient, how.destinations)
    if isinstance(ours, Deferred):
        return lookup_failed(recipient, ours.why)
    if ours is not None:
        run.note(f"class of {recipient}", ours.kind.value)
        return PERMIT
    local, _, domain = how.destinations.routes.form.envelope(recipient).rpartition("@")
    if not OPERATORS.isdisjoint(local) or domain.startswith("["):
        return None
    answer = await run.services.resolver.lookup(domain, "MX")
    if isinstance(answer, DnsTempFail):
        run.note(f"MX of {domain}", answer.why)
        return _later(recipient)
    if not isinstance(answer, Records):
        return None
    run.note(f"MX of {domain}", " ".join(answer.values))
    best = min(record.preference for record in answer.records)
    primaries = [record.value for record in answer.records if record.preference == best and record.value]
    listed = False
    for record in answer.records:
        us = await _is_us(run, how, record.value) if record.value else False
        if isinstance(us, DnsTempFail):
            return _later(recipient)
        if us and record.preference == best:
            return None
        listed = listed or us
    if not listed:
        return None
    permitted = await _primary_permitted(run, how, primaries)
    if isinstance(permitted, DnsTempFail | TempFail):
        return _later(recipient)
    return PERMIT if permitted else None


async def reject_multi_recipient_bounce(run: Evaluation, rule: Rule) -> Answer:
    """Refuse <> with more than one recipient (multi_recipient_bounce_reject_code)."""
    facts = run.facts
    if facts.sender != "" or facts.recipient_count + (facts.stage.value == "RCPT") <= 1:
        return None
    return Refusal(rule.prepared, "5.5.3", run.rejected(run.name, run.label, "Multi-recipient bounce"))
