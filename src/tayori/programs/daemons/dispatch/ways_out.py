"""Where a local recipient goes instead of a mailbox here (local(8)).

Aliases and .forward files come first: a name that has one takes none of these ways. mailbox_transport (and its maps)
then holds for every name, fallback_transport and luser_relay for names that are no user.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from tayori.config.settings import Settings
from tayori.delivery.passwd import LookupFailed, Users
from tayori.delivery.trace_headers import loops
from tayori.programs.daemons.member import MAILBOX
from tayori.protocol.address import quote, split
from tayori.queue.model import Recipient
from tayori.rewrite.aliases import Aliases
from tayori.rewrite.keys import Finder
from tayori.rewrite.localroute import LocalRoute, Service
from tayori.rewrite.resolve import Resolver
from tayori.rewrite.results import AddressClass, Deferred, Resolved
from tayori.tables.registry import Tables

PARAMETERS = (
    "mailbox_transport",
    "mailbox_transport_maps",
    "fallback_transport",
    "fallback_transport_maps",
    "luser_relay",
)


@dataclass(frozen=True, slots=True)
class Forward:
    """A new message to this address, which passes cleanup (canonical, virtual aliases) as forwarded mail does."""

    address: str


class WaysOut:
    """`active` is False where none of the parameters is set: nothing is asked then."""

    def __init__(
        self, settings: Settings, tables: Tables, aliases: Aliases, finder: Finder, resolver: Resolver
    ) -> None:
        """Raises ConfigError."""
        self.active = any(settings.raw(name) for name in PARAMETERS)
        self._aliases, self._finder, self._resolver = aliases, finder, resolver
        self.forwards: Callable[[str], Awaitable[bool | Deferred]] | None = None
        self._route = LocalRoute(settings, tables)
        self._users = Users.configured(settings)

    async def find(
        self, recipient: Recipient, resolved: Resolved, sender: str, header: bytes = b""
    ) -> tuple[Recipient, Resolved] | Forward | Deferred:
        """The recipient and route as they are, or as these parameters change them. Of the `header` only Delivered-To
        counts: a mail that was at this address before is left to the local delivery, which returns it."""
        if loops(header, quote(recipient.address)):
            return recipient, resolved
        local, domain = split(recipient.address)
        if recipient.member not in ("", MAILBOX):
            return recipient, resolved
        if not recipient.expanded:
            alias = await self._aliases.expand(local)
            if isinstance(alias, Deferred):
                return alias
            if alias is not None:
                return recipient, resolved
        user = self._finder.split_extension(local)[0].lower()
        if self.forwards is not None and not recipient.member and self._known(user):
            forwards = await self.forwards(recipient.address)
            if forwards:
                return forwards if isinstance(forwards, Deferred) else (recipient, resolved)
        service = await self._route.mailbox(user)
        if service is None and not self._known(user):
            service = await self._route.fallback(user)
            if service is None:
                return await self._luser(recipient, resolved, sender)
        if service is None:
            return recipient, resolved
        if isinstance(service, Deferred):
            return service
        return recipient, _through(service, resolved, domain)

    def _known(self, user: str) -> bool:
        """Whether delivery here can go on; a data base that cannot answer is delivery's own affair."""
        try:
            return self._users.find(user) is not None
        except LookupFailed:
            return True

    async def _luser(
        self, recipient: Recipient, resolved: Resolved, sender: str
    ) -> tuple[Recipient, Resolved] | Forward | Deferred:
        address = self._route.luser(recipient.address)
        if address is None or address.lower() == recipient.address.lower():
            return recipient, resolved
        found = await self._resolver.resolve(address, sender)
        if isinstance(found, Deferred):
            return found
        if found.kind is not AddressClass.LOCAL or found.transport != resolved.transport:
            return Forward(address)
        original = recipient.original or recipient.address
        shown = recipient.delivered or recipient.address  # so that mail that comes back here is seen
        return msgspec.structs.replace(recipient, address=found.address, original=original, delivered=shown), found


def _through(service: Service, resolved: Resolved, domain: str) -> Resolved:
    return msgspec.structs.replace(
        resolved,
        transport=service.transport,
        nexthop=service.nexthop or domain.lower(),
        reason=service.reason,
        origin=service.origin,
    )
