"""Routes that end in a mailbox: `local` with its aliases (locals.py), and `virtual`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.request import Result, Target
from tayori.delivery.trace_headers import loops
from tayori.programs.daemons.dispatch.attempt import Aim, Attempt
from tayori.programs.daemons.dispatch.ended import Ended, Told, Work
from tayori.programs.daemons.dispatch.locals import Locals
from tayori.programs.daemons.dispatch.members import Members
from tayori.programs.daemons.local_client import AgentLost
from tayori.programs.daemons.special import Agent, Privileged
from tayori.protocol.address import quote
from tayori.queue.model import Recipient
from tayori.rewrite.aliases import Aliases
from tayori.rewrite.keys import Finder
from tayori.rewrite.results import Deferred
from tayori.tables.maps import Maps
from tayori.tables.registry import Tables

CONFIG_TROUBLE = "mail system configuration error"


class Mailboxes:
    """Turns recipients into targets for the local process, and its answers into outcomes."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        aliases: Aliases,
        finder: Finder,
        agent: Agent,
        special: Privileged | None = None,
    ) -> None:
        """`special`: who runs commands; None: this process. Raises ConfigError."""
        self._locals = Locals(settings, tables, aliases, finder, agent, special)
        self._finder = finder
        self._agent = agent
        self._mailbox_maps = Maps.from_settings(tables, settings, "virtual_mailbox_maps")
        self._uid_maps = Maps.from_settings(tables, settings, "virtual_uid_maps")
        self._gid_maps = Maps.from_settings(tables, settings, "virtual_gid_maps")
        self._base = settings.text("virtual_mailbox_base").rstrip("/")

    @property
    def members(self) -> Members | None:
        """Set where mailbox_transport or its like are."""
        return self._locals.members

    @members.setter
    def members(self, members: Members | None) -> None:
        self._locals.members = members
        if members is not None:
            members.ask(self._locals.forwards)

    async def deliver(
        self, work: Work, local: Sequence[Recipient], virtual: Sequence[Recipient], told: Told | None = None
    ) -> list[Ended]:
        """Deliver to all of them, in one request to the local process and one more for each .forward on the way;
        `told` of mailboxes before commands and servers that may take long. Raises AgentLost when it went away."""
        run = Attempt(work)
        for recipient in local:
            if loops(work.header, quote(recipient.address)):
                text = f"mail forwarding loop for {recipient.address}"
                run.ended.append(Ended(recipient, BouncedDelivery(text, "5.4.6", "local"), "local"))
            else:
                await self._locals.begin(run, recipient)
        for recipient in virtual:
            await self._virtual(run, recipient)
        # an attempt that seemed to fail may have written the file
        doubtful = work.message.recovered or any(r.attempts for some in (local, virtual) for r in some)
        while run.targets:
            targets, aims = run.take()
            results = await self._agent.deliver(work.message.number, work.content, targets, doubtful)
            for result in results:
                target, aim = targets[result.n], aims[result.n]
                if result.status in ("forward", "none"):
                    await self._locals.looked(run, aim, target, result)
                else:
                    program = "virtual" if target.kind == "virtual" else "local"
                    run.ended.append(replace(aim.ended(outcome(result, program)), program=program))
        if told is not None and (run.passed or run.jobs):
            run.ended = await told(run.ended)
        # only now: deliver is asked again when the local process dies, and these must not be done twice
        if self.members is not None:
            for member, resolved in run.passed:
                for end in await self.members.send(work, member, resolved):
                    run.ended.append(replace(end, address=member.address, part=True, member=member.member))
        if run.jobs:
            run.ended += await asyncio.gather(*(job() for job in run.jobs))
        return run.ended

    async def _virtual(self, run: Attempt, recipient: Recipient) -> None:
        values: list[str] = []
        for maps, what in ((self._mailbox_maps, "mailbox"), (self._uid_maps, "uid"), (self._gid_maps, "gid")):
            answer = await self._finder.find(maps, recipient.address)
            if isinstance(answer, Deferred):
                why = f"virtual_{what}_maps unavailable: {answer.why}"
                run.ended.append(Ended(recipient, DeferredDelivery(why, "4.3.0", "virtual"), "virtual"))
                return
            if answer is None:
                run.ended.append(Ended(recipient, self._unlisted(recipient, what), "virtual"))
                return
            values.append(answer.found.value)
        path, uid, gid = values
        if not (uid.isdigit() and gid.isdigit()):
            run.ended.append(Ended(recipient, DeferredDelivery(CONFIG_TROUBLE, "4.3.5", "virtual"), "virtual"))
            return
        if self._base:
            path = f"{self._base}/{path}"
        target = Target(0, "virtual", recipient.address, "", path, int(uid), int(gid))
        self._locals.add(run, Aim(recipient, recipient.address), target)

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
    mailboxes: Mailboxes,
    work: Work,
    local: Sequence[Recipient],
    virtual: Sequence[Recipient],
    told: Told | None = None,
) -> list[Ended]:
    """`deliver`, asked again as a recovered message when the local process dies under it."""
    for pause in (0.0, 0.2, 1.0):
        try:
            return await mailboxes.deliver(work, local, virtual, told)
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
