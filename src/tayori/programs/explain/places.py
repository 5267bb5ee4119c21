"""Stands in for the local process and for who runs commands: says where mail would go, writes and runs nothing."""

from __future__ import annotations

import pwd
from collections.abc import Sequence
from contextlib import suppress

from tayori.config.settings import Settings
from tayori.delivery.accounts import NoAccount
from tayori.delivery.local import LocalMailboxes
from tayori.delivery.outcome import DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.passwd import Users
from tayori.delivery.place import Place
from tayori.delivery.request import Result, Target
from tayori.delivery.virtual import VirtualMailboxes
from tayori.programs.daemons.compose import House
from tayori.programs.daemons.member import Start
from tayori.programs.daemons.rounds import forward_of, list_of
from tayori.programs.daemons.special import Order, Special
from tayori.queue.content import Content
from tayori.rewrite.aliases import Command, File
from tayori.rewrite.aliases import Target as Leaf
from tayori.rewrite.results import Deferred


class Places:
    """Answers each target with its mailbox. `owners`: whose rights a place is written with; `read`: for whom which
    .forward file or list was read, and with whose rights."""

    def __init__(self, settings: Settings) -> None:
        self._local = LocalMailboxes(settings, Users.configured(settings))
        self._virtual = VirtualMailboxes(settings, not settings.system.root or settings.flag("tayori_single_user"))
        self.owners: dict[str, str] = {}
        self.read: dict[tuple[str, str], str] = {}

    async def deliver(
        self, number: int, content: Content, targets: tuple[Target, ...], recovered: bool = False
    ) -> Sequence[Result]:
        """One Result per target."""
        return [self._one(target) for target in targets]

    def _one(self, target: Target) -> Result:
        if target.kind == "include":
            found = list_of(target)
            if found.status == "include":
                self.read[target.address, target.mailbox] = named(target.uid, target.gid)
            return found
        place = self._virtual.place(target) if target.kind == "virtual" else self._local.place(target)
        if isinstance(place, Result):
            return place
        forward = forward_of(target, place) if place.forward else None
        if forward is not None:
            if forward.status == "forward":
                self.read[target.address, forward.text] = _owner(place)
            return forward
        if target.kind == "forward":
            return Result(target.n, "none", "2.0.0", "")
        path = f"{place.path}/" if place.maildir else place.path
        self.owners[path] = _owner(place)
        return Result(target.n, "sent", "2.0.0", path)


class Told:
    """`Special` that only says what it would run or write, and as whom."""

    def __init__(self, house: House, places: Places) -> None:
        """Raises ConfigError."""
        self._special = Special(house.settings, house.tables, house.aliases, house.finder, places)
        self._places = places

    async def expand(self, start: Start) -> tuple[Leaf, ...] | Deferred:
        """As Special.expand."""
        return await self._special.expand(start)

    async def run(self, order: Order, content: Content) -> DeliveryOutcome:
        """The command with a `|` before it, or the file."""
        leaf = await self._special.chosen(order)
        if not isinstance(leaf, Command | File):
            return leaf
        try:
            account, _ = self._special.accounts.of(leaf.source)
        except NoAccount as error:
            return DeferredDelivery(str(error), "4.3.5", "local")
        where = f"|{leaf.text}" if isinstance(leaf, Command) else leaf.path
        self._places.owners[where] = named(account.uid, account.gid)
        return Delivered(where, "2.0.0", "local")


def named(uid: int, gid: int) -> str:
    """`nobody (65534:65534)`."""
    with suppress(KeyError):
        return f"{pwd.getpwuid(uid).pw_name} ({uid}:{gid})"
    return f"{uid}:{gid}"


def _owner(place: Place) -> str:
    name = place.owner
    if not name:
        with suppress(KeyError):
            name = pwd.getpwuid(place.uid).pw_name
    return f"{name} ({place.uid}:{place.gid})" if name else f"{place.uid}:{place.gid}"
