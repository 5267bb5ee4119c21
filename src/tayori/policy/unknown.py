"""Restrictions that ask DNS whether a name exists: reject_unknown_{client_hostname,reverse_client_hostname,
forward_client_hostname,helo_hostname,sender_domain,recipient_domain} (postconf(5)).

"Could not ask" is never "does not exist": then unknown_*_tempfail_action decides (defer_if_permit or defer).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tayori.config.origin import ConfigError, Origin
from tayori.net.dns import DnsFiltered, DnsTempFail, NoSuchName, Records
from tayori.policy.answers import Answer, DeferIfPermit, Refusal, lookup_failed
from tayori.policy.generic import reply_code
from tayori.policy.names import without_dot
from tayori.policy.rule import Prepare, Resource, Rule
from tayori.rewrite.results import AddressClass, Deferred

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation

FINAL = (AddressClass.LOCAL, AddressClass.VIRTUAL_ALIAS, AddressClass.VIRTUAL_MAILBOX)


@dataclass(frozen=True, slots=True)
class Unknown:
    """`code` refuses; `defer` answers trouble at once instead of defer_if_permit."""

    code: int
    defer: bool

    def later(self, refusal: Refusal) -> Answer:
        """The answer to temporary trouble."""
        return refusal if self.defer else DeferIfPermit(refusal)


def tempfail_action(compiler: Compiler, parameter: str) -> bool:
    """Whether a *_tempfail_action parameter says defer. Raises ConfigError."""
    value = compiler.settings.text(parameter).lower()
    if value not in ("defer", "defer_if_permit"):
        place = compiler.settings.origin(parameter)
        raise ConfigError(f"{parameter} = {value}", place, "write defer or defer_if_permit")
    return value == "defer"


def unknown(code: str, action: str) -> Prepare:
    """A `prepare` from the names of the two parameters."""

    def read(compiler: Compiler, argument: str, origin: Origin | None) -> Unknown:
        del argument, origin
        return Unknown(reply_code(compiler, code), tempfail_action(compiler, action))

    return read


def _no_name(run: Evaluation, code: int, rule: Rule, what: str) -> Answer:
    client = run.facts.client
    run.note(f"names of {client.address}", f"{client.reverse_name} / {client.name}")
    permanent = code == 5
    text = f"Client host rejected: cannot find your {what}, [{client.address}]"
    return Refusal(rule.prepared if permanent else 450, "4.7.1" if what.startswith("reverse") else "4.7.25", text)


async def reject_unknown_client_hostname(run: Evaluation, rule: Rule) -> Answer:
    """Refuse a client whose address, name and address do not agree (unknown_client_reject_code)."""
    code = run.facts.client.name_code
    return None if code == 2 else _no_name(run, code, rule, "hostname")


async def reject_unknown_reverse_client_hostname(run: Evaluation, rule: Rule) -> Answer:
    """Refuse a client whose address has no name at all (unknown_client_reject_code)."""
    code = run.facts.client.reverse_code
    return None if code == 2 else _no_name(run, code, rule, "reverse hostname")


async def reject_unknown_forward_client_hostname(run: Evaluation, rule: Rule) -> Answer:
    """Refuse a client that has a name which does not lead back to it."""
    client = run.facts.client
    if client.name_code == 2 or client.reverse_code != 2:
        return None
    return _no_name(run, client.name_code, rule, "hostname")


async def reject_unknown_helo_hostname(run: Evaluation, rule: Rule) -> Answer:
    """Refuse a HELO name without address and MX record (unknown_hostname_reject_code)."""
    helo = run.facts.helo
    if helo is None or helo.startswith("["):
        return None
    name = without_dot(helo)
    trouble = ""
    # HELO names are ASCII (RFC 5321 4.1.1.1): any other is nobody's, and DNS is not asked
    for kind in ("A", "AAAA", "MX") if name.isascii() else ():
        answer = await run.services.resolver.lookup(name, kind)
        if isinstance(answer, Records):
            return None
        if isinstance(answer, DnsTempFail):
            trouble = answer.why
        elif isinstance(answer, NoSuchName):
            break
    run.note(f"A, AAAA, MX of {name}", trouble or "none")
    text = run.rejected(helo, Resource.HELO.value, "Host not found")
    if trouble:
        return rule.prepared.later(Refusal(450, "4.7.1", text))  # type: ignore[no-any-return]
    return Refusal(rule.prepared.code, "4.7.1", text)


async def _domain(run: Evaluation, rule: Rule, address: str, resource: Resource) -> Answer:
    domain = without_dot(address.rpartition("@")[2]) if "@" in address else ""
    if not domain or domain.startswith("["):
        return None
    found = await run.services.classes.classify(domain)
    if isinstance(found, Deferred):
        return lookup_failed(address, found.why)
    if found.kind in FINAL:
        return None
    sender = resource is Resource.SENDER
    name = run.services.resolver.a_label(domain)
    answer = await run.services.resolver.lookup(name, "MX")
    if isinstance(answer, Records):
        run.note(f"MX of {name}", " ".join(value or "." for value in answer.values))
        if answer.values == ("",):
            text = run.rejected(address, resource.value, f"Domain {domain} does not accept mail (nullMX)")
            return Refusal(550, "5.7.27", text) if sender else Refusal(556, "5.1.10", text)
        if "" in answer.values:
            text = run.rejected(address, resource.value, "Malformed DNS server reply")
            return Refusal(rule.prepared.code, "4.1.8" if sender else "4.1.2", text)
        return None
    if not isinstance(answer, DnsTempFail):
        answer = await run.services.resolver.addresses(name, hosts=False)
        if isinstance(answer, Records):
            return None
    trouble = answer.why if isinstance(answer, DnsTempFail) else ""
    run.note(f"MX, A, AAAA of {name}", trouble or "none")
    if isinstance(answer, DnsFiltered):
        return None
    text = run.rejected(address, resource.value, "Domain not found")
    enhanced = "4.1.8" if sender else "4.1.2"
    if trouble:
        return rule.prepared.later(Refusal(450, enhanced, text))  # type: ignore[no-any-return]
    return Refusal(rule.prepared.code, enhanced, text)


async def reject_unknown_sender_domain(run: Evaluation, rule: Rule) -> Answer:
    """Refuse a sender to whose domain nobody could answer (unknown_address_reject_code)."""
    return await _domain(run, rule, run.facts.sender, Resource.SENDER) if run.facts.sender else None


async def reject_unknown_recipient_domain(run: Evaluation, rule: Rule) -> Answer:
    """Refuse a recipient whose domain does not exist (unknown_address_reject_code)."""
    return await _domain(run, rule, run.facts.recipient, Resource.RECIPIENT) if run.facts.recipient else None
