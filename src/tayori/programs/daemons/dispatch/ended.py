"""How one delivery of one recipient ended, and its line in the log."""

from __future__ import annotations

import time
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


STATUS = {Delivered: "sent", BouncedDelivery: "bounced"}


def seconds(value: float) -> str:
    """A delay as Postfix shows it: two significant digits below 100, whole seconds above."""
    if value < 0.005:
        return "0"
    if value < 1:
        return f"{value:.2f}".rstrip("0")
    if value < 100:
        return f"{value:.2g}"
    return f"{value:.0f}"


def log_line(ended: Ended, message: Message, begun: float, now: float | None = None) -> str:
    """`ID: to=<…>, relay=…, delay=…, delays=…, dsn=…, status=… (…)`."""
    now = time.time() if now is None else now
    recipient, outcome = ended.recipient, ended.outcome
    address = quote(ended.address or recipient.address)
    original = quote(recipient.original)
    shown = f", orig_to=<{original}>" if original and original != address else ""
    before, during = max(0.0, begun - message.arrival), max(0.0, now - begun)
    status = STATUS.get(type(outcome), "deferred")
    return (
        f"{message.id}: to=<{address}>{shown}, relay={outcome.relay}, delay={seconds(now - message.arrival)}, "
        f"delays={seconds(before)}/0/0/{seconds(during)}, dsn={outcome.enhanced}, status={status} ({outcome.text})"
    )
