"""Frames on Unix stream sockets between tayori's own processes: local, submit and control sockets.

A frame is a 4-byte big-endian length and that many bytes; most frames are msgspec.msgpack, some are raw
(a message's content). A length above the limit ends the connection: the peer is broken or hostile.
Pure framing (`pack`, `Frames`), a blocking side (`send`, `receive`) and an asyncio side (`read`, `write`), which does
not import asyncio (its IncompleteReadError is an EOFError): sendmail must start fast.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

HEADER = 4
LIMIT = 256 * 1024 * 1024
"""Bytes of the largest frame unless the caller says less: above the greatest sensible message_size_limit."""

_LENGTH = struct.Struct(">I")
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder().decode


class BadFrame(Exception):
    """The peer sent what is no frame, or closed in the middle of one."""


def encode(value: object) -> bytes:
    """A value as msgpack, without its length."""
    return _ENCODE(value)


def decode(payload: bytes) -> object:
    """A msgpack payload as plain dict, list, str, int, bytes. Raises BadFrame."""
    try:
        found: object = _DECODE(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadFrame(str(error)) from error
    return found


def as_dict(payload: bytes) -> dict[str, object]:
    """A msgpack payload that must be a map with text keys. Raises BadFrame."""
    found = decode(payload)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise BadFrame("a map was expected")
    return found


def pack(payload: bytes) -> bytes:
    """A payload with its length before it."""
    return _LENGTH.pack(len(payload)) + payload


class Frames:
    """Cuts a stream of bytes into payloads, however it arrives. `limit` bounds one payload, in bytes."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take `data`, give every payload that is complete. Raises BadFrame for one above the limit."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= HEADER:
                (length,) = _LENGTH.unpack_from(buffer, at)
                if length > self._limit:
                    raise BadFrame(f"a frame of {length} bytes is above the limit of {self._limit}")
                end = at + HEADER + length
                if len(buffer) < end:
                    break
                payload = bytes(memoryview(buffer)[at + HEADER : end])
                at = end
                yield payload
        finally:
            del buffer[:at]

    def hold(self, data: bytes) -> None:
        """Take `data`, which belongs to a frame that is read by `part`."""
        self._buffer += data

    def began(self) -> int | None:
        """The length of the next frame; None before its header has come. Raises BadFrame."""
        if len(self._buffer) < HEADER:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, 0)
        if length > self._limit:
            raise BadFrame(f"a frame of {length} bytes is above the limit of {self._limit}")
        return int(length)

    def begin(self) -> None:
        """Its header is taken: now come its parts."""
        del self._buffer[:HEADER]

    def part(self, most: int) -> bytes:
        """Up to `most` bytes of it that have come."""
        found = bytes(memoryview(self._buffer)[:most])
        del self._buffer[:most]
        return found

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)


def send(sock: socket.socket, payload: bytes) -> None:
    """Send one frame on a blocking socket. Raises OSError."""
    if len(payload) < 65536:
        sock.sendall(_LENGTH.pack(len(payload)) + payload)
    else:
        sock.sendall(_LENGTH.pack(len(payload)))
        sock.sendall(payload)


def receive(sock: socket.socket, limit: int = LIMIT) -> bytes | None:
    """Receive one frame from a blocking socket; None when the peer closed between frames.

    Raises BadFrame, OSError (TimeoutError when the socket has a timeout).
    """
    head = _exactly(sock, HEADER)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise BadFrame(f"a frame of {length} bytes is above the limit of {limit}")
    payload = _exactly(sock, length)
    if payload is None:
        raise BadFrame("the connection ended inside a frame")
    return payload


def _exactly(sock: socket.socket, size: int) -> bytes | None:
    """`size` bytes; None when the peer closed before the first of them."""
    found = bytearray()
    while len(found) < size:
        data = sock.recv(min(size - len(found), 1 << 20))
        if not data:
            if not found:
                return None
            raise BadFrame("the connection ended inside a frame")
        found += data
    return bytes(found)


async def read(reader: StreamReader, limit: int = LIMIT) -> bytes | None:
    """Read one frame; None when the peer closed between frames. Raises BadFrame, OSError."""
    try:
        head = await reader.readexactly(HEADER)
    except EOFError as error:
        if not getattr(error, "partial", b""):
            return None
        raise BadFrame("the connection ended inside a frame") from error
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise BadFrame(f"a frame of {length} bytes is above the limit of {limit}")
    try:
        return await reader.readexactly(length)
    except EOFError as error:
        raise BadFrame("the connection ended inside a frame") from error


async def write(writer: StreamWriter, payload: bytes) -> None:
    """Write one frame and wait while the peer is slow. Raises OSError."""
    writer.write(_LENGTH.pack(len(payload)))
    writer.write(payload)
    await writer.drain()


_UCRED = struct.Struct("3i")


def peer(sock: socket.socket) -> tuple[int, int, int]:
    """The peer's (pid, uid, gid) at the moment it connected, as the kernel tells (SO_PEERCRED)."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(raw)
    return pid, uid, gid
