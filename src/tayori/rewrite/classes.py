"""The five address classes, all of them here (ADDRESS_CLASS_README): which class a recipient's domain is in.

In this order: local (mydestination, and literals of inet_interfaces and proxy_interfaces), virtual alias
(virtual_alias_domains), virtual mailbox (virtual_mailbox_domains), relay (relay_domains), default. A domain
in two classes is in the first; `check` warns of that. Case does not matter. An internationalised domain is looked
for as it is written: its A-label form and its U-label form are two names (SMTPUTF8_README), and `check` tells of a
list that has only one of them.
"""

from __future__ import annotations

from tayori.config.interfaces import own_addresses
from tayori.config.settings import Settings
from tayori.protocol.address import literal_address
from tayori.rewrite.results import AddressClass, Classified, Deferred
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.outcome import TempFail
from tayori.tables.registry import Tables

_LISTS = (
    (AddressClass.LOCAL, "mydestination", Kind.STRING),
    (AddressClass.VIRTUAL_ALIAS, "virtual_alias_domains", Kind.STRING),
    (AddressClass.VIRTUAL_MAILBOX, "virtual_mailbox_domains", Kind.STRING),
    (AddressClass.RELAY, "relay_domains", Kind.DOMAIN),
)
_DEFAULT = Classified(AddressClass.DEFAULT, "default_transport")
MAX_KEPT = 4096


class Classes:
    """Classifies domains. Constant lists are remembered; lists with tables or files are asked each time."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        """Raises ConfigError for a list that cannot be used."""
        self._lists = tuple(
            (kind, name, found)
            for kind, name, form in _LISTS
            if (found := MatchList.from_settings(tables, settings, name, form))
        )
        self._own = dict.fromkeys(settings.items("proxy_interfaces"), "proxy_interfaces")
        self._own |= dict.fromkeys(own_addresses(settings), "inet_interfaces")
        constant = all("/" not in item and ":" not in item for _, name, _ in _LISTS for item in settings.items(name))
        self._kept: dict[str, Classified] | None = {} if constant else None
        self._settings = settings
        self._numeric = settings.flag("resolve_numeric_domain")

    async def classify(self, domain: str) -> Classified | Deferred:
        """The class of `domain` (no trailing dot); "" is local (a bare name)."""
        domain = domain.lower()
        kept = self._kept
        if kept is not None:
            known = kept.get(domain)
            if known is not None:
                return known
        answer = await self._ask(domain)
        if kept is not None and isinstance(answer, Classified):
            if len(kept) >= MAX_KEPT:
                kept.clear()
            kept[domain] = answer
        return answer

    async def is_local(self, domain: str) -> bool | Deferred:
        """Whether the domain is one of our own: mydestination or an own address literal."""
        answer = await self.classify(domain)
        return answer if isinstance(answer, Deferred) else answer.kind is AddressClass.LOCAL

    async def _ask(self, domain: str) -> Classified | Deferred:
        if not domain:
            return Classified(AddressClass.LOCAL, "myorigin")
        if self._numeric and literal_address(f"[{domain}]"):
            domain = f"[{domain}]"
        if domain[0] == "[":
            address = literal_address(domain)
            parameter = self._own.get(address or "")
            if parameter:
                return Classified(AddressClass.LOCAL, parameter, self._settings.origin(parameter))
        for kind, name, listed in self._lists:
            match = await listed.match(domain)
            if isinstance(match, TempFail):
                return Deferred(match.why)
            if match is not None:
                return Classified(kind, name, match.origin)
        return _DEFAULT
