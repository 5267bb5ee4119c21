"""The hosts of a next hop, in the order of trial: delivery's own choice, with DNS overheard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tayori.delivery.mx import Hop, NameMissing, Names, NameTrouble, Unreachable, parse_hops, targets
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery
from tayori.delivery.smtp import SmtpAgent
from tayori.programs.explain.values import Destination, Host

SOCKET, LITERAL, BY_MX, NO_MX, BY_ADDRESS = "socket", "literal", "mx", "no mx", "address"


class Overheard:
    """`Names` that remember what DNS said."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.preferences: dict[str, int] = {}
        self.mx_asked = False
        self.failed: dict[str, str] = {}

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        """As Names.mx."""
        self.mx_asked = True
        found = await self._names.mx(domain)
        for preference, host in sorted(found, reverse=True):
            self.preferences[host] = preference
        return found

    async def addresses(self, host: str) -> Sequence[str]:
        """As Names.addresses."""
        try:
            return await self._names.addresses(host)
        except (NameMissing, NameTrouble) as error:
            self.failed[host] = str(error)
            raise


async def destinations(agent: SmtpAgent, names: Names, nexthop: str) -> tuple[Destination, ...]:
    """Each destination of a next hop with its hosts, smtp_fallback_relay behind them. Equals are not shuffled."""
    options = agent.options
    try:
        hops = parse_hops(nexthop, options.default_port, lmtp=options.lmtp, queue_directory=options.queue_directory)
        if options.fallback:
            hops += parse_hops(options.fallback, options.default_port)
    except Unreachable as error:
        return (Destination(nexthop, "", (), _status(error.outcome), error.outcome.text, error.outcome.enhanced),)
    return tuple([await _destination(agent, names, hop) for hop in hops])


async def _destination(agent: SmtpAgent, names: Names, hop: Hop) -> Destination:
    overheard = Overheard(names)
    shown = hop.path or f"{hop.host}:{hop.port}"
    try:
        found = await targets(hop, overheard, replace(agent.choice, shuffle=None))
    except Unreachable as error:
        hosts = _others(overheard, ())
        outcome = error.outcome
        return Destination(shown, _kind(hop, overheard), hosts, _status(outcome), outcome.text, outcome.enhanced)
    hosts = tuple(
        Host(one.host, one.path or one.address, one.port, overheard.preferences.get(one.host)) for one in found
    )
    return Destination(shown, _kind(hop, overheard, literal=found[0].host == found[0].address),
                       hosts + _others(overheard, {one.host for one in found}))  # fmt: skip


def _others(overheard: Overheard, tried: Sequence[str] | set[str]) -> tuple[Host, ...]:
    """MX hosts that are not tried: without an address, behind ourselves, or beyond smtp_mx_address_limit."""
    rest = [(preference, host) for host, preference in overheard.preferences.items() if host and host not in tried]
    return tuple(Host(host, "", 0, preference, overheard.failed.get(host, "")) for preference, host in sorted(rest))


def _kind(hop: Hop, overheard: Overheard, literal: bool = False) -> str:
    if hop.path:
        return SOCKET
    if literal:
        return LITERAL
    if overheard.preferences:
        return BY_MX
    return NO_MX if overheard.mx_asked else BY_ADDRESS


def _status(outcome: DeferredDelivery | BouncedDelivery) -> str:
    return "bounced" if isinstance(outcome, BouncedDelivery) else "deferred"
