from __future__ import annotations

import pytest

from tayori.config.settings import Settings
from tayori.rewrite.probe_sender import Nobody, ProbeSender

HOME = {"myhostname": "mail.example.com", "myorigin": "example.com"}


def sender(now: float = 0.0, **values: str) -> ProbeSender:
    return ProbeSender(Settings.of(HOME | values), lambda: now)


@pytest.mark.parametrize(
    ("value", "address"),
    [("$double_bounce_sender", "double-bounce@example.com"), ("p@x.example", "p@x.example"), ("", ""), ("<>", "")],
)
def test_the_address_stays_without_a_ttl(value: str, address: str) -> None:
    prober = sender(1e9, address_verify_sender=value)
    assert prober.now() == address
    assert prober.owns(address.upper()) is bool(address)
    assert not prober.owns(f"x{address}") and not prober.owns("double-bouncex@example.com") and not prober.owns("")


def test_the_address_changes_with_its_ttl_and_the_last_one_still_counts() -> None:
    before, at, after, late = (
        sender(now, address_verify_sender_ttl="1h") for now in (3600e3, 3603e3 + 601, 3607e3, 3e9)
    )
    assert len({prober.now() for prober in (before, after, late)}) == 3
    assert before.now().startswith("double-bounce") and before.now().endswith("@example.com")
    assert after.owns(at.now()) and at.owns(after.now()) and not late.owns(before.now())
    assert not after.owns("double-bounce@example.com")
    assert sender(3e9, address_verify_sender_ttl="1h", address_verify_sender="<>").now() == ""


def test_what_is_thrown_away_is_for_reports_and_default_probes() -> None:
    nobody = Nobody(Settings.of(HOME | {"address_verify_sender_ttl": "1h"}), lambda: 3600e3)
    assert nobody.owns("Double-Bounce@mail.example.com") and nobody.owns(
        sender(3600e3, address_verify_sender_ttl="1h").now()
    )
    assert not nobody.owns("double@example.com")
    own = Nobody(Settings.of(HOME | {"address_verify_sender": "p@example.com"}))
    assert own.owns("double-bounce@example.com") and not own.owns("p@example.com")
