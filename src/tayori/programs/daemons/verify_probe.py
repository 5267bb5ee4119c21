"""The probe of verify(8): what would become of mail for an address, found out without sending any.

The address goes the way that mail goes: canonical and virtual alias mappings, the resolver (with the
address_verify_… transports, maps and relay host in place of the usual ones), then its transport. Of several
recipients one that can be delivered is enough. `smtp` and `lmtp` ask the next hop; `local` and `virtual` look for the
mailbox; a pipe is taken at its word, as pipe(8) does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, runtime_checkable

from tayori.config.maincf import Assignment
from tayori.config.origin import Origin
from tayori.config.settings import Settings
from tayori.delivery.discard import discard
from tayori.delivery.error import error, retry
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.passwd import LookupFailed, Users
from tayori.programs.daemons.dispatch.ways_out import Forward, WaysOut
from tayori.protocol.address import split
from tayori.queue.model import Recipient
from tayori.rewrite.aliases import Aliases, Loop
from tayori.rewrite.classes import Classes
from tayori.rewrite.cleanup import Cleanup, Incoming
from tayori.rewrite.generic import Generic
from tayori.rewrite.keys import Finder
from tayori.rewrite.probe_sender import ProbeSender
from tayori.rewrite.resolve import Resolver
from tayori.rewrite.results import Deferred, Resolved, Rewritten
from tayori.tables.maps import Maps
from tayori.tables.registry import Tables

_log = logging.getLogger("tayori.verify")
ROUTING = (
    "transport_maps",
    "relayhost",
    "local_transport",
    "virtual_transport",
    "relay_transport",
    "default_transport",
    "sender_dependent_relayhost_maps",
    "sender_dependent_default_transport_maps",
)
AT_ONCE: dict[str, Callable[[str], DeliveryOutcome]] = {"error": error, "retry": retry, "discard": discard}


@runtime_checkable
class Asks(Protocol):
    """An agent that can ask: delivery.smtp.SmtpAgent."""

    def probe(self, nexthop: str, sender: str, address: str) -> Awaitable[DeliveryOutcome]:
        """Whether the next hop takes mail for the address."""
        ...


class Prober:
    """Asks about one address at a time, any number at once."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        classes: Classes,
        cleanup: Cleanup,
        aliases: Aliases,
        program: Callable[[str], str],
        agents: Mapping[str, object],
        generic: Mapping[str, Generic],
    ) -> None:
        """`program`: the master.cf program of a transport; `generic` by program. Raises ConfigError."""
        self._probe_sender = ProbeSender(settings)
        self._cleanup = cleanup
        self._aliases = aliases
        self._program = program
        self._agents = agents
        self._generic = generic
        self._finder = Finder(settings, classes.is_local)
        self._resolver = Resolver(_routed(settings), tables, classes)
        self._ways_out = WaysOut(settings, tables, aliases, self._finder, self._resolver)
        self._users = Users.configured(settings)
        self._mailboxes = Maps.from_settings(tables, settings, "virtual_mailbox_maps")

    @property
    def _sender(self) -> str:
        return self._probe_sender.now()

    async def ask(self, address: str) -> DeliveryOutcome:
        """The best outcome of the recipients that `address` stands for."""
        message = Incoming(self._sender, (Rewritten(address, address),), b"\n", internal=True)
        cleaned = await self._cleanup.clean(message)
        if cleaned.reject is not None:
            code, enhanced, text = cleaned.reject
            return (DeferredDelivery if code < 500 else BouncedDelivery)(text, enhanced)
        worst: DeliveryOutcome = BouncedDelivery("the address stands for nobody", "5.1.1")
        for recipient in cleaned.recipients:
            begun = time.monotonic()
            outcome = await self._recipient(recipient.address)
            shown = f", orig_to=<{address}>" if recipient.address != address else ""
            state = "deliverable" if isinstance(outcome, Delivered) else "undeliverable"
            _log.info(
                f"probe: to=<{recipient.address}>{shown}, relay={outcome.relay}, "
                f"delay={time.monotonic() - begun:.2g}, dsn={outcome.enhanced}, status={state} ({outcome.text})"
            )
            if isinstance(outcome, Delivered):
                return outcome
            worst = outcome
        return worst

    async def _recipient(self, address: str) -> DeliveryOutcome:
        resolved = await self._resolver.resolve(address, self._sender)
        if isinstance(resolved, Deferred):
            return DeferredDelivery(f"address resolver failure: {resolved.why}", "4.3.0")
        program = self._program(resolved.transport)
        recipient = Recipient(1, resolved.address)
        if program == "local" and self._ways_out.active:
            way = await self._ways_out.find(recipient, resolved, self._sender)
            if isinstance(way, Deferred):
                return DeferredDelivery(f"table unavailable: {way.why}", "4.3.0")
            if isinstance(way, Forward):
                return Delivered(f"forwarded to {way.address}", relay="local")
            recipient, resolved = way
            program = self._program(resolved.transport)
        if program == "local":
            return await self._local(recipient.address)
        if program == "virtual":
            return await self._virtual(recipient.address)
        if program in AT_ONCE:
            return AT_ONCE[program](resolved.nexthop)
        return await self._remote(program, resolved, recipient.address)

    async def _local(self, address: str) -> DeliveryOutcome:
        """local(8): an alias, or a user."""
        local, _ = split(address)
        alias = await self._aliases.expand(local)
        if isinstance(alias, Deferred):
            return DeferredDelivery(f"alias database unavailable: {alias.why}", "4.3.0")
        if alias is not None:
            if alias and all(isinstance(member, Loop) for member in alias):
                return BouncedDelivery(f"alias database loop for {local}", "5.4.6", "local")
            return Delivered("an alias", relay="local")
        user = self._finder.split_extension(local)[0].lower()
        try:
            known = self._users.find(user)
        except LookupFailed:
            return DeferredDelivery("user lookup error", "4.3.0", "local")
        if known is None:
            return BouncedDelivery(f'unknown user: "{user}"', "5.1.1", "local")
        return Delivered("a user", relay="local")

    async def _virtual(self, address: str) -> DeliveryOutcome:
        """virtual(8): virtual_mailbox_maps."""
        hit = await self._finder.find(self._mailboxes, address)
        if isinstance(hit, Deferred):
            return DeferredDelivery(f"virtual_mailbox_maps unavailable: {hit.why}", "4.3.0", "virtual")
        if hit is None:
            return BouncedDelivery(f'unknown user: "{address}"', "5.1.1", "virtual")
        return Delivered("a virtual mailbox", relay="virtual")

    async def _remote(self, program: str, resolved: Resolved, address: str) -> DeliveryOutcome:
        agent = self._agents.get(resolved.transport)
        if agent is None:
            return DeferredDelivery("mail transport unavailable", "4.3.0")
        if not isinstance(agent, Asks):
            return Delivered(f"delivers to {program}", relay=resolved.transport)
        sender: str | Deferred = self._sender
        shown: str | Deferred = address
        generic = self._generic.get(program)
        if generic:
            sender, shown = await generic.map(self._sender), await generic.map(address)
        if isinstance(sender, Deferred) or isinstance(shown, Deferred):
            return DeferredDelivery("generic map lookup failure", "4.3.0")
        return await agent.probe(resolved.nexthop, sender, shown)


def _routed(settings: Settings) -> Settings:
    """The settings with address_verify_NAME in the place of NAME, where the two differ."""
    changed = []
    for name in ROUTING:
        own = f"address_verify_{name}"
        value = settings.text(own)
        if value != settings.text(name):
            origin = settings.origin(own) or Origin("default", 0)
            changed.append(Assignment(name, value.replace("$", "$$"), origin, ()))
    return settings.with_overrides(changed) if changed else settings
