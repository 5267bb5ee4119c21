"""What a delivery agent answers for one recipient: a closed set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivered:
    """Durably delivered. `text` as in Postfix's log: "delivered to maildir", "250 2.0.0 Ok: queued as …"."""

    text: str
    enhanced: str = "2.0.0"
    relay: str = "local"
    reply: str = ""
    unix: str = ""


@dataclass(frozen=True, slots=True)
class DeferredDelivery:
    """Try again. `relay` is "none" when no host was reached; `reply` is the remote's own answer, if any;
    `unix` a command's."""

    text: str
    enhanced: str = "4.0.0"
    relay: str = "none"
    reply: str = ""
    unix: str = ""


@dataclass(frozen=True, slots=True)
class BouncedDelivery:
    """Never. The sender gets a non-delivery report. `reply` is the remote's own answer, if any; `unix` a
    command's."""

    text: str
    enhanced: str = "5.0.0"
    relay: str = "none"
    reply: str = ""
    unix: str = ""


DeliveryOutcome = Delivered | DeferredDelivery | BouncedDelivery
