"""Routes that end in a mailbox: `local` with its aliases, and `virtual`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.request import Result, Target
from tayori.delivery.trace_headers import loops, prefix
from tayori.programs.daemons.dispatch.ended import Ended, Work
from tayori.programs.daemons.dispatch.members import Members, Way
from tayori.programs.daemons.dispatch.ways_out import Forward
from tayori.programs.daemons.local_client import AgentLost, LocalAgent
from tayori.protocol.address import quote, split
from tayori.queue.model import Recipient
from tayori.rewrite.aliases import Address, Aliases, Loop, Unsupported, User
from tayori.rewrite.keys import Finder
from tayori.rewrite.results import Deferred
from tayori.tables.maps import Maps
from tayori.tables.registry import Tables

CONFIG_TROUBLE = "mail system configuration error"


class Mailboxes:
    """Turns recipients into targets for the local process, and its answers into outcomes."""

    def __init__(
        self, settings: Settings, tables: Tables, aliases: Aliases, finder: Finder, agent: LocalAgent
    ) -> None:
        """Raises ConfigError. `members` is set where mailbox_transport or its like are."""
        self.members: Members | None = None
        self._aliases = aliases
        self._finder = finder
        self._agent = agent
        self._host = settings.text("myhostname").replace("/", "\\057").replace(":", "\\072")
        self._domain = settings.text("myorigin")
        self._delivered_to = "file" in settings.items("prepend_delivered_header")
        self._original = settings.flag("enable_original_recipient")
        self._mailbox_maps = Maps.from_settings(tables, settings, "virtual_mailbox_maps")
        self._uid_maps = Maps.from_settings(tables, settings, "virtual_uid_maps")
        self._gid_maps = Maps.from_settings(tables, settings, "virtual_gid_maps")
        self._base = settings.text("virtual_mailbox_base").rstrip("/")

    async def deliver(self, work: Work, local: Sequence[Recipient], virtual: Sequence[Recipient]) -> list[Ended]:
        """Deliver to all of them in one request to the local process. Raises AgentLost when it went away."""
        ended: list[Ended] = []
        targets: list[Target] = []
        owners: list[tuple[Recipient, str, bool]] = []
        passed: list[Way] = []
        for recipient in local:
            if loops(work.header, quote(recipient.address)):
                text = f"mail forwarding loop for {recipient.address}"
                ended.append(Ended(recipient, BouncedDelivery(text, "5.4.6", "local"), "local"))
            else:
                await self._local(work, recipient, targets, owners, ended, passed)
        for recipient in virtual:
            await self._virtual(work, recipient, targets, owners, ended)
        if targets:
            results = await self._agent.deliver(
                work.message.number, work.content, tuple(targets), work.message.recovered
            )
            for result in results:
                recipient, address, part = owners[result.n]
                program = targets[result.n].kind
                ended.append(Ended(recipient, outcome(result, program), program, address, part))
        if self.members is not None:
            # only now: deliver is asked again when the local process dies, and these must not go out twice
            for member, resolved in passed:
                for end in await self.members.send(work, member, resolved):
                    ended.append(replace(end, address=member.address, part=True))
        return ended

    async def _local(
        self,
        work: Work,
        recipient: Recipient,
        targets: list[Target],
        owners: list[tuple[Recipient, str, bool]],
        ended: list[Ended],
        passed: list[Way],
    ) -> None:
        local_part, _ = split(recipient.address)
        expansion = None if recipient.expanded else await self._aliases.expand(local_part)
        if isinstance(expansion, Deferred):
            ended.append(
                Ended(recipient, DeferredDelivery(f"alias database unavailable: {expansion.why}", "4.3.0"), "local")
            )
            return
        if expansion is None:
            self._target(work, recipient, local_part, recipient.address, False, targets, owners)
            return
        forwards: list[str] = []
        owner = await self._aliases.owner(local_part)
        owned = isinstance(owner, str)  # aliases(5) owner-name: a new message, with the owner as its sender
        for member in expansion:
            match member:
                case User(name) if owned:
                    forwards.append(f"{name}@{self._domain}")
                case User(name):
                    address = f"{name}@{self._domain}"
                    way = await self.members.way(recipient, address, work.message.sender) if self.members else None
                    if isinstance(way, Forward):
                        forwards.append(way.address)
                    elif isinstance(way, Deferred):
                        trouble = DeferredDelivery(f"table unavailable: {way.why}", "4.3.0")
                        ended.append(Ended(recipient, trouble, "local", address, part=True))
                    elif way is not None:
                        passed.append(way)
                    else:
                        self._target(work, recipient, name, address, True, targets, owners)
                case Address(address):
                    forwards.append(address)
                case Loop(name):
                    text = f"alias database loop for {name}"
                    ended.append(Ended(recipient, BouncedDelivery(text, "5.4.6", "local"), "local", part=True))
                case Unsupported(kind, text):
                    why = f"alias destination {kind} {text!r} is not supported yet"
                    ended.append(Ended(recipient, DeferredDelivery(why, "4.3.5", "local"), "local", part=True))
        if forwards:
            sender = None
            if isinstance(owner, str):
                sender = owner if "@" in owner else f"{owner}@{self._domain}"
            ended.append(
                Ended(
                    recipient,
                    Delivered("forwarded", relay="local"),
                    "local",
                    part=True,
                    forwards=tuple(forwards),
                    forward_sender=sender,
                )
            )

    def _target(
        self,
        work: Work,
        recipient: Recipient,
        name: str,
        address: str,
        part: bool,
        targets: list[Target],
        owners: list[tuple[Recipient, str, bool]],
    ) -> None:
        user = self._finder.split_extension(name)[0].lower()
        self._add(work, recipient, Target(len(targets), "local", address, user), targets)
        owners.append((recipient, address, part))

    def _add(self, work: Work, recipient: Recipient, bare: Target, targets: list[Target]) -> None:
        message = work.message
        original = (recipient.original or recipient.address) if self._original else ""
        shown = recipient.address if self._delivered_to or bare.kind != "local" else ""
        targets.append(
            Target(
                bare.n,
                bare.kind,
                bare.address,
                bare.user,
                bare.mailbox,
                bare.uid,
                bare.gid,
                prefix(quote(message.sender), quote(original), quote(shown) if shown else ""),
                f"{int(message.arrival)}.Q{message.number:X}R{recipient.n}.{self._host}",
                quote(message.sender),
            )
        )

    async def _virtual(
        self,
        work: Work,
        recipient: Recipient,
        targets: list[Target],
        owners: list[tuple[Recipient, str, bool]],
        ended: list[Ended],
    ) -> None:
        values: list[str] = []
        for maps, what in ((self._mailbox_maps, "mailbox"), (self._uid_maps, "uid"), (self._gid_maps, "gid")):
            answer = await self._finder.find(maps, recipient.address)
            if isinstance(answer, Deferred):
                why = f"virtual_{what}_maps unavailable: {answer.why}"
                ended.append(Ended(recipient, DeferredDelivery(why, "4.3.0", "virtual"), "virtual"))
                return
            if answer is None:
                ended.append(Ended(recipient, self._unlisted(recipient, what), "virtual"))
                return
            values.append(answer.found.value)
        path, uid, gid = values
        if not (uid.isdigit() and gid.isdigit()):
            ended.append(Ended(recipient, DeferredDelivery(CONFIG_TROUBLE, "4.3.5", "virtual"), "virtual"))
            return
        if self._base:
            path = f"{self._base}/{path}"
        target = Target(len(targets), "virtual", recipient.address, "", path, int(uid), int(gid))
        self._add(work, recipient, target, targets)
        owners.append((recipient, recipient.address, False))

    @staticmethod
    def _unlisted(recipient: Recipient, what: str) -> DeliveryOutcome:
        if what == "mailbox":
            return BouncedDelivery(f'unknown user: "{recipient.address}"', "5.1.1", "virtual")
        return DeferredDelivery(CONFIG_TROUBLE, "4.3.5", "virtual")


def outcome(result: Result, relay: str) -> DeliveryOutcome:
    """The local process's answer as an outcome."""
    if result.status == "sent":
        return Delivered(result.text, result.enhanced, relay)
    if result.status == "bounced":
        return BouncedDelivery(result.text, result.enhanced, relay)
    return DeferredDelivery(result.text, result.enhanced, relay)


async def repeated(
    mailboxes: Mailboxes, work: Work, local: Sequence[Recipient], virtual: Sequence[Recipient]
) -> list[Ended]:
    """`deliver`, asked again as a recovered message when the local process dies under it."""
    for pause in (0.0, 0.2, 1.0):
        try:
            return await mailboxes.deliver(work, local, virtual)
        except AgentLost as error:
            lost = str(error)
            await asyncio.sleep(pause)
            work = recovered(work)
    text = f"the local delivery process cannot be reached: {lost}"
    return [
        Ended(r, DeferredDelivery(text, "4.3.0", program), program)
        for program, some in (("local", local), ("virtual", virtual))
        for r in some
    ]


def recovered(work: Work) -> Work:
    """The same work after an attempt whose end is unknown."""
    return replace(work, message=msgspec.structs.replace(work.message, recovered=True))
