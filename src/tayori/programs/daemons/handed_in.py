"""Content that sendmail hands in and that is too large for memory: read once, in pieces, from a socket or a file."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tayori.net.stream import Stream
from tayori.programs import ipc
from tayori.queue.content import THRESHOLD
from tayori.queue.model import Slice, Stored
from tayori.queue.spool import Spool
from tayori.queue.threads import read


class Long:
    """`size` bytes that `pieces` gives."""

    def __init__(self, size: int, pieces: AsyncIterator[bytes]) -> None:
        self.size = size
        self._pieces = pieces

    def __len__(self) -> int:
        return self.size

    async def into(self, spool: Spool) -> None:
        """All of it, with a line end at its end. Raises QueueFull, QueueBroken, and what the source raises."""
        last = b""
        async for piece in self._pieces:
            await spool.write(piece)
            last = piece[-1:]
        if last != b"\n":
            await spool.write(b"\n")

    async def skip(self) -> None:
        """Read what is left and throw it away: who sends it reads no answer before."""
        async for _ in self._pieces:
            pass


def from_file(path: str, fd: int, start: int, size: int) -> Long:
    """Part of an open file. Reading raises Unreadable."""
    return Long(size, read(Stored((b"", Slice(path, start, size, fd)))))


async def from_stream(stream: Stream, frames: ipc.Frames) -> bytes | Long | None:
    """The next frame; None when the peer closed. Raises BadFrame, ConnectionError, TimeoutError."""
    while (size := frames.began()) is None:
        chunk = await stream.read()
        if not chunk:
            return None
        frames.hold(chunk)
    found = Long(size, _pieces(stream, frames, size))
    if size > THRESHOLD:
        return found
    return b"".join([piece async for piece in _pieces(stream, frames, size)])


async def _pieces(stream: Stream, frames: ipc.Frames, size: int) -> AsyncIterator[bytes]:
    frames.begin()
    while size:
        piece = frames.part(size)
        if not piece:
            chunk = await stream.read()
            if not chunk:
                raise ConnectionResetError("the connection ended inside a message")
            frames.hold(chunk)
            continue
        size -= len(piece)
        yield piece
