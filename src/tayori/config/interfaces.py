"""The addresses of this machine on which mail is received: inet_interfaces within inet_protocols (postconf(5)).

The default of mynetworks is made of them; permit_inet_interfaces, address literals and the look at mail loops ask for
them. Addresses that other programs of this machine may use are not among them.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tayori.config.settings import Settings

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def own_interfaces(settings: Settings) -> tuple[Interface, ...]:
    """Address and subnet of each, IPv4 first. An address that no interface has stands alone."""
    machine = [ipaddress.ip_interface(text) for text in settings.system.interfaces]
    subnets = {interface.ip: interface for interface in machine}
    found: list[Interface] = []
    for word in settings.items("inet_interfaces"):
        if word == "all":
            found += machine
        elif word == "loopback-only":
            found += [interface for interface in machine if interface.ip.is_loopback]
        else:
            found += [subnets.get(ip, ipaddress.ip_interface(ip)) for ip in _addresses(settings, word)]
    protocols = settings.items("inet_protocols")
    versions = [4] * ("all" in protocols or "ipv4" in protocols) + [6] * ("all" in protocols or "ipv6" in protocols)
    return tuple(one for version in versions for one in dict.fromkeys(found) if one.version == version)


def own_addresses(settings: Settings) -> list[str]:
    """The addresses alone, as text."""
    return [str(interface.ip) for interface in own_interfaces(settings)]


def _addresses(settings: Settings, word: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """An address as it is written, or those of a host name."""
    bare = word.strip("[]")
    try:
        return [ipaddress.ip_address(bare)]
    except ValueError:
        return [ipaddress.ip_address(text) for text in settings.system.resolve(bare)]
