"""Transport, next hop and class of one address: what trivial-rewrite(8) "resolve" answers.

The class gives the transport (local_transport, virtual_transport, relay_transport, default_transport; an
address of a virtual alias domain that was not expanded is undeliverable); relayhost and the sender_dependent
maps may replace the next hop; transport_maps (transport(5)) may replace both, but for virtual alias domains;
relocated_maps come last.
"""

from __future__ import annotations

from dataclasses import dataclass

from tayori.config.origin import Origin
from tayori.config.settings import Settings
from tayori.protocol.address import literal_address, quote_local
from tayori.protocol.idn import lower
from tayori.rewrite.classes import Classes
from tayori.rewrite.form import Form
from tayori.rewrite.keys import Finder, Hit
from tayori.rewrite.remembered import Remembered
from tayori.rewrite.results import AddressClass, Deferred, Resolved
from tayori.tables.maps import Maps
from tayori.tables.matchlist import parents_match
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables

MAX_ROUTES = 10
REFUSING = ("error", "retry")
"""The transports that decide about an address at once."""
UNDELIVERABLE = "Address is undeliverable"


@dataclass(frozen=True, slots=True)
class _Route:
    """`transport:nexthop` with what decided; an empty part says nothing."""

    transport: str
    nexthop: str
    reason: str
    origin: Origin | None = None


def split_service(text: str) -> tuple[str, str]:
    """`transport:nexthop` parted at the first colon; both may be empty."""
    transport, _, nexthop = text.partition(":")
    return transport.strip(), nexthop.strip()


