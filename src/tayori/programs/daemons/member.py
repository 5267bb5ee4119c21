"""A member of an expansion that waits in the queue by itself: `queue.model.Recipient.member`.

Empty: an address, which says enough. MAILBOX: the mailbox itself, without .forward. Else which command or file of
which alias or .forward, so that a second attempt does this one thing only.
"""

from __future__ import annotations

import msgspec

from tayori.rewrite.aliases import Target as Leaf

MAILBOX = "\\"


class Start(msgspec.Struct, frozen=True):
    """Where an expansion begins: `kind` is "alias", "forward" or "mailbox" (mailbox_command) of `address`."""

    kind: str
    address: str


class Member(msgspec.Struct, frozen=True, array_like=True):
    """`leaf` of `start`."""

    start: Start
    leaf: Leaf | None


_decode = msgspec.json.Decoder(Member).decode


def encoded(start: Start, leaf: Leaf | None) -> str:
    """As text for the queue."""
    return msgspec.json.encode(Member(start, leaf)).decode()


def decoded(text: str) -> Member | None:
    """None for what no version has written."""
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return None
