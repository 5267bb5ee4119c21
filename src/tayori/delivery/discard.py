"""discard(8): every recipient counts as delivered, nothing is kept; the next hop is the reason for the log."""

from __future__ import annotations

from tayori.delivery.outcome import Delivered


def discard(nexthop: str) -> Delivered:
    """What the `discard` transport answers for each recipient."""
    return Delivered(nexthop or "discarded", "2.0.0", "none")
