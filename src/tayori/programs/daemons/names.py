"""Name look-ups for delivery: net.dns answers in the words of delivery.mx."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from tayori.config.settings import Settings
from tayori.delivery.mx import NameMissing, NameTrouble
from tayori.net.dns import DnsTempFail, NoData, NoSuchName, Records, Resolver


class DnsNames:
    """MX and address look-ups within inet_protocols."""

    def __init__(self, settings: Settings, resolver: Resolver, prefix: str = "smtp") -> None:
        protocols = settings.items("inet_protocols")
        self._v4 = "all" in protocols or "ipv4" in protocols
        self._v6 = ("all" in protocols or "ipv6" in protocols) and settings.system.ipv6
        self._hosts = "native" in settings.items(f"{prefix}_host_lookup")
        self._resolver = resolver

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        """(preference, host) pairs. Raises NameMissing, NameTrouble."""
        answer = await self._resolver.lookup(domain, "MX")
        match answer:
            case Records(records):
                return [(record.preference, record.value) for record in records]
            case NoSuchName():
                raise NameMissing(f"Name service error for name={domain} type=MX: Host not found")
            case NoData():
                raise NameMissing(f"Name service error for name={domain} type=MX: no MX record", exists=True)
            case DnsTempFail(why):
                raise NameTrouble(f"Name service error for name={domain} type=MX: {why}")

    async def addresses(self, host: str) -> Sequence[str]:
        """IPv4 and IPv6 addresses of a host. Raises NameMissing, NameTrouble."""
        answer = await self._resolver.addresses(host, hosts=self._hosts, ipv6=self._v6)
        match answer:
            case Records():
                found = [a for a in answer.values if (self._v6 if ipaddress.ip_address(a).version == 6 else self._v4)]
                if not found:
                    raise NameMissing(f"Name service error for name={host}: no address of a protocol in use")
                return found
            case DnsTempFail(why):
                raise NameTrouble(f"Name service error for name={host} type=A: {why}")
            case _:
                raise NameMissing(f"Name service error for name={host} type=A: Host not found")
