"""Who is told about a failed, delayed or delivered recipient; and who never is, so that no mail can loop.

RFC 3461 4.1 (NOTIFY), RFC 5321 6.1 (nothing is ever returned to the null sender), postconf(5) notify_classes and
double_bounce_sender. The order of mail, bounce and notice is a ladder that only goes down:

    mail from a person      fails -> a report from <> to that person (and a copy to postmaster: class "bounce")
    a report from <>        fails -> a notice from double-bounce to postmaster (class "2bounce"), else nothing
    a notice from double-bounce fails -> nothing, ever
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from tayori.bounce.options import BounceOptions
from tayori.queue.model import Message, Recipient


class Outcome(Protocol):
    """How delivery to one recipient ended: any of delivery.outcome's values (a sibling package, hence by shape)."""

    @property
    def text(self) -> str:
        """As in the log."""
        ...

    @property
    def enhanced(self) -> str:
        """RFC 3463 code."""
        ...

    @property
    def relay(self) -> str:
        """`host[address]:port`, the local agent's name, or "none"."""
        ...

    @property
    def reply(self) -> str:
        """The remote's own words, if any."""
        ...

    @property
    def unix(self) -> str:
        """A command's own words, if any."""
        ...


Entry = tuple[Recipient, Outcome]


class Kind(Enum):
    """What a report says; the value is the Action field of RFC 3464 2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    SUCCESS = "delivered"


@dataclass(frozen=True, slots=True)
class Notice:
    """A report to write: envelope and the recipients that it is about. `copy` marks postmaster's."""

    kind: Kind
    sender: str
    recipient: str
    entries: tuple[Entry, ...]
    copy: bool = False
    headers_only: bool = False


def notices(kind: Kind, message: Message, entries: tuple[Entry, ...], options: BounceOptions) -> tuple[Notice, ...]:
    """The reports that these outcomes call for, in no case more than two; often none."""
    if not entries or message.sender.lower() == options.double_bounce.lower():
        return ()
    return _RULES[kind](message, entries, options)


def _failed(message: Message, entries: tuple[Entry, ...], options: BounceOptions) -> tuple[Notice, ...]:
    if not message.sender:
        if options.classes.isdisjoint(("bounce", "2bounce")):
            return ()
        return (Notice(Kind.FAILED, options.double_bounce, options.double_bounce_notice, entries, copy=True),)
    found = _to_sender(Kind.FAILED, "FAILURE", message, entries)
    if "bounce" in options.classes:
        found += (Notice(Kind.FAILED, options.double_bounce, options.bounce_notice, entries, True, True),)
    return found


def _delayed(message: Message, entries: tuple[Entry, ...], options: BounceOptions) -> tuple[Notice, ...]:
    if not message.sender:
        return ()
    found = _to_sender(Kind.DELAYED, "DELAY", message, entries)
    if "delay" in options.classes:
        found += (Notice(Kind.DELAYED, options.double_bounce, options.delay_notice, entries, True, True),)
    return found


def _success(message: Message, entries: tuple[Entry, ...], options: BounceOptions) -> tuple[Notice, ...]:
    if not message.sender:
        return ()
    return _to_sender(Kind.SUCCESS, "SUCCESS", message, tuple(e for e in entries if e[0].notify))


_RULES: dict[Kind, Callable[[Message, tuple[Entry, ...], BounceOptions], tuple[Notice, ...]]] = {
    Kind.FAILED: _failed,
    Kind.DELAYED: _delayed,
    Kind.SUCCESS: _success,
}


def _to_sender(kind: Kind, word: str, message: Message, entries: tuple[Entry, ...]) -> tuple[Notice, ...]:
    """Only the recipients whose NOTIFY asks for it; without NOTIFY, failures and delays are told (RFC 3461 4.1)."""
    wanted = tuple(entry for entry in entries if not entry[0].notify or word in entry[0].notify.upper().split(","))
    if not wanted:
        return ()
    # RET (RFC 3461 4.3) is about failures only; the other reports never carry the body
    headers_only = kind is not Kind.FAILED or message.attributes.ret.upper() == "HDRS"
    return (Notice(kind, "", message.sender, wanted, headers_only=headers_only),)
