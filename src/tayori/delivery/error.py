"""error(8) and retry: every recipient bounces (or is deferred) with the next hop as the reason.

`error:5.2.1 mailbox closed`: a leading enhanced code of the right class counts; without one, or with one of
another class, 5.0.0 or 4.0.0.
"""

from __future__ import annotations

import re

from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery

_CODE = re.compile(r"([245]\.\d{1,3}\.\d{1,3})\s+(.*)", re.DOTALL)


def error(nexthop: str) -> BouncedDelivery:
    """What the `error` transport answers for each recipient."""
    enhanced, text = _parts(nexthop, "5")
    return BouncedDelivery(text, enhanced)


def retry(nexthop: str) -> DeferredDelivery:
    """What the `retry` transport answers for each recipient."""
    enhanced, text = _parts(nexthop, "4")
    return DeferredDelivery(text, enhanced)


def _parts(nexthop: str, kind: str) -> tuple[str, str]:
    match = _CODE.match(nexthop)
    if match is None:
        return f"{kind}.0.0", nexthop or "no reason given"
    return match.group(1) if match.group(1).startswith(kind) else f"{kind}.0.0", match.group(2)
