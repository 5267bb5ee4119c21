"""How one delivery of one recipient ended, and its line in the log."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tayori.delivery.outcome import BouncedDelivery, Delivered, DeliveryOutcome
from tayori.protocol.address import quote
from tayori.queue.content import Content, header
from tayori.queue.model import Message, Recipient


@dataclass(frozen=True, slots=True)
class Ended:
    """`address` is what the log calls the recipient (the alias member, where there was an alias).

    `forwards`: addresses that get a copy as a new message. `part`: one member of an alias expansion, so that only
    this member is tried again. `until`: not before this time (seconds since the epoch; 0: by back-off).
    `attempted`: whether anybody was asked; a destination known to be dead costs no attempt.
    `member`: which member, where the address does not say it (queue.model.Recipient).
    """

    recipient: Recipient
    outcome: DeliveryOutcome
    program: str
    address: str = ""
    part: bool = False
    forwards: tuple[str, ...] = ()
    forward_sender: str | None = None
    until: float = 0.0
    attempted: bool = True
    member: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """One message on its way: its content, and when this attempt began."""

    message: Message
    content: Content
    begun: float

    @property
    def header(self) -> bytes:
        """The header; of a small message all of it."""
        return header(self.content)


Told = Callable[[list[Ended]], Awaitable[list[Ended]]]
"""Settles what can be settled at once; gives back the rest."""
STATUS = {Delivered: "sent", BouncedDelivery: "bounced"}


def seconds(value: float, digits: int = 2) -> str:
    """A delay as Postfix shows it: two significant digits below 100, whole seconds above; at most `digits` after the
    point (delay_logging_resolution_limit)."""
    if value >= 100:
        return f"{value:.0f}"
    places = min(digits, 1 - math.floor(math.log10(value))) if value > 0 else 0
    text = f"{value:.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def log_line(ended: Ended, message: Message, begun: float, now: float | None = None, digits: int = 2) -> str:
    """`ID: to=<…>, relay=…, delay=…, delays=…, dsn=…, status=… (…)`."""
    now = time.time() if now is None else now
    recipient, outcome = ended.recipient, ended.outcome
    address = quote(ended.address or recipient.address)
    original = quote(recipient.original)
    shown = f", orig_to=<{original}>" if original and original != address else ""
    before, during = max(0.0, begun - message.arrival), max(0.0, now - begun)
    status = STATUS.get(type(outcome), "deferred")
    delays = f"{seconds(before, digits)}/0/0/{seconds(during, digits)}"
    return (
        f"{message.id}: to=<{address}>{shown}, relay={outcome.relay}, "
        f"delay={seconds(now - message.arrival, digits)}, delays={delays}, dsn={outcome.enhanced}, "
        f"status={status} ({outcome.text})"
    )
