"""Restrictions by the form of names: reject_invalid_helo_hostname, reject_non_fqdn_{helo_hostname,sender,
recipient} (postconf(5)). Nothing is looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.policy.answers import Answer, Refusal
from tayori.policy.rule import Resource, Rule
from tayori.protocol.address import is_literal, valid_hostname
from tayori.tables.networks import parse_address

if TYPE_CHECKING:
    from tayori.policy.evaluate import Evaluation

HELO = Resource.HELO.value


def without_dot(name: str) -> str:
    """A name without the dot that may end it (but `a..` stays bad)."""
    return name[:-1] if name.endswith(".") and not name.endswith("..") else name


async def reject_invalid_helo_hostname(run: Evaluation, rule: Rule) -> Answer:
    """Reject a HELO that is neither a host name nor an address (invalid_hostname_reject_code)."""
    helo = run.facts.helo
    if helo is None:
        return None
    if helo.startswith("["):
        if is_literal(helo):
            return None
        return Refusal(rule.prepared, "5.5.2", run.rejected(helo, HELO, "invalid ip address"))
    name = without_dot(helo)
    if valid_hostname(name) or parse_address(name) is not None:
        return None
    return Refusal(rule.prepared, "5.5.2", run.rejected(helo, HELO, "Invalid name"))


async def reject_non_fqdn_helo_hostname(run: Evaluation, rule: Rule) -> Answer:
    """Reject a HELO that is no full name and no address literal (non_fqdn_reject_code)."""
    helo = run.facts.helo
    if helo is None or is_literal(helo):
        return None
    name = without_dot(helo)
    if "." in name and valid_hostname(name):
        return None
    return Refusal(rule.prepared, "5.5.2", run.rejected(helo, HELO, "need fully-qualified hostname"))


def _not_full(run: Evaluation, rule: Rule, address: str, resource: Resource) -> Answer:
    _, at, domain = address.rpartition("@")
    name = without_dot(domain) if at else ""
    if is_literal(name) or ("." in name and valid_hostname(name, unicode=True)):
        return None
    text = run.rejected(address, resource.value, "need fully-qualified address")
    return Refusal(rule.prepared, "5.5.2", text)


async def reject_non_fqdn_sender(run: Evaluation, rule: Rule) -> Answer:
    """Reject a sender whose domain is no full name (non_fqdn_reject_code)."""
    return _not_full(run, rule, run.facts.sender, Resource.SENDER) if run.facts.sender else None


async def reject_non_fqdn_recipient(run: Evaluation, rule: Rule) -> Answer:
    """Reject a recipient whose domain is no full name (non_fqdn_reject_code)."""
    return _not_full(run, rule, run.facts.recipient, Resource.RECIPIENT) if run.facts.recipient else None
