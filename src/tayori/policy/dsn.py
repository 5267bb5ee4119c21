"""Enhanced status codes per resource (access(5) "ENHANCED STATUS CODES").

A detail that speaks of a recipient is turned into one that speaks of a sender, and the other way round; for
anything that is no address, an address status becomes x.0.0. The pairs were read off a real Postfix.
"""

from __future__ import annotations

from tayori.policy.rule import Resource

KNOWN = {f"1.{number}" for number in range(9)}
TO_SENDER = {"1.1": "1.7", "1.2": "1.8", "1.3": "1.7", "1.4": "1.7", "1.5": "1.0", "1.6": "1.7"}
TO_RECIPIENT = {"1.7": "1.3", "1.8": "1.2"}
BY_RESOURCE = {Resource.SENDER.value: TO_SENDER, Resource.RECIPIENT.value: TO_RECIPIENT}


def fitting(enhanced: str, resource: str) -> str:
    """`enhanced` ("5.1.1") as it must read for this resource ("Sender address" …)."""
    klass, _, detail = enhanced.partition(".")
    if not detail.startswith("1."):
        return enhanced
    table = BY_RESOURCE.get(resource)
    if table is None:
        return f"{klass}.0.0"
    return f"{klass}.{table.get(detail, detail) if detail in KNOWN else '1.0'}"
