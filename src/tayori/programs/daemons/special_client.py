"""The worker's side of `Special` where that is the pipe process."""

from __future__ import annotations

import msgspec

from tayori.delivery.outcome import DeferredDelivery, DeliveryOutcome
from tayori.net.stream import connect_unix
from tayori.programs import ipc
from tayori.programs.daemons.member import Start
from tayori.programs.daemons.pipes import CONNECT_SECONDS, ORDER_SECONDS, Answer, Job, outcome_of, read_answer
from tayori.programs.daemons.special import Order
from tayori.queue.content import Content
from tayori.queue.model import Attributes
from tayori.rewrite.aliases import Target as Leaf
from tayori.rewrite.results import Deferred

_leaves = msgspec.msgpack.Decoder(tuple[Leaf, ...]).decode
_TROUBLE = (OSError, TimeoutError, ipc.BadFrame, msgspec.DecodeError, KeyError)


class SpecialClient:
    """Asks the pipe process at `path`; one connection for each question."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def expand(self, start: Start) -> tuple[Leaf, ...] | Deferred:
        """As Special.expand; Deferred when nobody answers."""
        try:
            answer = await self._ask(_job(msgspec.msgpack.encode(start), b"", "", 0), b"")
            return Deferred(answer.trouble) if answer.trouble else _leaves(answer.leaves)
        except _TROUBLE as error:
            return Deferred(f"the pipe process does not answer: {error}")

    async def run(self, order: Order, content: Content) -> DeliveryOutcome:
        """As Special.run; deferred when nobody answers: the command may then have run."""
        data, size = (content, 0) if isinstance(content, bytes) else (b"", len(content))
        try:
            job = _job(b"", msgspec.msgpack.encode(order), f"{order.number:X}", size)
            return outcome_of((await self._ask(job, data)).outcomes[0])
        except _TROUBLE as error:
            return DeferredDelivery(f"the pipe process does not answer: {error}", "4.3.0", "local")

    async def _ask(self, job: Job, data: bytes) -> Answer:
        stream = await connect_unix(self._path, timeout=CONNECT_SECONDS)
        try:
            stream.timeout = ORDER_SECONDS
            stream.write(ipc.pack(msgspec.msgpack.encode(job)) + ipc.pack(data))
            return await read_answer(stream)
        finally:
            stream.close()


def _job(start: bytes, order: bytes, queue_id: str, size: int) -> Job:
    return Job("", "", "", queue_id, (), Attributes(), size, start, order)