class Resolver:
    """Resolves addresses as main.cf says. All tables are opened at construction.

    `may_refuse`: whether an address outside the virtual alias class can resolve to the error transport.
    """

    def __init__(self, settings: Settings, tables: Tables, classes: Classes) -> None:
        """Raises ConfigError for a table or list that cannot be used."""
        self._classes = classes
        self._form = Form(settings)
        self._finder = Finder(settings, classes.is_local)
        self._myhostname = settings.text("myhostname")
        self._null_recipient = settings.text("empty_address_recipient")
        self._unknown = _unknown(settings, "virtual alias table")
        self._services = {
            kind: _Route(*split_service(settings.text(name)), name, settings.origin(name))
            for kind, name in (
                (AddressClass.LOCAL, "local_transport"),
                (AddressClass.VIRTUAL_MAILBOX, "virtual_transport"),
                (AddressClass.RELAY, "relay_transport"),
                (AddressClass.DEFAULT, "default_transport"),
            )
        }
        self._relayhost = _Route("", settings.text("relayhost"), "relayhost", settings.origin("relayhost"))
        self._transport_maps = Maps.from_settings(tables, settings, "transport_maps")
        self._parents = parents_match(settings, "transport_maps")
        self._relocated = Maps.from_settings(tables, settings, "relocated_maps")
        self._moved = "5.1.6 User has moved to " if settings.flag("relocated_prefix_enable") else ""
        self._relayhosts = Maps.from_settings(tables, settings, "sender_dependent_relayhost_maps")
        self._default_transports = Maps.from_settings(tables, settings, "sender_dependent_default_transport_maps")
        self._null_relayhost = settings.text("empty_address_relayhost_maps_lookup_key")
        self._null_transport = settings.text("empty_address_default_transport_maps_lookup_key")
        self._filter_nexthop = settings.text("default_filter_nexthop")
        self._null_domain = settings.flag("resolve_null_domain")
        self._numeric = settings.flag("resolve_numeric_domain")
        self._myhostname = settings.text("myhostname")
        self._dequoted = settings.flag("resolve_dequoted_address")
        self.may_refuse = bool(self._transport_maps or self._relocated or self._default_transports) or any(
            service.transport in REFUSING for service in self._services.values()
        )

        varies = self._transport_maps or self._relocated or self._relayhosts or self._default_transports
        self._lately: Remembered[str, Resolved] | None = None if varies else Remembered(tables.clock)

    async def resolve(self, address: str, sender: str = "") -> Resolved | Deferred:
        """Where mail for `address` goes when `sender` ("" for <>) sent it."""
        if self._lately is None:
            return await self._resolve(address, sender)
        kept = self._lately.get(address)
        if kept is not None:
            return kept
        answer = await self._resolve(address, sender)
        return answer if isinstance(answer, Deferred) else self._lately.keep(address, answer)

    async def _resolve(self, address: str, sender: str) -> Resolved | Deferred:
        address = self._form.envelope(address or self._null_recipient)
        if "@" not in address:  # append_at_myorigin = no
            address = f"{address}@{self._myhostname}"
        local, _, domain = address.rpartition("@")
        routed = False
        for _ in range(MAX_ROUTES):
            if self._numeric and literal_address(f"[{domain}]"):
                domain = f"[{domain}]"
            elif not domain and self._null_domain:
                domain = self._myhostname
            answer = await self._classes.classify(domain)
            if isinstance(answer, Deferred):
                return answer
            inner = self._form.routing(local) if answer.kind is AddressClass.LOCAL and self._seen(local) else None
            if inner is None:
                break
            routed = True
            address = self._form.envelope("@".join(inner))
            local, _, domain = address.rpartition("@")
        else:
            return self._error(address, "5.4.6 the address routes in a circle", "swap_bangpath")
        if not routed and self._seen(local) and answer.kind is not AddressClass.LOCAL:
            routed = self._form.routing(local) is not None
        address = f"{local}@{domain}"
        if answer.kind is AddressClass.VIRTUAL_ALIAS:
            route: _Route | Deferred = _Route("error", self._unknown, answer.parameter, answer.origin)
        elif answer.kind in (AddressClass.DEFAULT, AddressClass.RELAY):
            route = await self._outward(answer.kind, domain, sender)
        else:
            service = self._services[answer.kind]
            nexthop = service.nexthop or lower(domain)
            reason = answer.parameter if answer.kind is AddressClass.LOCAL else service.reason
            route = _Route(service.transport, nexthop, reason, answer.origin or service.origin)
        # No transport brings mail to an address that only virtual_alias_maps could have made another of.
        if not isinstance(route, Deferred) and self._transport_maps and answer.kind is not AddressClass.VIRTUAL_ALIAS:
            route = await self._by_transport_maps(address, domain, route)
        if not isinstance(route, Deferred) and self._relocated:
            moved = await self._finder.find(self._relocated, address)
            if isinstance(moved, Deferred):
                return moved
            if moved is not None:
                text = f"{self._moved}{moved.found.value}"
                route = _Route("error", text, f"relocated_maps: {moved.key}", moved.found.origin)
        if isinstance(route, Deferred):
            return route
        return Resolved(address, answer.kind, route.transport, route.nexthop, route.reason, route.origin, routed)

    def _seen(self, local: str) -> bool:
        """Whether @, % and ! in the local part are operators (postconf(5) resolve_dequoted_address): inside quotes,
        where an @ always stands, only if the setting says so."""
        return self._dequoted or quote_local(local) == local

    def filtered(self, address: str, chosen: str) -> Resolved:
        """The route that FILTER of access(5) or header_checks(5) forces: `transport:nexthop` for every recipient.

        Without a next hop: default_filter_nexthop, or the recipient's domain.
        """
        transport, nexthop = split_service(chosen)
        nexthop = nexthop or self._filter_nexthop or lower(address.rpartition("@")[2])
        return Resolved(address, AddressClass.DEFAULT, transport, nexthop, "FILTER")

    def _error(self, address: str, text: str, reason: str) -> Resolved:
        return Resolved(address, AddressClass.DEFAULT, "error", text, reason, None, True)

    async def _outward(self, kind: AddressClass, domain: str, sender: str) -> _Route | Deferred:
        """Transport and next hop of the relay and default classes, transport_maps apart."""
        service = self._services[kind]
        if kind is AddressClass.DEFAULT and self._default_transports:
            own = await self._by_sender(self._default_transports, sender or self._null_transport)
            if isinstance(own, Deferred):
                return own
            if own is not None:
                transport, nexthop = split_service(own.found.value)
                reason = f"sender_dependent_default_transport_maps: {own.key}"
                service = _Route(transport or service.transport, nexthop, reason, own.found.origin)
        if service.nexthop:
            return service
        if self._relayhosts:
            own = await self._by_sender(self._relayhosts, sender or self._null_relayhost)
            if isinstance(own, Deferred):
                return own
            if own is not None:
                reason = f"sender_dependent_relayhost_maps: {own.key}"
                return _Route(service.transport, own.found.value, reason, own.found.origin)
        if self._relayhost.nexthop:
            return _Route(service.transport, self._relayhost.nexthop, "relayhost", self._relayhost.origin)
        return _Route(service.transport, lower(domain), service.reason, service.origin)

    async def _by_sender(self, maps: Maps, sender: str) -> Hit | Deferred | None:
        """postconf(5): the sender address, without its extension, @domain; DUNNO says nothing."""
        hit = await self._finder.find(maps, sender, localpart=False)
        if isinstance(hit, Hit) and hit.found.value.strip().upper() == "DUNNO":
            return None
        return hit

    async def _by_transport_maps(self, address: str, domain: str, default: _Route) -> _Route | Deferred:
        """transport(5) "TABLE SEARCH ORDER"."""
        hit = await self._finder.find(self._transport_maps, address, localpart=False, at_domain=False)
        if isinstance(hit, Deferred):
            return hit
        found, key = (hit.found, hit.key) if hit is not None else (None, "")
        if found is None:
            for key in self._domain_keys(domain):
                answer = await self._transport_maps.lookup(key, partial=True)
                if isinstance(answer, TempFail):
                    return Deferred(answer.why)
                if isinstance(answer, Found):
                    found = answer
                    break
        if found is None:
            return default
        transport, nexthop = split_service(found.value)
        if not transport and not nexthop:
            return default
        reason = f"transport_maps: {key}"
        if not transport:
            return _Route(default.transport, nexthop, reason, found.origin)
        if not nexthop:
            nexthop = UNDELIVERABLE if transport in REFUSING else lower(domain)
        return _Route(transport, nexthop, reason, found.origin)

    def _domain_keys(self, domain: str) -> list[str]:
        keys = [domain] if domain else []
        if not domain.startswith("["):
            at = domain.find(".", 1)
            while at >= 0:
                keys.append(domain[at + 1 :] if self._parents else domain[at:])
                at = domain.find(".", at + 1)
        keys.append("*")
        return keys


def _unknown(settings: Settings, table: str) -> str:
    shown = f" in {table}" if settings.flag("show_user_unknown_table_name") else ""
    return f"5.1.1 User unknown{shown}"
