"""Restrictions by the client's address: permit_mynetworks, permit_inet_interfaces (postconf(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.config.interfaces import own_addresses
from tayori.config.origin import Origin
from tayori.policy.answers import PERMIT, Answer, lookup_failed
from tayori.policy.rule import Rule
from tayori.tables.networks import parse_address
from tayori.tables.outcome import TempFail

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation


def client_name(run: Evaluation) -> str:
    """`name[address]`, as replies and logs call the client."""
    client = run.facts.client
    return f"{client.name}[{client.address}]"


async def permit_mynetworks(run: Evaluation, rule: Rule) -> Answer:
    """Permit clients of $mynetworks."""
    del rule
    address = run.facts.client.address
    found = await run.services.mynetworks.match(address)
    if found is None:
        return None
    if isinstance(found, TempFail):
        run.note(f"{address} in mynetworks", found.why)
        return lookup_failed(client_name(run), found.why)
    run.note(f"{address} in mynetworks", f"{found.pattern} at {found.origin}" if found.origin else found.pattern)
    return PERMIT


def inet_interfaces(compiler: Compiler, argument: str, origin: Origin | None) -> frozenset[tuple[int, int]]:
    """The addresses that inet_interfaces stands for."""
    del argument, origin
    return frozenset(
        parsed for text in own_addresses(compiler.settings) if (parsed := parse_address(text)) is not None
    )


async def permit_inet_interfaces(run: Evaluation, rule: Rule) -> Answer:
    """Permit a client whose address is one of our own."""
    address = run.facts.client.address
    if parse_address(address) not in rule.prepared:
        return None
    run.note(f"{address} in inet_interfaces", "own address")
    return PERMIT
