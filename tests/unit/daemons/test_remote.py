"""What a destination is: a next hop, or with a recipient limit of 1 each recipient (default_destination_recipient_limit)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from tayori.delivery.outcome import Delivered
from tayori.delivery.smtp_job import Attempt
from tayori.programs.daemons.dispatch.board import DeliveryBoard, Share
from tayori.programs.daemons.dispatch.ended import Work
from tayori.programs.daemons.dispatch.remote import Remote
from tayori.programs.daemons.dispatch.slots import Slots
from tayori.queue.model import Attributes, Message, Recipient
from tayori.schedule.destinations import Destinations
from tayori.schedule.feedback import Limits


class Agent:
    """Delivers slowly and notes how many deliveries it had at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.groups: list[int] = []

    async def deliver(self, nexthop: str, sender: str, content: object, recipients: Iterable[Recipient],
                      attributes: Attributes | None = None, queue_id: str = "") -> Attempt:  # fmt: skip
        some = tuple(recipients)
        self.groups.append(len(some))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.02)
        self.now -= 1
        return Attempt({r.n: Delivered("ok") for r in some}, True)

    def close(self) -> None:
        """Nothing is kept."""


@pytest.mark.parametrize(("recipients", "names", "most"), [(50, "ab", 1), (1, "ab", 2), (1, "aA", 1)])
def test_whose_limit_it_is(recipients: int, names: str, most: int) -> None:
    limits = Limits(concurrency=1, initial=1, recipients=recipients)
    agent = Agent()

    async def run() -> None:
        slots = Slots(Destinations(lambda _: limits), lambda _: limits, Share(DeliveryBoard(), 0))
        remote = Remote({"smtp": agent}, slots, lambda _: limits)

        async def one(number: int, name: str) -> None:
            recipient = Recipient(1, f"{name}@b.example")
            message = Message(number, 0.0, "me@a.example", 1, Attributes(), (recipient,), b"x")
            [ended] = await remote.deliver(Work(message, b"x", 0.0), "smtp", "smtp", "b.example", (recipient,))
            assert ended.outcome == Delivered("ok")

        await asyncio.gather(*(one(n, name) for n, name in enumerate(names)))

    asyncio.run(run())
    assert agent.most == most


def test_recipients_go_in_groups_of_the_limit() -> None:
    limits = Limits(recipients=2)
    agent = Agent()
    everyone = tuple(Recipient(n, f"u{n}@b.example") for n in range(5))
    message = Message(1, 0.0, "me@a.example", 1, Attributes(), everyone, b"x")
    slots = Slots(Destinations(lambda _: limits), lambda _: limits, Share(DeliveryBoard(), 0))
    work = Remote({"smtp": agent}, slots, lambda _: limits).deliver(
        Work(message, b"x", 0.0), "smtp", "smtp", "b.example", everyone
    )
    assert [end.recipient.n for end in asyncio.run(work)] == [0, 1, 2, 3, 4]
    assert agent.groups == [2, 2, 1]
