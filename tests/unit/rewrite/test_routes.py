"""Routes in local parts: where they lead, and which addresses nobody may be let in by."""

from __future__ import annotations

import asyncio

import pytest

from tayori.config.settings import Settings
from tayori.rewrite.results import AddressClass, Classified, Deferred
from tayori.rewrite.routes import Followed, Routes


class Known:
    """example.com is ours, away.example cannot be asked, all else is foreign."""

    async def classify(self, domain: str) -> Classified | Deferred:
        if domain == "away.example":
            return Deferred("table away")
        return Classified(AddressClass.LOCAL if domain == "example.com" else AddressClass.DEFAULT, "test")


def follow(address: str, **values: str) -> Followed | Deferred:
    base = {"myhostname": "mail.example.com", "myorigin": "example.com", "mydomain": "example.com"}
    settings = Settings.of({**base, **values})
    return asyncio.run(Routes(settings, Known()).follow(address))


@pytest.mark.parametrize(
    ("address", "end", "suspicious"),
    [
        ("taro@example.com", "taro@example.com", False),
        ("taro", "taro@example.com", False),
        ("f%foreign.example@example.com", "f@foreign.example", False),
        ("foreign.example!f@example.com", "f@foreign.example", False),
        ("f@foreign.example@example.com", "f@foreign.example", False),
        ("f%x@foreign.example", "f%x@foreign.example", True),
        ("x!f@foreign.example", "x!f@foreign.example", True),
        ("a%b%foreign.example@example.com", "a%b@foreign.example", True),
    ],
)
def test_follow(address: str, end: str, suspicious: bool) -> None:
    assert follow(address) == Followed(end, suspicious)
    assert follow(address, allow_untrusted_routing="yes") == Followed(end, False)


def test_operators_that_are_off() -> None:
    off = {"allow_percent_hack": "no", "swap_bangpath": "no"}
    assert follow("f%foreign.example@example.com", **off) == Followed("f%foreign.example@example.com", True)
    assert follow("foreign.example!f@example.com", **off) == Followed("foreign.example!f@example.com", True)


def test_without_origin_and_without_an_answer() -> None:
    assert follow("taro", append_at_myorigin="no") == Followed("taro@mail.example.com", False)
    assert follow("a%b@away.example") == Deferred("table away")
