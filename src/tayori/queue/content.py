"""Content too large to be held in memory: parts in order, most of them in a file, read in blocks.

A content file is `content/ID` in the queue's folder. What precedes the message in it (room for the header that
cleanup makes) is not counted: the message is the last `size` bytes of the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from tayori.protocol.headers import header_end
from tayori.queue.model import Slice, Stored

THRESHOLD = 256 * 1024
"""Bytes of content from which it lies in a file. Measured (ext4, milliseconds a message, alone and eight to a
commit): 64 KiB row 0.76 and 0.33, file 0.86 and 0.40; 256 KiB row 1.64 and 1.37, file 1.23 and 0.94; 1 MiB 5.19 and
6.48, 2.00 and 1.89."""
BLOCK = 256 * 1024
HEADER_MOST = 1024 * 1024
"""Bytes of a header that are looked at."""
WEIGHT = 1024 * 1024
"""Bytes that a large message in delivery takes, at most: a block, its wire form, what the socket still has."""

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Content = bytes | Stored


class Unreadable(Exception):
    """A content file is missing, shorter than its message, or cannot be read."""


def weight(size: int) -> int:
    """Memory that a message of `size` bytes takes while it is delivered."""
    return size if size <= THRESHOLD else WEIGHT


def open_file(path: str, uid: int = -1) -> int:
    """A content file, for reading; with `uid` only a plain file of that owner and of one name, so that whoever names
    it can have no more than what is his. Raises Unreadable."""
    try:
        fd = os.open(path, _OPEN)
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or (uid >= 0 and (status.st_uid != uid or status.st_nlink > 1)):
        os.close(fd)
        raise Unreadable(f"{path}: not a content file of the mail system")
    return fd


def stored(path: str, size: int) -> Stored:
    """The message of `size` bytes at the end of a content file, its header read. Raises Unreadable."""
    found = opened(path, size)
    last = found.parts[-1]
    assert isinstance(last, Slice)
    os.close(last.fd)
    return Stored((found.header, Slice(path, last.start, last.size)))


def opened(path: str, size: int, uid: int = -1) -> Stored:
    """The same with the file open, once and for all: whoever asks closes the `fd` of its last part. `uid` as in
    open_file."""
    fd = open_file(path, uid)
    try:
        start = os.fstat(fd).st_size - size
        if start < 0:
            raise Unreadable(f"{path}: {-start} bytes are missing")
        head = b""
        most = 16 * 1024
        while len(head) < size and most <= HEADER_MOST:
            head = os.pread(fd, most, start)
            if head.find(b"\n", header_end(head)) >= 0:
                break  # a whole line that is no part of it
            most *= 8
    except (OSError, Unreadable) as error:
        os.close(fd)
        raise Unreadable(str(error)) from error
    head = head[: header_end(head)]
    return Stored((head, Slice(path, start + len(head), size - len(head), fd)))


def close(content: Content) -> None:
    """Close what `opened` has opened."""
    if isinstance(content, Stored):
        last = content.parts[-1]
        if isinstance(last, Slice) and last.fd >= 0:
            os.close(last.fd)


def blocks(content: Content) -> Iterator[bytes]:
    """The content in order, BLOCK bytes at most at a time. Blocks; raises Unreadable."""
    for part in content.parts if isinstance(content, Stored) else (content,):
        if isinstance(part, Slice):
            yield from _slice(part)
        else:
            for at in range(0, len(part), BLOCK):
                yield part[at : at + BLOCK]


def _slice(part: Slice) -> Iterator[bytes]:
    fd = part.fd if part.fd >= 0 else open_file(part.path)
    try:
        at, end = part.start, part.start + part.size
        while at < end:
            try:
                data = os.pread(fd, min(BLOCK, end - at), at)
            except OSError as error:
                raise Unreadable(f"{part.path}: {error.strerror}") from error
            if not data:
                raise Unreadable(f"{part.path}: it ends {end - at} bytes before the message")
            at += len(data)
            yield data
    finally:
        if part.fd < 0:
            os.close(fd)


def header(content: Content) -> bytes:
    """The header; of small content all of it."""
    return content.header if isinstance(content, Stored) else content


def topped(head: bytes, content: Content) -> Content:
    """The content with more header before it."""
    if isinstance(content, Stored):
        return Stored((head + content.header, *content.parts[1:]))
    return head + content


def is_ascii(content: Content) -> bool:
    """Whether all of it is seven bit. Blocks; raises Unreadable."""
    return all(block.isascii() for block in blocks(content))


def lines(pieces: Iterator[bytes], change: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """`change` made to whole lines, many at once. A line longer than BLOCK goes through in parts; what looks like the
    beginning of a line inside it is none for `change`."""
    tail, inside = b"", False
    for piece in pieces:
        data = tail + piece
        cut = data.rfind(b"\n") + 1 or (len(data) if len(data) >= BLOCK else 0)
        data, tail = data[:cut], data[cut:]
        if data:
            yield change(b"x" + data)[1:] if inside else change(data)
            inside = not data.endswith(b"\n")
    if tail:
        yield change(b"x" + tail)[1:] if inside else change(tail)
