"""local_header_rewrite_clients: whose mail gets its headers completed as if it were our own (postconf(5))."""

from __future__ import annotations

from tayori.config.interfaces import own_addresses
from tayori.config.settings import Settings
from tayori.rewrite.results import Deferred
from tayori.tables.maps import Maps
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables


class HeaderRewriteClients:
    """The list of one configuration."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        """Raises ConfigError for a table or network that cannot be used."""
        name = "local_header_rewrite_clients"
        words = settings.items(name)
        self._interfaces = frozenset(own_addresses(settings)) if "permit_inet_interfaces" in words else frozenset()
        self._networks: MatchList | None = None
        if "permit_mynetworks" in words:
            self._networks = MatchList.from_settings(tables, settings, "mynetworks", Kind.NETWORK)
        self._login = "permit_sasl_authenticated" in words and settings.flag("smtpd_sasl_auth_enable")
        self._any_cert = "permit_tls_all_clientcerts" in words
        self._certs = Maps(())
        if "permit_tls_clientcerts" in words:
            self._certs = Maps.from_settings(tables, settings, "relay_clientcerts")
        self._addresses = Maps(tables.open(word, settings.origin_of(name, word)) for word in words if ":" in word)

    async def match(
        self, address: str, authenticated: bool = False, verified: bool = False, fingerprints: tuple[str, ...] = ()
    ) -> bool | Deferred:
        """Whether this client's mail counts as local. `verified` and `fingerprints` are of its certificate."""
        if address in self._interfaces or (self._login and authenticated) or (self._any_cert and verified):
            return True
        if self._networks is not None:
            match = await self._networks.match(address)
            if match is not None:
                return Deferred(match.why) if isinstance(match, TempFail) else True
        asks = [(self._addresses, address), *((self._certs, print_) for print_ in fingerprints)]
        for maps, key in asks:
            answer = await maps.lookup(key)
            if isinstance(answer, TempFail):
                return Deferred(answer.why)
            if isinstance(answer, Found):
                return True
        return False
