"""Whose mail counts as our own when headers are completed: local_header_rewrite_clients (postconf(5))."""

from __future__ import annotations

import ipaddress

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.policy.facts import ClientFacts, LoginFacts, TlsFacts
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.outcome import Found, Table
from tayori.tables.registry import Tables

NAMES = (
    "permit_inet_interfaces",
    "permit_mynetworks",
    "permit_sasl_authenticated",
    "permit_tls_clientcerts",
    "permit_tls_all_clientcerts",
)


class Trusted:
    """The compiled list."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        """Raises ConfigError."""
        self._names: set[str] = set()
        self._tables: list[Table] = []
        self._own = frozenset(str(ipaddress.ip_interface(a).ip) for a in settings.system.interfaces)
        self._mynetworks = MatchList.from_settings(tables, settings, "mynetworks", Kind.NETWORK)
        items = iter(settings.items("local_header_rewrite_clients"))
        for item in items:
            if item in NAMES:
                self._names.add(item)
            elif item == "check_address_map" or ":" in item:
                spec = next(items, "") if item == "check_address_map" else item
                self._tables.append(tables.open(spec, settings.origin("local_header_rewrite_clients")))
            else:
                raise ConfigError(
                    f"local_header_rewrite_clients: {item!r} is not known",
                    settings.origin("local_header_rewrite_clients"),
                    f"use {', '.join(NAMES)} or a table",
                )

    async def client(self, client: ClientFacts, login: LoginFacts | None, tls: TlsFacts | None) -> bool:
        """Whether headers of this client's mail are completed as local mail's are."""
        names = self._names
        if "permit_inet_interfaces" in names and client.address in self._own:
            return True
        if "permit_sasl_authenticated" in names and login is not None:
            return True
        if "permit_tls_all_clientcerts" in names and tls is not None and tls.verified:
            return True
        if "permit_mynetworks" in names and await self._mynetworks.match(client.address):
            return True
        for table in self._tables:
            if isinstance(await table.lookup(client.address), Found):
                return True
        return False
