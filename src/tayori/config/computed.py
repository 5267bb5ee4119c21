"""Defaults that depend on the machine: myhostname, mydomain, mynetworks (postconf(5))."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING

from tayori.config.interfaces import own_interfaces

if TYPE_CHECKING:
    from tayori.config.settings import Settings


def myhostname(settings: Settings) -> str:
    """The machine's name; a bare one gets `.$mydomain` when that is set, else `.localdomain`."""
    name = settings.system.hostname
    if "." in name:
        return name
    domain = settings.text("mydomain") if settings.is_set("mydomain") else "localdomain"
    return f"{name}.{domain}"


def mydomain(settings: Settings) -> str:
    """$myhostname minus its first label; `localdomain` when it has only one."""
    name = settings.text("myhostname")
    _, dot, rest = name.partition(".")
    return rest if dot and rest else "localdomain"


def mynetworks(settings: Settings) -> str:
    """By `mynetworks_style`, for every address of inet_interfaces: the address alone (host), its subnet, or its class
    A, B or C network (class; IPv6 has none: its subnet)."""
    style = settings.text("mynetworks_style")
    networks: list[str] = []
    for interface in own_interfaces(settings):
        address = interface.ip
        if style == "host":
            prefix = int(address.max_prefixlen)
        elif style == "class" and address.version == 4:
            first = int(str(address).split(".", maxsplit=1)[0])
            prefix = 8 if first < 128 else 16 if first < 192 else 24
        else:
            prefix = interface.network.prefixlen
        network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
        shown = f"[{network.network_address}]/{network.prefixlen}" if network.version == 6 else str(network)
        if shown not in networks:
            networks.append(shown)
    return " ".join(networks)


COMPUTED: dict[str, Callable[[Settings], str]] = {
    "myhostname": myhostname,
    "mydomain": mydomain,
    "mynetworks": mynetworks,
}
