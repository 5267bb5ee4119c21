"""What `check --dns` finds: the server's own names against DNS (RFC 5321 4.1.1.1, RFC 1912 2.1).

Asked are A and AAAA of myhostname and smtp_helo_name, and PTR of the addresses found (or of smtp_bind_address).
Each question has a time limit; a name server that does not answer gives one note and no more.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator

from tayori.config.lint import Finding, Message, Source
from tayori.config.origin import ConfigError, Origin
from tayori.net.dns import DnsTempFail, NoData, NoSuchName, Records, Resolver

ONE_SECONDS, MOST_ADDRESSES = 3.0, 4

NO_ADDRESS = Message(
    "warning",
    "name-without-address",
    "DNS has no address for {name} = {host}",
    "Other servers look the name up that this one greets with, and may refuse its mail.",
    "Add an A or AAAA record for {host}, or set {name} to the name that DNS knows.",
)
NO_PTR = Message(
    "warning",
    "address-without-name",
    "the address {address} of {host} has no name (PTR) in DNS",
    "Many servers refuse mail from an address without a name.",
    "Ask who gave you the address to set its reverse name to {host}.",
)
OTHER_PTR = Message(
    "warning",
    "other-reverse-name",
    "the address {address} of {host} is called {found} in DNS",
    "Servers that compare the greeting with the reverse name trust this one less.",
    "Ask who gave you the address to set its reverse name to {host}, or set {name} = {found}.",
)
NOT_HERE = Message(
    "note",
    "address-elsewhere",
    "{host} has the addresses {addresses}, and none of them is on this machine",
    "That is right behind a router that translates addresses; else mail for this server goes elsewhere.",
    "Compare the addresses with those of this machine (ip addr).",
)
NO_ANSWER = Message(
    "note",
    "dns-silent",
    "DNS could not be asked about {host}: {why}",
    "Whether the server's name, its addresses and their names fit together is not known.",
    "Try again later, or look at /etc/resolv.conf.",
)


def names(source: Source, resolver: Resolver | None = None) -> Iterator[Finding]:
    """The findings; `resolver` is for tests."""
    yield from asyncio.run(_ask(source, resolver or Resolver(timeout=ONE_SECONDS)))


async def _ask(source: Source, resolver: Resolver) -> list[Finding]:
    found: list[Finding] = []
    asked: set[str] = set()
    for name in ("myhostname", "smtp_helo_name"):
        try:
            host = source.settings.text(name).rstrip(".").lower()
        except ConfigError:
            continue  # the value has its own finding
        if host and "." in host and not host.startswith("[") and host not in asked:
            asked.add(host)
            origin = source.settings.origin(name) or Origin(source.main)
            found += await _name(source, resolver, name, host, origin)
    return found


async def _name(source: Source, resolver: Resolver, name: str, host: str, origin: Origin) -> list[Finding]:
    addresses: list[str] = []
    for kind in ("A", "AAAA"):
        answer = await resolver.lookup(host, kind)
        if isinstance(answer, DnsTempFail):
            return [NO_ANSWER.at(origin, host=host, why=answer.why)]
        if isinstance(answer, Records):
            addresses += answer.values
    if not addresses:
        return [NO_ADDRESS.at(origin, name=name, host=host)]
    found: list[Finding] = []
    public = [address for address in addresses if not ipaddress.ip_address(address).is_loopback]
    if public and not any(_here(source, address) for address in public):
        found.append(NOT_HERE.at(origin, host=host, addresses=", ".join(public[:MOST_ADDRESSES])))
    for address in public[:MOST_ADDRESSES]:
        answer = await resolver.lookup(ipaddress.ip_address(address).reverse_pointer, "PTR")
        if isinstance(answer, NoSuchName | NoData):
            found.append(NO_PTR.at(origin, address=address, host=host))
        elif isinstance(answer, Records) and host not in [value.lower() for value in answer.values]:
            other = answer.values[0]
            found.append(OTHER_PTR.at(origin, address=address, host=host, found=other, name=name))
    return found


def _here(source: Source, address: str) -> bool:
    wanted = ipaddress.ip_address(address)
    return any(wanted == ipaddress.ip_interface(own).ip for own in source.settings.system.interfaces)
