"""What of local(8) needs somebody's rights: commands, files and lists that aliases and ~/.forward files name.

`Special` finds them out for itself each time: it is told the recipient, follows aliases, lists and .forward anew, and
does only what stands there. A worker that is not what it should be can make a command of an alias run, which any mail
can, but no command of its own. It lives in the pipe process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from tayori.config.settings import Settings
from tayori.delivery.accounts import Accounts, NoAccount
from tayori.delivery.command import Commands, Letter
from tayori.delivery.filename import file_name, safe_host
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.passwd import Users
from tayori.delivery.request import Result, Target
from tayori.delivery.trace_headers import prefix
from tayori.programs.daemons.local_client import AgentLost
from tayori.programs.daemons.member import Start, encoded
from tayori.programs.daemons.turns import Turns
from tayori.protocol.address import quote, split
from tayori.queue.content import Content
from tayori.queue.model import Attributes, Recipient
from tayori.rewrite.aliases import Aliases, Command, File, Include, Loop, Refused, Source
from tayori.rewrite.aliases import Target as Leaf
from tayori.rewrite.form import local_domain
from tayori.rewrite.keys import Finder
from tayori.rewrite.results import Deferred
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables

MAX_LISTS = 1000
"""Lists that one name may lead to, however they name one another."""
CONFIG_TROUBLE = "mail system configuration error"
GONE = BouncedDelivery("the alias or .forward no longer names this destination", "5.3.5", "local")
_log = logging.getLogger("tayori.local")


class Order(msgspec.Struct, frozen=True):
    """One command or file of `start`; `leaf` None is the only one. The rest is of the message."""

    start: Start
    leaf: Leaf | None
    number: int
    arrival: float
    sender: str
    recipient: Recipient
    attributes: Attributes
    recovered: bool = False


class Agent(Protocol):
    """The local process (local_client.LocalAgent)."""

    async def deliver(
        self, number: int, content: Content, targets: tuple[Target, ...], recovered: bool
    ) -> Sequence[Result]:
        """One Result per target. Raises AgentLost."""
        ...


class Privileged(Protocol):
    """`Special`, or the one that asks the pipe process."""

    async def expand(self, start: Start) -> tuple[Leaf, ...] | Deferred:
        """What it leads to, lists opened, what is not allowed refused."""
        ...

    async def run(self, order: Order, content: Content) -> DeliveryOutcome:
        """Do it."""
        ...


class MailboxCommand:
    """mailbox_command_maps and mailbox_command."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        """Raises ConfigError."""
        self._maps = Maps.from_settings(tables, settings, "mailbox_command_maps")
        self._fixed = settings.text("mailbox_command")
        self.active = bool(self._maps or self._fixed)

    async def of(self, user: str) -> str | Deferred:
        """The command for this user, empty for none."""
        if self._maps:
            answer = await self._maps.lookup(user)
            if isinstance(answer, TempFail):
                return Deferred(answer.why)
            if isinstance(answer, Found):
                return answer.value
        return self._fixed


class Special:
    """See above."""

    def __init__(self, settings: Settings, tables: Tables, aliases: Aliases, finder: Finder, agent: Agent) -> None:
        """Raises ConfigError."""
        self._aliases, self._finder, self._agent = aliases, finder, agent
        self._mailbox = MailboxCommand(settings, tables)
        self._commands = Commands(settings)
        self._turns = Turns(
            settings.number("local_destination_concurrency_limit"), settings.number("default_process_limit")
        )
        self.accounts = Accounts(settings, Users.configured(settings))
        self._allowed = {
            Command: settings.items("allow_mail_to_commands"),
            File: settings.items("allow_mail_to_files"),
        }
        self._domain = local_domain(settings)
        self._host = safe_host(settings.text("myhostname"))
        headers = settings.items("prepend_delivered_header")
        self._delivered_to = {Command: "command" in headers, File: "file" in headers}
        self._frozen = settings.flag("frozen_delivered_to")
        self._original = settings.flag("enable_original_recipient")

    async def expand(self, start: Start) -> tuple[Leaf, ...] | Deferred:
        """What an alias, a .forward file or mailbox_command leads to; nothing where there is none."""
        local, _ = split(start.address)
        base, extension = self._finder.split_extension(local)
        user = base.lower()
        leaves: tuple[Leaf, ...] | Deferred | None
        try:
            if start.kind == "alias":
                leaves = await self._aliases.expand(local)
            elif start.kind == "forward":
                leaves = await self._forward(start.address, user, local[len(base) :] if extension else "")
            else:
                command = await self._mailbox.of(user)
                if isinstance(command, Deferred):
                    return command
                return (Command(command, Source("mailbox", "", user)),) if command else ()
            if leaves is None or isinstance(leaves, Deferred):
                return leaves or ()
            return await self._opened(leaves, user if start.kind == "forward" else "", start.address)
        except NoAccount as error:
            _log.warning("%s: %s", start.address, error)
            return Deferred(CONFIG_TROUBLE)
        except AgentLost as error:
            return Deferred(str(error))

    async def _forward(self, address: str, user: str, extension: str) -> tuple[Leaf, ...] | Deferred:
        (found,) = await self._agent.deliver(0, b"", (Target(0, "forward", address, user, look=True),), False)
        if found.status == "deferred":
            return Deferred(found.text)
        if found.status != "forward":
            return ()
        source = Source("forward", found.text, user)
        return await self._aliases.follow(found.data, source, user, "" if found.whole else extension)

    async def _opened(self, leaves: tuple[Leaf, ...], me: str, address: str) -> tuple[Leaf, ...] | Deferred:
        """With the lists' members in the place of the lists."""
        out: dict[Leaf, None] = {}
        waiting = list(reversed(leaves))
        seen: set[tuple[str, str]] = set()
        while waiting:
            leaf = waiting.pop()
            if not isinstance(leaf, Include):
                out[self._refused(leaf)] = None
                continue
            if (leaf.path, leaf.source.user) in seen:
                continue
            seen.add((leaf.path, leaf.source.user))
            if len(seen) > MAX_LISTS:
                out[Loop(leaf.path)] = None
                break
            found = await self._list(leaf, address)
            if found.status == "deferred":
                return Deferred(found.text)
            if found.status == "bounced":
                out[Refused(found.text, found.enhanced)] = None
                continue
            members = await self._aliases.follow(found.data, self._below(leaf, found.uid), me, leaf.extension, leaf)
            if isinstance(members, Deferred):
                return members
            waiting += reversed(members)
        return tuple(out)

    async def _list(self, leaf: Include, address: str) -> Result:
        account = self.accounts.reader(leaf.source)
        target = Target(0, "include", address, mailbox=leaf.path, uid=account.uid, gid=account.gid)
        (found,) = await self._agent.deliver(0, b"", (target,), False)
        return found

    def _below(self, leaf: Include, uid: int) -> Source:
        """What the members of a list may do: what its namer may, where that is somebody, else its owner."""
        source = leaf.source
        above = 0 if source.user else self.accounts.owner(source)
        return Source("include", leaf.path, source.user, above or uid)

    def _refused(self, leaf: Leaf) -> Leaf:
        if isinstance(leaf, Command | File) and leaf.source.kind not in self._allowed[type(leaf)]:
            what = "command" if isinstance(leaf, Command) else "file"
            return Refused(f"mail to {what} is restricted", "5.7.1")
        return leaf

    async def chosen(self, order: Order) -> Command | File | DeliveryOutcome:
        """What the order means, found out anew; an outcome where there is nothing to do."""
        leaves = await self.expand(order.start)
        if isinstance(leaves, Deferred):
            return DeferredDelivery(leaves.why, "4.3.0", "local")
        leaf = order.leaf if order.leaf is not None else next(iter(leaves), None)
        return leaf if leaf in leaves and isinstance(leaf, Command | File) else GONE

    async def run(self, order: Order, content: Content, wanted: Callable[[], bool] = lambda: True) -> DeliveryOutcome:
        """Run the command or write the file, as whom the place that names it says. `wanted`: whether anybody waits
        for that when its turn comes."""
        leaf = await self.chosen(order)
        if not isinstance(leaf, Command | File):
            return leaf
        try:
            account, user = self.accounts.of(leaf.source)
        except NoAccount as error:
            _log.warning("%s: %s", order.recipient.address, error)
            return DeferredDelivery(CONFIG_TROUBLE, "4.3.5", "local")
        letter = self._letter(order, leaf)
        if isinstance(leaf, Command):
            async with self._turns.of(order.start.address.lower()):
                if not wanted():
                    return DeferredDelivery("nobody waits for it any more", "4.3.0", "local")
                return await self._commands.deliver(leaf.text, letter, content, account, user)
        sender = quote(letter.sender) if letter.sender else ""
        target = Target(
            0,
            "file",
            letter.recipient,
            mailbox=leaf.path,
            uid=account.uid,
            gid=account.gid,
            prefix=prefix(sender, letter.original, letter.delivered),
            name=file_name(order.number, order.arrival, order.recipient, self._host, encoded(order.start, leaf)),
            sender=sender,
        )
        try:
            (found,) = await self._agent.deliver(order.number, content, (target,), order.recovered)
        except AgentLost as error:
            return DeferredDelivery(str(error), "4.3.0", "local")
        if found.status == "sent":
            return Delivered(found.text, found.enhanced, "local")
        if found.status == "bounced":
            return BouncedDelivery(found.text, found.enhanced, "local")
        return DeferredDelivery(found.text, found.enhanced, "local")

    def _letter(self, order: Order, leaf: Command | File) -> Letter:
        recipient = order.recipient
        address = f"{leaf.name}@{self._domain}" if leaf.name else order.start.address
        first = (recipient.delivered or recipient.address) if self._frozen else address
        asked = recipient.original or recipient.address
        owned = leaf.owner is not None
        return Letter(
            sender=sender_of(leaf.owner, self._domain) if leaf.owner is not None else order.sender,
            recipient=address,
            original=quote(asked) if self._original and not owned else "",
            delivered=quote(first) if self._delivered_to[type(leaf)] else "",
            attributes=order.attributes,
            asked="" if owned else asked,
        )


def sender_of(owner: str, domain: str) -> str:
    """The envelope sender that an owner- alias gives."""
    return owner if "@" in owner else f"{owner}@{domain}"
