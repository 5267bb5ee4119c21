"""Members of an alias that are users here: mailbox_transport and its like take them over, too (local(8))."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from tayori.programs.daemons.dispatch.ended import Ended, Work
from tayori.programs.daemons.dispatch.ways_out import Forward, WaysOut
from tayori.queue.model import Recipient
from tayori.rewrite.resolve import Resolver
from tayori.rewrite.results import Deferred, Resolved

Way = tuple[Recipient, Resolved]
Send = Callable[[Work, Recipient, Resolved], Awaitable[list[Ended]]]


class Members:
    """`send` delivers to one member by another route than its mailbox."""

    def __init__(self, ways_out: WaysOut, resolver: Resolver, program: Callable[[str], str], send: Send) -> None:
        self._ways_out, self._resolver, self._program, self.send = ways_out, resolver, program, send

    def ask(self, forwards: Callable[[str], Awaitable[bool | Deferred]]) -> None:
        """Who knows whether a user has a .forward, which comes before these ways."""
        self._ways_out.forwards = forwards

    async def way(
        self, recipient: Recipient, address: str, sender: str, member: str = ""
    ) -> Way | Forward | Deferred | None:
        """How mail for this member of `recipient`'s alias goes; None: into the mailbox. `member`: as in
        queue.model.Recipient."""
        original = recipient.original or recipient.address
        found = msgspec.structs.replace(recipient, address=address, original=original, expanded=True, member=member)
        resolved = await self._resolver.resolve(address, sender)
        if isinstance(resolved, Deferred):
            return resolved
        way = await self._ways_out.find(found, resolved, sender)
        if isinstance(way, Forward | Deferred):
            return way
        return None if self._program(way[1].transport) == "local" else way
