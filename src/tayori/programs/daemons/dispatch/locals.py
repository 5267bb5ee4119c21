"""Local recipients: aliases, ~/.forward, commands, mailboxes (local(8)).

An alias or .forward becomes members. Each ends by itself, and one that is tried again waits in the queue by itself,
so that what is done is not repeated. Nothing of this is in the queue before the attempt is settled: a crash in the
middle repeats the whole attempt, and finds the Maildir files that are there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tayori.config.settings import Settings
from tayori.delivery.filename import file_name, safe_host
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered
from tayori.delivery.request import Result, Target
from tayori.delivery.trace_headers import prefix
from tayori.programs.daemons.dispatch.attempt import Aim, Attempt
from tayori.programs.daemons.dispatch.ended import Ended
from tayori.programs.daemons.dispatch.members import Members
from tayori.programs.daemons.dispatch.ways_out import Forward
from tayori.programs.daemons.local_client import AgentLost
from tayori.programs.daemons.member import MAILBOX, Start, decoded, encoded
from tayori.programs.daemons.special import Agent, MailboxCommand, Order, Privileged, Special, sender_of
from tayori.protocol.address import quote, split
from tayori.queue.model import Recipient
from tayori.rewrite.aliases import Address, Aliases, Command, File, Include, Loop, Refused, Source, User
from tayori.rewrite.aliases import Target as Leaf
from tayori.rewrite.form import local_domain
from tayori.rewrite.keys import Finder
from tayori.rewrite.results import Deferred
from tayori.tables.registry import Tables

FORWARDED = Delivered("forwarded", relay="local")


class Locals:
    """Fills an Attempt."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        aliases: Aliases,
        finder: Finder,
        agent: Agent,
        special: Privileged | None,
    ) -> None:
        """Raises ConfigError."""
        self.members: Members | None = None
        self._aliases, self._finder, self._agent = aliases, finder, agent
        self._special: Privileged = special or Special(settings, tables, aliases, finder, agent)
        self._command = MailboxCommand(settings, tables)
        self._looks = bool(settings.items("forward_path"))
        self._host = safe_host(settings.text("myhostname"))
        self._domain = local_domain(settings)
        self._delivered_to = "file" in settings.items("prepend_delivered_header")
        self._original = settings.flag("enable_original_recipient")
        self._frozen = settings.flag("frozen_delivered_to")

    async def begin(self, run: Attempt, recipient: Recipient) -> None:
        """One recipient of the message."""
        if recipient.member and recipient.member != MAILBOX:
            self._again(run, recipient)
            return
        local_part, _ = split(recipient.address)
        expansion = None if recipient.expanded else await self._aliases.expand(local_part)
        if isinstance(expansion, Deferred):
            text = f"alias database unavailable: {expansion.why}"
            run.ended.append(Ended(recipient, DeferredDelivery(text, "4.3.0"), "local"))
        elif expansion is None:
            aim = Aim(recipient, recipient.address, member=recipient.member)
            await self._user(run, aim, local_part)
        else:
            await self._expanded(run, Aim(recipient, recipient.address), Start("alias", recipient.address), expansion)

    async def looked(self, run: Attempt, aim: Aim, target: Target, result: Result) -> None:
        """What the local process says of a user's .forward."""
        local, _ = split(aim.address)
        if result.status == "none":
            await self._mailbox(run, aim, local)
            return
        base, _ = self._finder.split_extension(local)
        extension = "" if result.whole else local[len(base) :]
        source = Source("forward", result.text, target.user)
        expansion = await self._aliases.follow(result.data, source, target.user, extension)
        if isinstance(expansion, Deferred):
            run.ended.append(aim.ended(DeferredDelivery(f"table unavailable: {expansion.why}", "4.3.0")))
        elif expansion:
            await self._expanded(run, aim, Start("forward", aim.address), expansion)
        else:
            await self._mailbox(run, aim, local)

    async def forwards(self, address: str) -> bool | Deferred:
        """Whether the user of this address has a .forward."""
        local, _ = split(address)
        user = self._finder.split_extension(local)[0].lower()
        if not self._looks:
            return False
        try:
            (found,) = await self._agent.deliver(0, b"", (Target(0, "forward", address, user, look=True),), False)
        except AgentLost as error:
            return Deferred(str(error))
        return Deferred(found.text) if found.status == "deferred" else found.status == "forward"

    async def _expanded(self, run: Attempt, aim: Aim, start: Start, expansion: Iterable[Leaf]) -> None:
        """The members of an alias or .forward."""
        members = tuple(expansion)
        if any(isinstance(member, Command | File | Include) for member in members):
            found = await self._special.expand(start)
            if isinstance(found, Deferred):
                run.ended.append(aim.ended(DeferredDelivery(found.why, "4.3.0", "local")))
                return
            members = found
        recipient = aim.recipient
        forwards: dict[str | None, list[str]] = defaultdict(list)
        for member in members:
            if (recipient.n, member) in run.seen:
                continue
            run.seen.add((recipient.n, member))
            owner = aim.owner
            if isinstance(member, User | Address | Command | File):
                owner = owner if member.owner is None else member.owner
            match member:
                case User(name) if owner is not None:
                    # aliases(5) owner-name: a new message, with the owner as its sender
                    forwards[owner].append(f"{name}@{self._domain}")
                case User(name, plain):
                    # in one's own .forward one's name is this recipient, in an alias a user of his own
                    address = aim.address if start.kind == "forward" else f"{name}@{self._domain}"
                    one = Aim(recipient, address, True, MAILBOX if plain else "")
                    await self._member(run, one, name, forwards[None])
                case Address(address):
                    forwards[owner].append(address)
                case Loop(name):
                    outcome = BouncedDelivery(f"alias database loop for {name}", "5.4.6", "local")
                    run.ended.append(Ended(recipient, outcome, "local", aim.address, part=True))
                case Refused(text, enhanced):
                    outcome = BouncedDelivery(text, enhanced, "local")
                    run.ended.append(Ended(recipient, outcome, "local", aim.address, part=True))
                case Command() | File():
                    address = f"{member.name}@{self._domain}" if member.name else aim.address
                    self._job(run, Aim(recipient, address, True, encoded(start, member)), start, member)
        for owner, addresses in forwards.items():
            if addresses:
                sender = sender_of(owner, self._domain) if owner is not None else None
                run.ended.append(
                    Ended(recipient, FORWARDED, "local", aim.address, True, tuple(addresses), forward_sender=sender)
                )
        if not members:
            run.ended.append(aim.ended(BouncedDelivery("the alias names nobody", "5.3.5", "local")))

    async def _member(self, run: Attempt, aim: Aim, name: str, forwards: list[str]) -> None:
        """A user here who is a member of an expansion."""
        way = None
        if self.members is not None:
            way = await self.members.way(aim.recipient, aim.address, run.work.message.sender, aim.member)
        if isinstance(way, Forward):
            forwards.append(way.address)
        elif isinstance(way, Deferred):
            run.ended.append(aim.ended(DeferredDelivery(f"table unavailable: {way.why}", "4.3.0")))
        elif way is not None:
            run.passed.append(way)
        else:
            await self._user(run, aim, name)

    async def _user(self, run: Attempt, aim: Aim, name: str) -> None:
        """A user's .forward, command or mailbox."""
        plain = aim.member == MAILBOX
        if self._command.active:
            if plain:
                await self._mailbox(run, aim, name)
            else:
                user = self._finder.split_extension(name)[0].lower()
                self.add(run, aim, Target(0, "forward", aim.address, user, look=True))
        else:
            self._target(run, aim, name, look=self._looks and not plain)

    async def _mailbox(self, run: Attempt, aim: Aim, name: str) -> None:
        """mailbox_command, or the mailbox; there is no .forward, or it is done."""
        command: str | Deferred = ""
        if self._command.active:
            command = await self._command.of(self._finder.split_extension(name)[0].lower())
        if isinstance(command, Deferred):
            run.ended.append(aim.ended(DeferredDelivery(f"table unavailable: {command.why}", "4.3.0")))
        elif command:
            self._job(run, aim, Start("mailbox", aim.address), None)
        else:
            self._target(run, aim, name, look=False)

    def _again(self, run: Attempt, recipient: Recipient) -> None:
        """A command or file that was tried before."""
        member = decoded(recipient.member)
        if member is None:
            text = "the queue names a destination that this version does not know"
            run.ended.append(Ended(recipient, DeferredDelivery(text, "4.3.0", "local"), "local"))
            return
        aim = Aim(recipient, recipient.address, member=recipient.member)
        self._job(run, aim, member.start, member.leaf)

    def _job(self, run: Attempt, aim: Aim, start: Start, leaf: Leaf | None) -> None:
        message = run.work.message
        order = Order(
            start, leaf, message.number, message.arrival, message.sender, aim.recipient, message.attributes,
            message.recovered or aim.recipient.attempts > 0,
        )  # fmt: skip

        async def work() -> Ended:
            return aim.ended(await self._special.run(order, run.work.content))

        run.jobs.append(work)

    def _target(self, run: Attempt, aim: Aim, name: str, look: bool) -> None:
        user = self._finder.split_extension(name)[0].lower()
        self.add(run, aim, Target(0, "local", aim.address, user, look=look))

    def add(self, run: Attempt, aim: Aim, bare: Target) -> None:
        """A target with its headers and file name."""
        message, recipient = run.work.message, aim.recipient
        original = (recipient.original or recipient.address) if self._original else ""
        delivered = aim.address
        if self._frozen and bare.kind != "virtual":
            delivered = recipient.delivered or recipient.address
        part = f"{aim.address}\n{aim.member}" if aim.part or recipient.expanded else ""
        shown = delivered if self._delivered_to or bare.kind == "virtual" else ""
        run.targets.append(
            Target(
                len(run.targets),
                bare.kind,
                bare.address,
                bare.user,
                bare.mailbox,
                bare.uid,
                bare.gid,
                prefix(quote(message.sender), quote(original), quote(shown) if shown else ""),
                file_name(message.number, message.arrival, recipient, self._host, part),
                quote(message.sender),
                bare.look,
            )
        )
        run.aims.append(aim)
