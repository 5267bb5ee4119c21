"""Restrictions that ask DNS, against zones given as data.

A real Postfix 3.7, chrooted with a resolv.conf of its own that led to the same zones, gave the same replies.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.dns import DnsServer
from support.policy import Session, build
from tayori.net.dns import HostsFile, Resolver
from tayori.policy.dnsbl import parse_filter, reversed_address

ZONES: dict[tuple[str, str], list[str] | str] = {
    ("mx.example", "MX"): ["10 mail.mx.example."],
    ("mail.mx.example", "A"): ["192.0.2.7"],
    ("mx.example", "NS"): ["ns.evil.example."],
    ("ns.evil.example", "A"): ["198.51.100.1"],
    ("plain.example", "A"): ["192.0.2.8"],
    ("null.example", "MX"): ["0 ."],
    ("broken.example", "MX"): "SERVFAIL",
    ("broken.example", "A"): "SERVFAIL",
    ("backup.example", "MX"): ["10 first.example.", "20 mail.example.com."],
    ("primary.example", "MX"): ["10 mail.example.com."],
    ("first.example", "A"): ["192.0.2.30"],
    ("9.2.0.192.bl.example", "A"): ["127.0.0.4"],
    ("9.2.0.192.bl.example", "TXT"): ['"see http://bl.example/$x"'],
    ("9.2.0.192.wl.example", "A"): ["127.0.0.2"],
    ("9.2.0.192.dead.example", "A"): "SERVFAIL",
    ("spam.example.rhs.example", "A"): ["127.0.0.2"],
}
CLIENT = "XCLIENT NAME=host.ex.org ADDR=192.0.2.9"


def ask(main: dict[str, str], *commands: str, client: str = CLIENT, **more: Any) -> str:
    """The last reply."""

    async def run(server: DnsServer) -> str:
        resolver = Resolver(["127.0.0.1"], server.port, timeout=1, hosts=HostsFile("/nonexistent"))
        session = Session(build({"local_recipient_maps": "static:all", **main}, resolver, **more))
        reply = ""
        for command in (client, *(commands or mail("a@x.y"))):
            reply = await session.say(command)
        return reply

    with DnsServer(ZONES) as server:
        return asyncio.run(run(server))


def mail(sender: str, recipient: str = "u@example.com", helo: str = "x") -> tuple[str, str, str]:
    return f"EHLO {helo}", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>"


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("a@mx.example", "250"),
        ("a@plain.example", "250"),
        ("a@example.com", "250"),
        ("a@[192.0.2.1]", "250"),
        ("", "250"),
        ("a@none.example", "450 4.1.8 <a@none.example>: Sender address rejected: Domain not found"),
        ("a@broken.example", "450 4.1.8 <a@broken.example>: Sender address rejected: Domain not found"),
        (
            "a@null.example",
            "550 5.7.27 <a@null.example>: Sender address rejected: Domain null.example does not accept mail (nullMX)",
        ),
    ],
)
def test_unknown_sender_domain(sender: str, reply: str) -> None:
    assert ask({"smtpd_sender_restrictions": "reject_unknown_sender_domain"}, *mail(sender)) == reply


def test_temporary_trouble_is_no_refusal_of_its_own() -> None:
    reply = ask(
        {"smtpd_sender_restrictions": "reject_unknown_sender_domain", "unknown_address_reject_code": "550"},
        *mail("a@broken.example", "f@for.eign"),
    )
    assert reply == "454 4.7.1 <f@for.eign>: Relay access denied"
    reply = ask(
        {"smtpd_sender_restrictions": "reject_unknown_sender_domain", "unknown_address_reject_code": "550"},
        *mail("a@none.example"),
    )
    assert reply == "550 5.1.8 <a@none.example>: Sender address rejected: Domain not found"


def test_unknown_recipient_domain_and_helo() -> None:
    relay = {"smtpd_relay_restrictions": "permit_mynetworks, reject", "mynetworks": "192.0.2.0/24"}
    reply = ask(
        {**relay, "smtpd_recipient_restrictions": "reject_unknown_recipient_domain"}, *mail("", "a@null.example")
    )
    assert reply == (
        "556 5.1.10 <a@null.example>: Recipient address rejected: Domain null.example does not accept mail (nullMX)"
    )
    helo = {"smtpd_helo_restrictions": "reject_unknown_helo_hostname"}
    assert ask(helo, *mail("", helo="nowhere.example")) == (
        "450 4.7.1 <nowhere.example>: Helo command rejected: Host not found"
    )
    assert ask(helo, *mail("", helo="plain.example")) == "250"
    assert ask(helo, *mail("", helo="[192.0.2.1]")) == "250"


@pytest.mark.parametrize(
    ("rules", "reply"),
    [
        (
            "reject_rbl_client bl.example",
            "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using bl.example;"
            " see http://bl.example/$x",
        ),
        ("reject_rbl_client bl.example=127.0.0.[2;5..7]", "250"),
        (
            "reject_rbl_client bl.example=127.0.0.[2..4]",
            "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using bl.example;"
            " see http://bl.example/$x",
        ),
        ("reject_rbl_client dead.example", "250"),
        ("reject_rbl_client wl.example=127.0.0.3", "250"),
        (
            "reject_rhsbl_sender rhs.example",
            "554 5.7.1 Service unavailable; Sender address [a@spam.example] blocked using rhs.example",
        ),
        ("permit_dnswl_client wl.example, reject", "250"),
        (
            "permit_dnswl_client bl.example=127.0.0.2, reject",
            "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied",
        ),
        (
            "permit_dnswl_client dead.example, reject",
            "450 4.7.1 <192.0.2.9>: Client host rejected: Service unavailable",
        ),
    ],
)
def test_dns_lists(rules: str, reply: str) -> None:
    assert ask({"smtpd_recipient_restrictions": rules}, *mail("a@spam.example")) == reply


def test_a_permit_list_never_opens_a_relay() -> None:
    rules = {"smtpd_relay_restrictions": "permit_dnswl_client wl.example, reject_unauth_destination"}
    assert ask(rules, *mail("", "f@for.eign")) == "554 5.7.1 <f@for.eign>: Relay access denied"


def test_reply_templates() -> None:
    maps = {
        "rbl_reply_maps": "inline:{{bl.example=$$rbl_code 4.7.9 $$rbl_what by $$rbl_domain for $$sender_domain$$recipient_name}}"
    }
    reply = ask({"smtpd_recipient_restrictions": "reject_rbl_client bl.example", **maps})
    assert reply == "554 5.7.9 192.0.2.9 by bl.example for x.yu"


@pytest.mark.parametrize(
    ("rule", "table", "reply"),
    [
        ("check_sender_mx_access", "192.0.2.7=REJECT no", "554 5.7.1 <a@mx.example>: Sender address rejected: no"),
        ("check_sender_mx_access", "mx.example=REJECT no", "554 5.7.1 <a@mx.example>: Sender address rejected: no"),
        ("check_sender_ns_access", "evil.example=REJECT no", "554 5.7.1 <a@mx.example>: Sender address rejected: no"),
        ("check_sender_ns_access", "198.51=OK", "451 4.3.5 Server configuration error"),
        ("check_sender_a_access", "192.0.2.7=REJECT no", "250"),
        ("check_helo_a_access", "192.0.2=REJECT no", "554 5.7.1 <plain.example>: Helo command rejected: no"),
        ("check_client_a_access", "192.0.2.7=REJECT no", "250"),
    ],
)
def test_hosts_behind_names(rule: str, table: str, reply: str) -> None:
    settings = {"smtpd_sender_restrictions": rule + " inline:{{" + table + "}}"}
    assert ask(settings, *mail("a@mx.example", helo="plain.example")) == reply


def test_mx_backup() -> None:
    rules = {"smtpd_relay_restrictions": "permit_mx_backup, reject"}
    denied = "554 5.7.1 <{0}>: Recipient address rejected: Access denied"
    assert ask(rules, *mail("", "x@backup.example")) == "250"
    assert ask(rules, *mail("", "u@example.com")) == "250"
    for address in ("x@primary.example", "x%y@backup.example", "x@mx.example"):
        assert ask(rules, *mail("", address)) == denied.format(address)
    assert ask(rules, *mail("", "x@broken.example")) == (
        "450 4.4.4 <x@broken.example>: Recipient address rejected: Unable to look up mail exchanger information:"
        " Host not found, try again"
    )
    networks = {"permit_mx_backup_networks": "192.0.2.0/28"}
    assert ask({**rules, **networks}, *mail("", "x@backup.example")) == denied.format("x@backup.example")
    networks = {"permit_mx_backup_networks": "192.0.2.0/24"}
    assert ask({**rules, **networks}, *mail("", "x@backup.example")) == "250"


def test_filters_and_reversed_addresses() -> None:
    assert parse_filter("127.0.0.[2..4;9]")[3] == frozenset((2, 3, 4, 9))
    for bad in ("127.0.0", "127.0.0.[1..300]", "127.0.0.2.", "127.0.0.x", "", "127.0.0.[]"):
        with pytest.raises(ValueError):
            parse_filter(bad)
    assert reversed_address("192.0.2.9") == "9.2.0.192"
    assert reversed_address("2001:db8::1") == "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2"
    assert reversed_address("unknown") == ""
