"""Values of the durable queue: a message, its recipients, and how a delivery ended."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import msgspec


class Attributes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the session knew, kept with the message for headers, logs, filters and bounces."""

    client_name: str = ""
    client_address: str = ""
    client_port: int = 0
    helo: str = ""
    protocol: str = ""
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str = ""
    tls: str = ""
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    rewrite_context: str = "remote"
    message_id: str = ""
    filter: str = ""
    uid: int = -1
    hops: int = 0
    kind: str = "mail"
    drop: str = ""


class Recipient(msgspec.Struct, frozen=True, omit_defaults=True):
    """One envelope recipient. `n` is its delivery number in the message, never reused within it.

    `due` is seconds since the epoch of the next attempt; `reason`/`enhanced` are the last failure's. `expanded`: it
    came out of an alias and is not looked up again; `member`: it is a command or file of one (daemons/member.py);
    `origin`, `delivered`: delivery number and address of the recipient it came from (0 and empty: of none).
    """

    n: int
    address: str
    original: str = ""
    notify: str = ""
    orcpt: str = ""
    attempts: int = 0
    due: float = 0.0
    enhanced: str = ""
    reason: str = ""
    warned: bool = False
    expanded: bool = False
    member: str = ""
    origin: int = 0
    delivered: str = ""


class Slice(msgspec.Struct, frozen=True):
    """`size` bytes of a content file from offset `start`. `fd`: the open file, where the path cannot be used."""

    path: str
    start: int
    size: int
    fd: int = -1


class Stored(msgspec.Struct, frozen=True):
    """Content too large for memory, as parts in order. The first is the header, without the empty line, as bytes (of
    a header above 1 MiB only that much)."""

    parts: tuple[bytes | Slice, ...]

    def __len__(self) -> int:
        return sum(part.size if isinstance(part, Slice) else len(part) for part in self.parts)

    @property
    def header(self) -> bytes:
        """The header."""
        first = self.parts[0]
        assert isinstance(first, bytes)
        return first


class Message(msgspec.Struct, frozen=True):
    """A queued message. `number` orders and names it: `id` is its hexadecimal form, never reused.

    `arrival` is seconds since the epoch. `content` is the whole message, LF line ends, without
    Return-Path and Delivered-To; None when it must be fetched (`Queue.content`).
    """

    number: int
    arrival: float
    sender: str
    size: int
    attributes: Attributes
    recipients: tuple[Recipient, ...]
    content: bytes | Stored | None = None
    hold: bool = False
    recovered: bool = False

    @property
    def id(self) -> str:
        """The queue id as in logs and headers."""
        return f"{self.number:X}"


class Settlement(msgspec.Struct, frozen=True):
    """How one delivery attempt of a message ended, committed as one transaction.

    `done`: delivery numbers that leave the queue; `later`: rows that replace theirs; `extra`: new
    recipients of the same message (alias expansion); `messages`: new messages born from this one
    (bounces, forwards), which become durable in the same commit. `finished`: nothing is left of the
    message (saves a look-up); `release`: the worker lets go of what is left; `filed`: False where
    the content is known to lie in no file.
    """

    number: int
    done: tuple[int, ...] = ()
    later: tuple[Recipient, ...] = ()
    extra: tuple[Recipient, ...] = ()
    messages: tuple[Message, ...] = ()
    finished: bool = False
    release: bool = True
    filed: bool = True


class QueueFull(Exception):
    """Disk below queue_minfree, or the disk is full: 452 4.3.1, nothing accepted."""


class QueueBroken(Exception):
    """The queue cannot write: 451 4.3.0, nothing accepted."""


class ContentLost(QueueBroken):
    """The file of a message's content is missing or short: the message stays in the queue, for a person to look
    at."""


class Queue(Protocol):
    """The durable queue. A method that returns has reached stable storage, unless it says otherwise."""

    def next_number(self) -> int:
        """A number for a new message, never given twice, across workers, restarts and crashes."""
        ...

    def room(self, size: int) -> bool:
        """Whether the disk has room for a message of `size` bytes (queue_minfree)."""
        ...

    def accept(self, message: Message, *, owned: bool = True) -> Awaitable[None]:
        """Keep a message, owned by this worker. Raises QueueFull or QueueBroken: then nothing was kept."""
        ...

    def settle(self, settlement: Settlement) -> Awaitable[None]:
        """Commit the end of an attempt; rides on the next group commit."""
        ...

    async def claim(self, now: float, limit: int, room: int = 1 << 62) -> list[Message]:
        """Own up to `limit` due messages that no living worker owns, of `room` bytes together; content not loaded."""
        ...

    async def content(self, number: int) -> bytes | Stored:
        """The content of a queued message. Raises KeyError when it is gone, ContentLost when its file is."""
        ...
