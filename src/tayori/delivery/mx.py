"""From a next hop to addresses: destination forms, MX choice, null MX, mail that would loop (smtp(8), RFC 5321 5.1).

`host`, `host:port`: by MX, or by address when there is none; `[host]`, `[host]:port`: by address. Several may be
given, parted by commas or blanks. LMTP takes `unix:path`, `inet:host:port` and the bare forms. Names are resolved
through `Names`, so that tests and other resolvers need no DNS server.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery

BAD_HOP = "bad next-hop destination"
_PORTS = {"smtp": 25, "lmtp": 24, "smtps": 465, "submissions": 465, "submission": 587}
SMTP_PORT = 25


class NameMissing(Exception):
    """No such name, or no record of that kind. The text is for the log."""

    def __init__(self, text: str, exists: bool = False) -> None:
        super().__init__(text)
        self.exists = exists


class NameTrouble(Exception):
    """No answer now: try later. The text is for the log."""


class Names(Protocol):
    """Look-ups as delivery needs them. Both raise NameMissing or NameTrouble."""

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        """(preference, host) pairs in any order; a null MX is [(0, "")]. NameMissing.exists: only MX is lacking."""
        ...

    async def addresses(self, host: str) -> Sequence[str]:
        """IPv4 and IPv6 addresses, those of `inet_protocols` only."""
        ...


@dataclass(frozen=True, slots=True)
class Hop:
    """One parsed destination. `mx`: whether MX records count; `path`: a Unix socket instead of host and port."""

    host: str
    port: int = 25
    mx: bool = False
    path: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect. `host`, `address`: "host[address]:port" in the log; `loop`: our own greeting is a loop."""

    host: str
    address: str
    port: int
    path: str = ""
    loop: bool = False

    @property
    def name(self) -> str:
        """`host[address]`."""
        return f"{self.host}[{self.path or self.address}]"

    @property
    def relay(self) -> str:
        """`host[address]:port`, as logged."""
        return f"{self.name}:{self.port}" if self.port else self.name


