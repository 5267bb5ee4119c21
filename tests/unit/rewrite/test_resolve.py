"""Classes, transport and next hop: cases from ADDRESS_CLASS_README, transport(5) and trivial-rewrite(8)."""

from __future__ import annotations

import asyncio

import pytest

from tayori.config.settings import Settings
from tayori.config.system import System
from tayori.rewrite.classes import Classes
from tayori.rewrite.resolve import Resolver
from tayori.rewrite.results import AddressClass, Deferred, Resolved
from tayori.tables.registry import Tables

HOME = {
    "myhostname": "mail.example.com",
    "mydomain": "example.com",
    "myorigin": "$mydomain",
    "mydestination": "$myhostname, localhost.$mydomain, $mydomain",
    "inet_interfaces": "all",
    "recipient_delimiter": "+",
    "compatibility_level": "3.6",
}


def resolve(address: str, sender: str = "", **values: str) -> Resolved | Deferred:
    settings = Settings.of(HOME | values, System(interfaces=("127.0.0.1/8", "192.0.2.5/24")))
    tables = Tables(settings)
    return asyncio.run(Resolver(settings, tables, Classes(settings, tables)).resolve(address, sender))


def route(address: str, sender: str = "", **values: str) -> tuple[str, str, str]:
    answer = resolve(address, sender, **values)
    assert isinstance(answer, Resolved), answer
    return answer.kind.value, answer.transport, answer.nexthop


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("taro@example.com", ("local", "local", "mail.example.com")),
        ("taro@EXAMPLE.com", ("local", "local", "mail.example.com")),
        ("taro", ("local", "local", "mail.example.com")),
        ("taro@[192.0.2.5]", ("local", "local", "mail.example.com")),
        ("taro@[192.0.2.6]", ("default", "smtp", "[192.0.2.6]")),
        ("x@other.org", ("default", "smtp", "other.org")),
        ("x@sub.example.com", ("default", "smtp", "sub.example.com")),
        ("", ("local", "local", "mail.example.com")),
    ],
)
def test_classes(address: str, expected: tuple[str, str, str]) -> None:
    assert route(address) == expected


def test_virtual_relay_and_parents() -> None:
    values = {
        "virtual_mailbox_domains": "v.org",
        "virtual_alias_domains": "a.org",
        "relay_domains": "r.org",
        "parent_domain_matches_subdomains": "relay_domains",
    }
    assert route("x@v.org", **values) == ("virtual mailbox", "virtual", "v.org")
    assert route("x@a.org", **values) == ("virtual alias", "error", "5.1.1 User unknown in virtual alias table")
    assert route("x@r.org", **values) == ("relay", "relay", "r.org")
    assert route("x@s.r.org", **values) == ("relay", "relay", "s.r.org")
    assert route("x@s.r.org", **values | {"parent_domain_matches_subdomains": ""})[0] == "default"


def test_relayhost_and_precedence() -> None:
    assert route("x@o.org", relayhost="[smtp.isp.net]:587") == ("default", "smtp", "[smtp.isp.net]:587")
    assert route("x@o.org", relayhost="h", default_transport="uucp:gw") == ("default", "uucp", "gw")
    assert route("taro@example.com", relayhost="h") == ("local", "local", "mail.example.com")
    maps = "inline:{ { a@x.org=[one] }, { @y.org=[two]:26 }, { <>=[null] }, { z@y.org=DUNNO } }"
    assert route("x@o.org", "a+b@x.org", sender_dependent_relayhost_maps=maps)[2] == "[one]"
    assert route("x@o.org", "q@y.org", sender_dependent_relayhost_maps=maps)[2] == "[two]:26"
    assert route("x@o.org", "z@y.org", sender_dependent_relayhost_maps=maps)[2] == "o.org"
    assert route("x@o.org", "", sender_dependent_relayhost_maps=maps)[2] == "[null]"
    assert route("x@o.org", "a@x.org", sender_dependent_default_transport_maps="inline:{a@x.org=slow:}") == (
        "default",
        "slow",
        "o.org",
    )


TRANSPORTS = """inline:{
    { u+e@t.org=one:e }, { u@t.org=two: }, { t.org=smtp:[gw]:25 }, { .t.org=:sub }, { nul.org=: },
    { bad.org=error:no mail here }, { err.org=error: }, { *=smtp:outbound } }"""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("u+e@t.org", ("one", "e")),
        ("u+f@t.org", ("two", "t.org")),
        ("w@t.org", ("smtp", "[gw]:25")),
        ("w@a.b.t.org", ("smtp", "sub")),
        ("w@nul.org", ("smtp", "nul.org")),
        ("w@bad.org", ("error", "no mail here")),
        ("w@err.org", ("error", "Address is undeliverable")),
        ("w@else.org", ("smtp", "outbound")),
        ("taro@example.com", ("smtp", "outbound")),
    ],
)
def test_transport_maps(address: str, expected: tuple[str, str]) -> None:
    assert route(address, transport_maps=TRANSPORTS)[1:] == expected


def test_parent_domain_in_transport_maps() -> None:
    values = {"transport_maps": "inline:{t.org=slow:}"}
    assert route("w@a.t.org", **values, parent_domain_matches_subdomains="transport_maps")[1] == "slow"
    assert route("w@a.t.org", **values, parent_domain_matches_subdomains="")[1] == "smtp"


def test_source_routing_is_marked() -> None:
    for address in ("a@else.org@example.com", "a%else.org@example.com", "else.org!a@example.com"):
        answer = resolve(address)
        assert isinstance(answer, Resolved)
        assert (answer.routed, answer.address, answer.nexthop) == (True, "a@else.org", "else.org"), address
    answer = resolve("a%else.org@other.org")
    assert isinstance(answer, Resolved) and answer.routed and answer.nexthop == "other.org"
    answer = resolve("a@other.org")
    assert isinstance(answer, Resolved) and not answer.routed


def test_relocated_and_idn() -> None:
    answer = resolve("old@example.com", relocated_maps="inline:{old=new@else.org}")
    assert isinstance(answer, Resolved)
    assert (answer.transport, answer.nexthop) == ("error", "5.1.6 User has moved to new@else.org")
    bare = resolve("old@example.com", relocated_maps="inline:{{old=5.7.1 left us}}", relocated_prefix_enable="no")
    assert isinstance(bare, Resolved) and bare.nexthop == "5.7.1 left us"
    # a domain is looked for as it is written (SMTPUTF8_README): the other form is another name
    assert route("x@BÜCHER.example", virtual_mailbox_domains="bücher.example")[0] == "virtual mailbox"
    assert route("x@bücher.example", virtual_mailbox_domains="xn--bcher-kva.example")[0] == "default"
    assert route("x@xn--bcher-kva.example", virtual_mailbox_domains="bücher.example")[0] == "default"
    assert resolve("x@STRAßE.example").nexthop == "straße.example"  # type: ignore[union-attr]


def test_a_table_that_fails_defers() -> None:
    for name in ("transport_maps", "relocated_maps", "virtual_mailbox_domains", "sender_dependent_relayhost_maps"):
        assert isinstance(resolve("x@o.org", **{name: "fail:test"}), Deferred), name


def test_reason_names_the_line() -> None:
    answer = resolve("taro@example.com")
    assert isinstance(answer, Resolved)
    assert answer.reason == "mydestination" and str(answer.origin) == "test/main.cf:4"
    assert answer.kind is AddressClass.LOCAL
