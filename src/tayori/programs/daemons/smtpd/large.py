"""DATA that is too large for memory goes to its content file as it comes in; a session holds two blocks of it at
most.

A write that fails, or a disk that fills up meanwhile, is answered when the client has sent all: 452 or 451, and
nothing of it is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tayori.protocol import smtp_commands as say
from tayori.protocol.reply import Reply
from tayori.protocol.smtp_framing import Body
from tayori.queue.content import THRESHOLD
from tayori.queue.model import QueueBroken, QueueFull
from tayori.queue.spool import Spool

if TYPE_CHECKING:
    from tayori.programs.daemons.smtpd.session import Session

BEGINNING = 65536


class Received(msgspec.Struct, frozen=True):
    """A message that has come. With a `spool` the message lies there and `body.content` is only its first BEGINNING
    bytes; `refusal`: it could not be written. Who has it calls `end`."""

    body: Body
    spool: Spool | None = None
    refusal: Reply | None = None

    def end(self) -> None:
        """Remove the file that no row wants."""
        if self.spool is not None:
            self.spool.end()


async def receive(session: Session) -> Received:
    """The body from here to its end, of which more than THRESHOLD bytes are waiting. Raises what `session.input`
    does."""
    framing = session.framing
    assert session.transaction is not None
    spool = session.service.intake.spool(session.transaction.number)
    beginning = b""
    refusal: Reply | None = None
    try:
        while True:
            body = framing.body()
            if body is None and framing.pending() <= THRESHOLD:
                await session.input()
                continue
            data = framing.take() if body is None else body.content
            beginning = beginning or (data or b"")[:BEGINNING]
            if data and refusal is None:
                refusal = await write(session, spool, data)
            if body is not None:
                content = None if body.content is None else beginning
                return Received(Body(content, body.size, body.bare), spool, refusal)
    except BaseException:
        spool.end()
        raise


async def write(session: Session, spool: Spool, data: bytes) -> Reply | None:
    """Write a piece; the reply, with the file gone, when that fails."""
    assert session.transaction is not None
    identity = session.transaction.queue_id
    try:
        if not session.service.intake.room(0):
            raise QueueFull("queue_minfree")
        await spool.write(data)
    except QueueFull:
        session.note(f"warning: {identity}: not enough space for the queue")
        spool.end()
        return say.NO_SPACE
    except QueueBroken as error:
        session.note(f"warning: {identity}: queue write error: {error}")
        spool.end()
        return say.QUEUE_ERROR
    return None
