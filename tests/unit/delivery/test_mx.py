from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tayori.delivery.mx import Choice, Hop, NameMissing, NameTrouble, Target, Unreachable, parse_hops, targets
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery


@dataclass
class Zone:
    mxs: dict[str, list[tuple[int, str]] | Exception] = field(default_factory=dict)
    hosts: dict[str, list[str] | Exception] = field(default_factory=dict)

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        found = self.mxs.get(domain, NameMissing("no MX", exists=domain in self.hosts))
        if isinstance(found, Exception):
            raise found
        return found

    async def addresses(self, host: str) -> Sequence[str]:
        found = self.hosts.get(host, NameMissing(f"Name service error for name={host} type=A: Host not found"))
        if isinstance(found, Exception):
            raise found
        return found


def find(zone: Zone, hop: Hop | None = None, **choice: object) -> list[str]:
    return [t.address for t in asyncio.run(targets(hop or Hop("b.example", mx=True), zone, Choice(**choice)))]  # type: ignore[arg-type]


def unreachable(zone: Zone, hop: Hop | None = None, **choice: object) -> DeferredDelivery | BouncedDelivery:
    with pytest.raises(Unreachable) as caught:
        find(zone, hop, **choice)
    return caught.value.outcome


@pytest.mark.parametrize(
    ("text", "hops"),
    [
        ("b.example", [Hop("b.example", 25, True)]),
        ("b.example:587", [Hop("b.example", 587, True)]),
        ("[b.example]", [Hop("b.example", 25, False)]),
        ("[b.example]:2525", [Hop("b.example", 2525, False)]),
        ("[192.0.2.1]:submission", [Hop("192.0.2.1", 587, False)]),
        ("[ipv6:2001:db8::1]:26", [Hop("2001:db8::1", 26, False)]),
        ("[2001:db8::1]", [Hop("2001:db8::1", 25, False)]),
        ("a.example, [b.example]:26", [Hop("a.example", 25, True), Hop("b.example", 26, False)]),
    ],
)
def test_smtp_destination_forms(text: str, hops: list[Hop]) -> None:
    assert list(parse_hops(text, "smtp")) == hops


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("unix:/run/lmtp", Hop("", 0, path="/run/lmtp")),
        ("unix:private/lmtp", Hop("", 0, path="/q/private/lmtp")),
        ("inet:h.example:2003", Hop("h.example", 2003, False)),
        ("inet:[192.0.2.1]", Hop("192.0.2.1", 24, False)),
        ("h.example", Hop("h.example", 24, False)),
    ],
)
def test_lmtp_destination_forms(text: str, hop: Hop) -> None:
    assert parse_hops(text, "24", lmtp=True, queue_directory="/q") == (hop,)


@pytest.mark.parametrize("text", ["", "[x", "[x]y", "[x]:", ":25", "x:nosuchservice", "x:0", "x:70000", "[]"])
def test_bad_destination_defers(text: str) -> None:
    with pytest.raises(Unreachable) as caught:
        parse_hops(text, "smtp")
    assert isinstance(caught.value.outcome, DeferredDelivery) and caught.value.outcome.enhanced == "4.3.5"


def test_preference_orders_the_hosts() -> None:
    zone = Zone(
        {"b.example": [(20, "far"), (5, "near"), (10, "mid")]},
        {"far": ["3.3.3.3"], "near": ["1.1.1.1"], "mid": ["2.2.2.2"]},
    )
    assert find(zone) == ["1.1.1.1", "2.2.2.2", "3.3.3.3"]


def test_equal_preference_is_shuffled_within_itself_only() -> None:
    zone = Zone({"b.example": [(5, "a"), (5, "b"), (9, "c")]}, {"a": ["1.1.1.1"], "b": ["2.2.2.2"], "c": ["3.3.3.3"]})
    assert find(zone, shuffle=list.reverse) == ["2.2.2.2", "1.1.1.1", "3.3.3.3"]


def test_no_mx_falls_back_to_the_address() -> None:
    assert find(Zone({}, {"b.example": ["9.9.9.9"]})) == ["9.9.9.9"]


def test_domain_that_does_not_exist_bounces() -> None:
    outcome = unreachable(Zone())
    assert isinstance(outcome, BouncedDelivery) and outcome.enhanced == "5.4.4"
    assert outcome.text.startswith("Host or domain name not found.")


