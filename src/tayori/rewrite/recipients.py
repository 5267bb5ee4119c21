"""Whether a recipient or a sender is listed: reject_unlisted_recipient and reject_unlisted_sender (postconf(5)).

An address that canonical_maps or virtual_alias_maps know is listed. One that transport_maps or relocated_maps
send to error(8) is not. Otherwise its class decides: local_recipient_maps, virtual_alias_maps,
virtual_mailbox_maps, relay_recipient_maps; an empty parameter lists everybody. In our own domains postmaster,
mailer-daemon and double_bounce_sender are always listed, as smtpd(8) was seen to do. A table that cannot be
asked gives Deferred, never "unknown".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tayori.config.settings import Settings
from tayori.protocol.address import split
from tayori.rewrite.aliasmaps import alias_tables
from tayori.rewrite.classes import Classes
from tayori.rewrite.form import Form
from tayori.rewrite.keys import Finder
from tayori.rewrite.probe_sender import ProbeSender
from tayori.rewrite.remembered import Remembered
from tayori.rewrite.resolve import REFUSING, Resolver
from tayori.rewrite.results import AddressClass, Classified, Deferred, Resolved, Unlisted
from tayori.tables.maps import Maps
from tayori.tables.registry import Tables

_CODE = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_KNOWN = ("recipient_canonical_maps", "canonical_maps", "virtual_alias_maps")
_KNOWN_SENDER = ("sender_canonical_maps", "canonical_maps", "virtual_alias_maps")


@dataclass(frozen=True, slots=True)
class _Listed:
    """How one class lists its recipients."""

    parameter: str
    maps: Maps
    code: int
    table: str


class Listing:
    """Answers for recipients (None: listed) and senders."""

    def __init__(self, settings: Settings, tables: Tables, classes: Classes) -> None:
        """Raises ConfigError for a table that cannot be used."""
        self._settings = settings
        self._classes = classes
        self._form = Form(settings)
        self._finder = Finder(settings, classes.is_local)
        self._resolver = Resolver(settings, tables, classes)
        self._prober = ProbeSender(settings)
        self._always = frozenset(("", "postmaster", "mailer-daemon", settings.text("double_bounce_sender").lower()))
        self._show = settings.flag("show_user_unknown_table_name")
        self._known = _joined(tables, settings, _KNOWN)
        self._known_sender = _joined(tables, settings, _KNOWN_SENDER)
        self._local = Maps(alias_tables(settings, tables, "local_recipient_maps"))
        self._local_full = Maps(t for t in self._local.tables if not t.name.endswith("unix:passwd.byname"))
        aliases = Maps.from_settings(tables, settings, "virtual_alias_maps")
        mailboxes = Maps.from_settings(tables, settings, "virtual_mailbox_maps")
        relays = Maps.from_settings(tables, settings, "relay_recipient_maps")
        code = settings.number
        self._lists: dict[AddressClass, _Listed] = {
            AddressClass.LOCAL: _Listed(
                "local_recipient_maps",
                self._local,
                code("unknown_local_recipient_reject_code"),
                "local recipient table",
            ),
            AddressClass.VIRTUAL_ALIAS: _Listed(
                "virtual_alias_maps", aliases, code("unknown_virtual_alias_reject_code"), "virtual alias table"
            ),
            AddressClass.VIRTUAL_MAILBOX: _Listed(
                "virtual_mailbox_maps",
                mailboxes,
                code("unknown_virtual_mailbox_reject_code"),
                "virtual mailbox table",
            ),
            AddressClass.RELAY: _Listed(
                "relay_recipient_maps", relays, code("unknown_relay_recipient_reject_code"), "relay recipient table"
            ),
        }

        self._lately: Remembered[str, bool] = Remembered(tables.clock)

    async def recipient(self, address: str, sender: str = "") -> Unlisted | Deferred | None:
        """None when listed; otherwise the parts of Postfix's reply. Bare `postmaster` is always listed.

        `sender` matters where sender_dependent_default_transport_maps choose the error transport.
        """
        if address.lower() == "postmaster":
            return None
        key = f"{sender} {address}" if self._resolver.may_refuse else address
        if self._lately.get(key):
            return None
        answer = await self._listed(address, self._known, "Recipient", "5.1.1", sender)
        if answer is None:
            self._lately.keep(key, True)
        return answer

    async def sender(self, address: str) -> Unlisted | Deferred | None:
        """The same for a sender; "" (<>) is always listed."""
        if not address:
            return None
        return await self._listed(address, self._known_sender, "Sender", "5.1.0")

    async def _listed(
        self, address: str, known: Maps, who: str, enhanced: str, envelope_sender: str = ""
    ) -> Unlisted | Deferred | None:
        address = self._form.envelope(address)
        local, _, domain = address.rpartition("@")
        answer: Classified | Resolved | Deferred = await self._classes.classify(domain)
        own = isinstance(answer, Classified) and answer.kind is AddressClass.LOCAL
        if own and self._form.routing(local) is not None:
            answer = await self._resolver.resolve(address, envelope_sender)
            if isinstance(answer, Resolved):
                address = answer.address
        if known:
            hit = await self._finder.find(known, address)
            if hit is not None:
                return hit if isinstance(hit, Deferred) else None
        if self._resolver.may_refuse and isinstance(answer, Classified):
            answer = await self._resolver.resolve(address, envelope_sender)
        if isinstance(answer, Resolved):
            if answer.transport in REFUSING and answer.kind is not AddressClass.VIRTUAL_ALIAS:
                return _undeliverable(answer, who, enhanced)
            address = answer.address
            local, _ = split(address)
        if isinstance(answer, Deferred):
            return answer
        listed = self._lists.get(answer.kind)
        if listed is None or (not listed.maps and answer.kind is not AddressClass.VIRTUAL_ALIAS):
            return None
        if answer.kind is AddressClass.LOCAL:
            always = local.lower() in self._always or self._prober.owns(address)
            found = always or await self._local_user(address, local)
        else:
            hit = await self._finder.find(listed.maps, address)
            found = hit if isinstance(hit, Deferred) else hit is not None
        if isinstance(found, Deferred):
            return found
        if found:
            return None
        shown = f" in {listed.table}" if self._show else ""
        origin = self._settings.origin(listed.parameter) or answer.origin
        text = f"{who} address rejected: User unknown{shown}"
        return Unlisted(listed.code, enhanced, text, listed.parameter, origin)

    async def _local_user(self, address: str, local: str) -> bool | Deferred:
        """The keys of rewrite.keys for a local address; the user database is not asked for `user@domain`."""
        if self._local_full:
            hit = await self._finder.find(self._local_full, address, localpart=False, at_domain=True)
            if hit is not None:
                return hit if isinstance(hit, Deferred) else True
        hit = await self._finder.find(self._local, local, localpart=False, at_domain=False)
        return hit if isinstance(hit, Deferred) else hit is not None


def _joined(tables: Tables, settings: Settings, names: tuple[str, ...]) -> Maps:
    return Maps(table for name in names for table in Maps.from_settings(tables, settings, name).tables)


def _undeliverable(answer: Resolved, who: str, enhanced: str) -> Unlisted:
    """The reply for an address that transport_maps or relocated_maps send to error(8) or retry."""
    match = _CODE.match(answer.nexthop)
    if match is not None:
        enhanced = match.group(1)
    text = answer.nexthop[match.end() :] if match is not None else answer.nexthop
    code = 450 if answer.transport == "retry" else 550
    enhanced = f"{code // 100}{enhanced[1:]}"  # the transport says for how long, whatever the code says
    return Unlisted(code, enhanced, f"{who} address rejected: {text}", answer.reason, answer.origin)