class Unreachable(Exception):
    """No address to try: the outcome says whether for now or for ever."""

    def __init__(self, outcome: DeferredDelivery | BouncedDelivery) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings that decide between addresses. `own`: our addresses; `shuffle` mixes a list in place."""

    shuffle: Callable[[list[Target]], None] | None = None
    limit: int = 5
    prefer: str = "any"
    balance: bool = True
    own: frozenset[str] = frozenset()
    hostname: str = ""
    dns: bool = True
    defer_no_address: bool = False
    ignore_mx_error: bool = False


def parse_hops(nexthop: str, default_port: str, *, lmtp: bool = False, queue_directory: str = "") -> tuple[Hop, ...]:
    """All destinations of a next hop. Raises Unreachable (deferred: it is a configuration slip) for bad syntax."""
    hops = tuple(_hop(word, default_port, lmtp, queue_directory) for word in re.split(r"[,\s]+", nexthop) if word)
    if not hops:
        raise Unreachable(DeferredDelivery("no next-hop destination", "4.3.5"))
    return hops


def _hop(word: str, default_port: str, lmtp: bool, queue_directory: str) -> Hop:
    if lmtp and word.startswith("unix:"):
        path = word[5:]
        return Hop("", 0, path=path if path.startswith("/") else f"{queue_directory}/{path}")
    if lmtp and word.startswith("inet:"):
        word = word[5:]
    mx = not lmtp
    if word.startswith("["):
        host, close, rest = word[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else ""
        mx = False
        if not close or (rest and not port):
            raise _bad(word)
        if host.lower().startswith("ipv6:"):
            host = host[5:]
    else:
        host, _, port = word.partition(":")
    if not host:
        raise _bad(word)
    return Hop(host.rstrip("."), _port(port or default_port, word), mx)


def _port(text: str, word: str) -> int:
    if text.isdigit():
        number = int(text)
    else:
        try:
            number = _PORTS.get(text) or socket.getservbyname(text, "tcp")
        except OSError:
            raise _bad(word, f"unknown service: {text}") from None
    if not 0 < number < 65536:
        raise _bad(word)
    return number


def _bad(word: str, why: str = BAD_HOP) -> Unreachable:
    return Unreachable(DeferredDelivery(f"{why}: {word}", "4.3.5"))


async def targets(hop: Hop, names: Names, choice: Choice) -> list[Target]:
    """The addresses to try, in order; never empty. Raises Unreachable."""
    if hop.path:
        return [Target(choice.hostname, "", 0, hop.path)]
    literal = _literal(hop.host)
    if literal:
        return [Target(literal, literal, hop.port, loop=hop.port == 25)]
    if hop.mx and choice.dns:
        return await _by_mx(hop, names, choice)
    found = await _by_address(hop.host, hop.port, names, loop=hop.port == 25)
    return _limited(_by_family(found, choice), choice)


async def _by_mx(hop: Hop, names: Names, choice: Choice) -> list[Target]:
    try:
        records = sorted(await names.mx(hop.host))
    except NameMissing:
        records = [(0, hop.host)]  # also when the name does not exist: /etc/hosts may know it, as in Postfix
    except NameTrouble as error:
        if not choice.ignore_mx_error:
            raise Unreachable(DeferredDelivery(f"Host or domain name not found. {error}", "4.4.3")) from error
        records = [(0, hop.host)]
    if [host for _, host in records] == [""]:
        raise Unreachable(BouncedDelivery(f"Domain {hop.host} does not accept mail (nullMX)", "5.1.0"))
    groups, trouble = await _groups([r for r in records if r[1]], hop, names, choice)
    groups = _before_self(groups, hop, choice)
    ordered: list[Target] = []
    for group in groups:
        if choice.shuffle is not None:
            choice.shuffle(group)
        ordered.extend(_by_family(group, choice))
    if ordered:
        return _limited(ordered, choice)
    raise trouble or Unreachable(DeferredDelivery(f"no mail server for {hop.host} has an address", "4.4.4"))


async def _groups(
    records: list[tuple[int, str]], hop: Hop, names: Names, choice: Choice
) -> tuple[list[list[Target]], Unreachable | None]:
    """Addresses by preference. A host that cannot be resolved is left out; the worst trouble is kept for later."""
    groups: dict[int, list[Target]] = {}
    trouble: Unreachable | None = None
    for preference, host in records[:100]:
        try:
            groups.setdefault(preference, []).extend(await _by_address(host, hop.port, names, loop=True))
        except Unreachable as error:
            if choice.defer_no_address and isinstance(error.outcome, BouncedDelivery):
                error = Unreachable(DeferredDelivery(error.outcome.text, "4.4.4"))
            if trouble is None or isinstance(error.outcome, DeferredDelivery):
                trouble = error
    return [groups[preference] for preference in sorted(groups)], trouble


def _before_self(groups: list[list[Target]], hop: Hop, choice: Choice) -> list[list[Target]]:
    """Only hosts better than ourselves may get the mail (RFC 5321 5.1). Raises Unreachable when we are the best.

    On another port than 25 listens another server, be it on this machine: as in Postfix, that is no loop.
    """
    if hop.port != SMTP_PORT:
        return groups
    for place, group in enumerate(groups):
        if any(t.address in choice.own or t.host.lower() == choice.hostname.lower() for t in group):
            if not any(groups[:place]):
                raise Unreachable(BouncedDelivery(f"mail for {hop.host} loops back to myself", "5.4.6"))
            return groups[:place]
    return groups


async def _by_address(host: str, port: int, names: Names, *, loop: bool) -> list[Target]:
    literal = _literal(host)
    if literal:
        return [Target(host, literal, port, loop=loop)]
    try:
        addresses = await names.addresses(host)
    except NameMissing as error:
        raise Unreachable(BouncedDelivery(f"Host or domain name not found. {error}", "5.4.4")) from error
    except NameTrouble as error:
        raise Unreachable(DeferredDelivery(f"Host or domain name not found. {error}", "4.4.3")) from error
    return [Target(host, address, port, loop=loop) for address in addresses]


def _by_family(found: list[Target], choice: Choice) -> list[Target]:
    """smtp_address_preference: one family first among equals; "any" leaves the order."""
    if choice.prefer == "any":
        return found
    return sorted(found, key=lambda target: (":" in target.address) is not (choice.prefer == "ipv6"))


def _limited(found: list[Target], choice: Choice) -> list[Target]:
    """smtp_mx_address_limit, with one place kept for the other family (smtp_balance_inet_protocols)."""
    limit = choice.limit
    if not limit or len(found) <= limit:
        return found
    kept = found[:limit]
    if choice.balance and limit > 1:
        family = ":" in kept[0].address
        if all((":" in target.address) is family for target in kept):
            other = next((target for target in found[limit:] if (":" in target.address) is not family), None)
            if other is not None:
                kept[-1] = other
    return kept


def _literal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""