def test_dns_trouble_defers_unless_ignored() -> None:
    zone = Zone({"b.example": NameTrouble("try again")}, {"b.example": ["9.9.9.9"]})
    outcome = unreachable(zone)
    assert isinstance(outcome, DeferredDelivery) and outcome.enhanced == "4.4.3"
    assert find(zone, ignore_mx_error=True) == ["9.9.9.9"]


def test_null_mx_bounces() -> None:
    outcome = unreachable(Zone({"b.example": [(0, "")]}, {"b.example": ["9.9.9.9"]}))
    assert isinstance(outcome, BouncedDelivery) and outcome.enhanced == "5.1.0"
    assert outcome.text == "Domain b.example does not accept mail (nullMX)"


def test_one_unresolvable_host_does_not_hide_the_other() -> None:
    zone = Zone({"b.example": [(1, "gone"), (2, "here")]}, {"here": ["2.2.2.2"]})
    assert find(zone) == ["2.2.2.2"]


def test_temporary_trouble_beats_missing_hosts() -> None:
    zone = Zone({"b.example": [(1, "gone"), (2, "slow")]}, {"slow": NameTrouble("x")})
    assert isinstance(unreachable(zone), DeferredDelivery)
    zone.hosts = {}
    assert isinstance(unreachable(zone), BouncedDelivery)


def test_only_hosts_better_than_ourselves_get_the_mail() -> None:
    zone = Zone(
        {"b.example": [(5, "best"), (10, "me"), (20, "worse")]},
        {"best": ["1.1.1.1"], "me": ["7.7.7.7"], "worse": ["3.3.3.3"]},
    )
    assert find(zone, own=frozenset({"7.7.7.7"})) == ["1.1.1.1"]
    assert find(zone, hostname="ME") == ["1.1.1.1"]


def test_mail_that_would_come_back_bounces() -> None:
    zone = Zone({"b.example": [(5, "me"), (10, "other")]}, {"me": ["7.7.7.7"], "other": ["3.3.3.3"]})
    outcome = unreachable(zone, own=frozenset({"7.7.7.7"}))
    assert isinstance(outcome, BouncedDelivery) and outcome.enhanced == "5.4.6"
    assert outcome.text == "mail for b.example loops back to myself"


def test_another_port_is_another_server_and_no_loop() -> None:
    zone = Zone({"b.example": [(5, "me"), (10, "other")]}, {"me": ["7.7.7.7"], "other": ["3.3.3.3"]})
    assert find(zone, Hop("b.example", 2525, mx=True), own=frozenset({"7.7.7.7"})) == ["7.7.7.7", "3.3.3.3"]


def test_a_name_without_mx_is_asked_for_its_address_even_when_dns_does_not_know_it() -> None:
    zone = Zone({"b.example": NameMissing("no such name", exists=False)}, {"b.example": ["4.4.4.4"]})
    assert find(zone, Hop("b.example", mx=True)) == ["4.4.4.4"]


def test_literals_and_brackets_ask_no_mx() -> None:
    zone = Zone({"h.example": NameTrouble("must not be asked")}, {"h.example": ["4.4.4.4"]})
    assert find(zone, Hop("h.example")) == ["4.4.4.4"]
    assert find(zone, Hop("192.0.2.1", mx=True)) == ["192.0.2.1"]


def test_address_limit_keeps_a_place_for_the_other_family() -> None:
    zone = Zone({}, {"b.example": [f"2001:db8::{n}" for n in range(1, 9)] + ["1.1.1.1"]})
    found = find(zone, limit=3)
    assert len(found) == 3 and found[-1] == "1.1.1.1"
    assert "1.1.1.1" not in find(zone, limit=3, balance=False)


def test_address_preference_puts_one_family_first() -> None:
    zone = Zone({}, {"b.example": ["2001:db8::1", "1.1.1.1"]})
    assert find(zone, prefer="ipv4") == ["1.1.1.1", "2001:db8::1"]
    zone.hosts["b.example"] = ["1.1.1.1", "2001:db8::1"]
    assert find(zone, prefer="ipv6") == ["2001:db8::1", "1.1.1.1"]


def test_names_for_the_log() -> None:
    assert Target("mx.b", "1.1.1.1", 25).relay == "mx.b[1.1.1.1]:25"
    assert Target("me.example", "", 0, "/run/lmtp").relay == "me.example[/run/lmtp]"
