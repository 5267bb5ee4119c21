"""smtp_dns_reply_filter, lmtp_dns_reply_filter, smtpd_dns_reply_filter (postconf(5)): DNS records not to believe.

Each record is looked up as one line, `name ttl IN type [preference] value`, names with their final dot. The only
action is IGNORE. When nothing is left, or the tables cannot be asked, the answer is "try later".
"""

from __future__ import annotations

from tayori.config.settings import Settings
from tayori.net.dns import Answer, DnsFiltered, DnsTempFail, Record, Records, Resolver
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables

_NAMES = frozenset(("CNAME", "MX", "NS", "PTR"))


def filtered(resolver: Resolver, settings: Settings, tables: Tables, parameter: str) -> Resolver:
    """A resolver that leaves out what `parameter` says; the same one when that is empty. Raises ConfigError."""
    maps = Maps.from_settings(tables, settings, parameter)
    return resolver.filtered(ReplyFilter(maps, parameter)) if maps else resolver


class ReplyFilter:
    """What `net.dns.Resolver.filtered` asks about each answer."""

    def __init__(self, maps: Maps, parameter: str) -> None:
        self._maps = maps
        self._parameter = parameter

    async def __call__(self, name: str, kind: str, answer: Records) -> Answer:
        """The answer without the records that are ignored."""
        kept: list[Record] = []
        for record in answer.records:
            found = await self._maps.lookup(line(name, kind, record))
            if isinstance(found, TempFail):
                return DnsTempFail(f"{self._parameter}: {found.why}")
            if not isinstance(found, Found):
                kept.append(record)
            elif found.value.strip().upper() != "IGNORE":
                return DnsTempFail(f'{self._parameter}: unknown action "{found.value}"')
        if not kept:
            return DnsFiltered(f"{kind} of {name}: {self._parameter} ignores every record")
        return Records(tuple(kept), answer.authentic)


def line(name: str, kind: str, record: Record) -> str:
    """One record as the tables see it."""
    value = f"{record.value}." if kind in _NAMES else record.value
    preference = f"{record.preference} " if kind == "MX" else ""
    return f"{name.rstrip('.')}. {record.ttl} IN {kind} {preference}{value}"
