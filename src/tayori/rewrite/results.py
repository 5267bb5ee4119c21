"""Values that the rewriting and resolving stages return."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import msgspec

from tayori.config.origin import Origin


class AddressClass(Enum):
    """ADDRESS_CLASS_README: the five classes of recipient domains."""

    LOCAL = "local"
    VIRTUAL_ALIAS = "virtual alias"
    VIRTUAL_MAILBOX = "virtual mailbox"
    RELAY = "relay"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Classified:
    """A domain's class and the line that put it there (None: a default)."""

    kind: AddressClass
    parameter: str
    origin: Origin | None = None


class Resolved(msgspec.Struct, frozen=True):
    """trivial-rewrite(8) resolve: transport, next hop and recipient for one address.

    `transport` is a master.cf service name (local, virtual, smtp, relay, lmtp, error, discard, retry, or the
    user's own); `nexthop` as Postfix logs it; `reason` names the parameter or table line that decided.
    For `error` the next hop is the text, an enhanced code in front where there is one. `routed`: the sender
    named a further hop inside the local part (`user@elsewhere@ours`), which is never authorised relaying.
    """

    address: str
    kind: AddressClass
    transport: str
    nexthop: str
    reason: str = ""
    origin: Origin | None = None
    routed: bool = False


@dataclass(frozen=True, slots=True)
class Unlisted:
    """The recipient (or sender) is not listed: the reply parts that Postfix gives (`550 5.1.1`)."""

    code: int
    enhanced: str
    text: str
    parameter: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """A table or DNS could not answer: try later. `why` is for the log."""

    why: str


class Rewritten(msgspec.Struct, frozen=True):
    """An envelope recipient after canonical and virtual alias expansion. `original` is what the client said."""

    address: str
    original: str
    notify: str = ""
    orcpt: str = ""


class Place(NamedTuple):
    """The list that refused a mail, the table's line, and what it fitted."""

    parameter: str
    origin: Origin | None
    fitted: str


class Cleaned(msgspec.Struct, frozen=True):
    """A message ready for the queue: `content` with CRLF turned to LF, trace headers on top.

    `reject`: (enhanced code, text) when header_checks or limits refuse it, `place` where. `hold`, `discard`, `filter`
    come from header_checks(5) actions. Of a message that lies in a file (`Incoming.content` is mapped) `content` is
    only the new header; it takes the place of the first `cut` bytes, and `edits` are made in the rest: what stands
    from start to end becomes the bytes.
    """

    sender: str
    recipients: tuple[Rewritten, ...]
    content: bytes
    message_id: str = ""
    reject: tuple[int, str, str] | None = None
    hold: str = ""
    discard: bool = False
    filter: str = ""
    notes: tuple[str, ...] = ()
    cut: int = 0
    edits: tuple[tuple[int, int, bytes], ...] = ()
    place: Place | None = None
