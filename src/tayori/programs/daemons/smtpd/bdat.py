"""BDAT: the message in counted chunks (RFC 3030 CHUNKING, without BINARYMIME, as in Postfix).

After a chunk that was refused the others are read and thrown away until LAST, RSET or a greeting: they are content,
and nothing of them may be taken for a command.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from tayori.programs.daemons.smtpd import data, large
from tayori.programs.daemons.smtpd.large import BEGINNING, Received
from tayori.protocol import smtp_commands as say
from tayori.protocol.reply import Reply
from tayori.protocol.smtp_chunks import Chunks, chunk_of
from tayori.protocol.smtp_framing import Body
from tayori.queue.content import THRESHOLD
from tayori.queue.spool import Spool

if TYPE_CHECKING:
    from tayori.programs.daemons.smtpd.session import Session


class Incoming:
    """A message that comes in chunks: in memory, and from THRESHOLD bytes on in its content file."""

    def __init__(self, stray_cr: bool, line_limit: int, started: float) -> None:
        self.started = started
        self.failed = False
        self.chunks = Chunks(stray_cr, line_limit)
        self._parts: list[bytes] = []
        self._held = 0
        self._beginning = b""
        self._spool: Spool | None = None

    async def add(self, session: Session, text: bytes) -> Reply | None:
        """Keep more of it; the reply when there is no room."""
        self._parts.append(text)
        self._held += len(text)
        if self._held <= (THRESHOLD if self._spool is not None else session.service.intake.in_memory):
            return None
        return await self._write(session)

    async def _write(self, session: Session) -> Reply | None:
        assert session.transaction is not None
        text = self._taken()
        if self._spool is None:
            self._spool = session.service.intake.spool(session.transaction.number)
            self._beginning = text[:BEGINNING]
        return await large.write(session, self._spool, text)

    def _taken(self) -> bytes:
        text = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return text

    async def received(self, session: Session) -> Received:
        """All of it, after the last chunk."""
        self._parts.append(self.chunks.end())
        if self._spool is None:
            return Received(Body(self._taken(), self.chunks.size, self.chunks.bare))
        refusal = await self._write(session)
        return Received(Body(self._beginning, self.chunks.size, self.chunks.bare), self._spool, refusal)

    def fail(self) -> None:
        """Nothing of it is wanted any more."""
        self.failed = True
        self.end()

    def end(self) -> None:
        """Remove the file that no row wants."""
        self._parts.clear()
        if self._spool is not None:
            self._spool.end()


async def bdat(session: Session, argument: bytes) -> Reply | None:
    """One chunk, and after the last the reply that says the message is on stable storage."""
    if "CHUNKING" in session.discard:
        return say.NO_CHUNKING
    asked = chunk_of(argument)
    if asked is None:
        shown = say.printable(b"BDAT " + argument[:100]).rstrip()
        session.note(f"warning: {_identity(session)}: malformed BDAT command syntax from {session.peer}: {shown}")
        return say.BDAT_SYNTAX
    size, last = asked
    first = session.incoming is None
    incoming = session.incoming or Incoming(session.options.stray_cr, session.options.line_limit, session.now())
    session.incoming = incoming
    refusal = await _refusal(session, incoming, size, first, last)
    if refusal is None:
        refusal = await _take(session, incoming, size, last)
    else:
        async for _ in _pieces(session, size):
            pass
    if refusal is None:
        return await _finish(session, incoming) if last else say.chunk_taken(size)
    incoming.fail()
    if last:
        refusal = session.trail.last_word("BDAT", argument, session.soften(refusal))
        session.reset()
    return refusal


def _identity(session: Session) -> str:
    """The message as the log calls it."""
    return (session.transaction.queue_id if session.transaction else "") or "NOQUEUE"


async def _refusal(session: Session, incoming: Incoming, size: int, first: bool, last: bool) -> Reply | None:
    """Why this chunk is not wanted, before it has come."""
    transaction, limit = session.transaction, session.options.size_limit
    if not size and not last:
        session.note(f"warning: {_identity(session)}: null BDAT request from {session.peer}")
        return say.NULL_CHUNK
    if incoming.failed:
        return say.chunk_dropped(size)
    if transaction is None:
        return say.NEED_RCPT
    if not transaction.recipients:
        return say.NO_VALID_RECIPIENTS
    if limit and size > limit - incoming.chunks.size:
        session.note(f"warning: {_identity(session)}: BDAT request from {session.peer} exceeds message size limit")
        return say.CHUNK_TOO_LARGE
    if not first:
        return None
    session.framing.bare = await session.bare_mode()
    return await data.refused(session)


async def _take(session: Session, incoming: Incoming, size: int, last: bool) -> Reply | None:
    """Read a chunk; the reply when it cannot be kept, in which case it has been read nevertheless."""
    chunks, limit = incoming.chunks, session.options.size_limit
    refusal: Reply | None = None
    session.where = f"BDAT ({chunks.received} bytes)"
    async for raw in _pieces(session, size):
        text = chunks.feed(raw)
        session.where = f"BDAT ({chunks.received} bytes)"
        if refusal is None:
            refusal = await incoming.add(session, text)
    if refusal is not None:
        return refusal
    if limit and max(chunks.size, chunks.received) > limit:
        session.note(f"warning: {_identity(session)}: queue file size limit exceeded")
        return say.BODY_TOO_LARGE
    if chunks.bare and not last and session.framing.bare == "reject":
        return data.bare_newline(session, "BDAT content")
    return None


async def _pieces(session: Session, size: int) -> AsyncIterator[bytes]:
    """The next `size` bytes, as they come. Raises what `session.input` does."""
    while size:
        raw = session.framing.take_raw(size)
        if raw:
            size -= len(raw)
            yield raw
        else:
            await session.input()


async def _finish(session: Session, incoming: Incoming) -> Reply:
    reply = await data.finish(session, await incoming.received(session), incoming.started)
    if reply.code == 250:
        text = reply.text.replace("Ok: queued", f"Ok: {incoming.chunks.size} bytes queued", 1)
        return Reply(reply.code, reply.enhanced, text)
    return reply
