"""Routes that leave the machine, or go to a program: smtp, relay, lmtp, pipe; with the limits of each destination."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import msgspec

from tayori.delivery.outcome import DeferredDelivery
from tayori.delivery.smtp_job import Attempt
from tayori.programs.daemons.dispatch.ended import Ended, Told, Work
from tayori.programs.daemons.dispatch.leaving import Leaving
from tayori.programs.daemons.dispatch.slots import Slots
from tayori.queue.content import Content
from tayori.queue.model import Attributes, Recipient, Stored
from tayori.rewrite.generic import Generic
from tayori.rewrite.results import Deferred
from tayori.schedule.destinations import Busy, Dead
from tayori.schedule.feedback import Limits


class Agent(Protocol):
    """A delivery agent for one message and one next hop."""

    async def deliver(
        self,
        nexthop: str,
        sender: str,
        content: Content,
        recipients: Iterable[Recipient],
        attributes: Attributes | None = None,
        queue_id: str = "",
    ) -> Attempt:
        """One outcome per delivery number; never raises for what the other side does."""
        ...

    def close(self) -> None:
        """End idle sessions."""
        ...


class Remote:
    """Asks the destination for a slot, then the agent for the delivery."""

    def __init__(
        self,
        agents: Mapping[str, Agent],
        slots: Slots,
        limits: Callable[[str], Limits],
        generic: Mapping[str, Generic] | None = None,
        leaving: Mapping[str, Leaving] | None = None,
    ) -> None:
        """`agents` by transport: the name of a master.cf service; `generic` by program: its generic(5) maps;
        `leaving` by transport: its rules on mail that leaves."""
        self._generic = generic or {}
        self._leaving = leaving or {}
        self._agents = agents
        self._slots = slots
        self._limits = limits

    def close_slots(self) -> None:
        """Whoever waits for a slot goes back to the queue, and who comes, too."""
        self._slots.close()

    async def deliver(
        self,
        work: Work,
        program: str,
        transport: str,
        nexthop: str,
        recipients: Sequence[Recipient],
        told: Told | None = None,
    ) -> list[Ended]:
        """Deliver to one next hop, in groups of the transport's recipient limit; `told` of each but the last."""
        agent = self._agents.get(transport)
        if agent is None:
            text = f"mail transport {transport} is not available"
            return [Ended(r, DeferredDelivery(text, "4.3.0"), "error") for r in recipients]
        most = self._limits(transport).recipients or len(recipients)
        groups = [recipients[at : at + most] for at in range(0, len(recipients), most)]
        ended: list[Ended] = []
        for at, group in enumerate(groups, start=1):
            some = await self._group(agent, work, program, transport, nexthop, tuple(group))
            ended += await told(some) if told is not None and at < len(groups) else some
        return ended

    async def _group(
        self, agent: Agent, work: Work, program: str, transport: str, nexthop: str, group: tuple[Recipient, ...]
    ) -> list[Ended]:
        # with a recipient limit of 1 a destination is a recipient, else a next hop (postconf(5))
        name = group[0].address.lower() if self._limits(transport).recipients == 1 else nexthop
        go = await self._slots.take(transport, name)
        if isinstance(go, Dead):
            text = go.reason or "delivery temporarily suspended"
            if not text.startswith("delivery temporarily suspended"):
                text = f"delivery temporarily suspended: {text}"
            return [Ended(r, DeferredDelivery(text, "4.4.1"), "error", until=go.until, attempted=True) for r in group]
        if isinstance(go, Busy):
            text = "the destination is busy with earlier mail"
            return [
                Ended(r, DeferredDelivery(text, "4.4.5"), "error", until=go.until, attempted=False) for r in group
            ]
        attempt = Attempt({})
        try:
            message = work.message
            shown = await self._presentable(program, transport, work, group)
            if isinstance(shown, Deferred):
                text = f"table lookup failure: {shown.why}"
                return [Ended(r, DeferredDelivery(text, "4.3.0"), program) for r in group]
            sender, content, named = shown
            attempt = await agent.deliver(nexthop, sender, content, named, message.attributes, queue_id=message.id)
        finally:
            self._slots.give(transport, name, go, attempt.healthy, attempt.reason)
        missing = DeferredDelivery("the delivery agent gave no answer", "4.3.0")
        return [Ended(r, attempt.get(r.n, missing), program) for r in group]

    async def _presentable(
        self, program: str, transport: str, work: Work, group: tuple[Recipient, ...]
    ) -> tuple[str, Content, tuple[Recipient, ...]] | Deferred:
        """Sender, content and recipients as smtp_header_checks, smtp_generic_maps and their like show them."""
        leaving = self._leaving.get(transport)
        if leaving is not None:
            checked = await leaving.content(work)
            if isinstance(checked, Deferred):
                return checked
            work = replace(work, content=checked)
        generic = self._generic.get(program)
        if not generic:
            return work.message.sender, work.content, group
        remote = work.message.attributes.rewrite_context == "remote"
        sender, header = await generic.map(work.message.sender), await generic.content(work.header, remote)
        if isinstance(sender, Deferred):
            return sender
        if isinstance(header, Deferred):
            return header
        content: Content = header
        if isinstance(work.content, Stored):
            content = Stored((header, *work.content.parts[1:]))
        named = []
        for recipient in group:
            address = await generic.map(recipient.address)
            if isinstance(address, Deferred):
                return address
            named.append(msgspec.structs.replace(recipient, address=address))
        return sender, content, tuple(named)
