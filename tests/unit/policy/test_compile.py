"""Mistakes in lists are found at construction, with their line; old spellings are translated."""

from __future__ import annotations

import asyncio

import pytest

from support.policy import Session, build
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.policy.compile import origins
from tayori.policy.restrictions import OLD_SPELLINGS, RESTRICTIONS

GUARD = "reject_unauth_destination"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("permit_mynetwork, " + GUARD, 'did you mean "permit_mynetworks"'),
        (GUARD + ", mydestination", "is a parameter"),
        (GUARD + ", check_sender_access", "needs an argument"),
        (GUARD + ", check_sender_access foo", "not type:name"),
        (GUARD + ", check_sender_access nosuch:foo", "nosuch"),
        (GUARD + ", sleep soon", "whole seconds"),
        (GUARD + ", reject_rbl_client x.y=127.0.0.[4..2", "no reply filter"),
        (GUARD + ", check_policy_service tcp:1", "no policy server"),
        (GUARD + ", check_policy_service { inet:127.0.0.1:1, tmeout=3 }", "the options are"),
        ("permit_mynetworks, permit", "let strangers relay"),
        ("permit, reject", "let strangers relay"),
        ("warn_if_reject reject", "let strangers relay"),
    ],
)
def test_mistakes(value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")) as caught:
        build({"smtpd_relay_restrictions": "", "smtpd_recipient_restrictions": value})
    assert caught.value.origin is not None and caught.value.origin.line > 0


def test_a_class_that_holds_the_guard_will_do_and_a_circle_will_not() -> None:
    settings = {"smtpd_restriction_classes": "mine", "mine": GUARD, "smtpd_recipient_restrictions": "mine"}
    build({**settings, "smtpd_relay_restrictions": ""})
    with pytest.raises(ConfigError, match="circle"):
        build({**settings, "mine": "mine"})


def test_a_refusal_must_not_read_as_a_yes() -> None:
    with pytest.raises(ConfigError, match="begins with 4 or 5"):
        build({"reject_code": "250", "smtpd_recipient_restrictions": "reject"})


def test_each_word_knows_its_line() -> None:
    text = "a = 1\nsmtpd_recipient_restrictions = permit_mynetworks,\n # note\n reject\n  reject_unlisted_recipient, $more\n"
    from tayori.config import maincf

    settings = Settings("test", maincf.parse(text + "more = defer\n", "main.cf"))
    words = settings.items("smtpd_recipient_restrictions")
    assert words == ("permit_mynetworks", "reject", "reject_unlisted_recipient", "defer")
    found = [place.line if place else 0 for place in origins(settings, "smtpd_recipient_restrictions", words)]
    assert found == [2, 4, 5, 2]


def test_old_spellings_work_and_warn() -> None:
    policy = build(
        {
            "maps_rbl_domains": "one.example two.example",
            "smtpd_recipient_restrictions": "reject_invalid_hostname, reject_maps_rbl, permit_naked_ip_address,"
            " check_relay_domains",
        }
    )
    assert [warning.mend for warning in policy.warnings] == [
        "write reject_invalid_helo_hostname",
        "write reject_rbl_client one.example reject_rbl_client two.example",
        "remove it: it has no effect any more",
        "write permit_auth_destination reject",
    ]
    for words in OLD_SPELLINGS.values():
        assert not words or words[0] in RESTRICTIONS


def test_the_verdict_says_which_line_decided() -> None:
    async def run() -> None:
        policy = build({"smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination"})
        session = Session(policy)
        for command in ("XCLIENT NAME=x.y ADDR=192.0.2.1", "EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<f@for.eign>"):
            await session.say(command)
        reason = session.verdict.reason
        assert reason is not None and reason.restriction == "reject_unauth_destination"
        assert (reason.stage, reason.parameter) == ("RCPT", "smtpd_relay_restrictions")
        assert str(reason.origin) == "test/main.cf:10"
        assert reason.looked_up == "class of f@for.eign"
        steps = [(step.reason.restriction, step.action) for step in session.verdict.trace]
        assert steps == [("permit_mynetworks", "dunno"), ("reject_unauth_destination", "reject")]
        session = Session(policy)
        for command in ("EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<f@for.eign>"):
            assert await session.say(command) == "250"
        assert session.verdict.reason is not None
        assert session.verdict.reason.answer == "127.0.0.0/8 at test/main.cf:4"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("logged", "names"),
    [
        ("", []),
        ("static:all", ["OK", "permit_mynetworks"]),
        ("permit_mynetworks", ["permit_mynetworks"]),
        ("!permit_mynetworks, static:all", ["OK"]),
        ("inline:{ok=x}", ["OK"]),
        ("check_sender_access", []),
    ],
)
def test_permissions_are_logged_as_a_real_postfix_does(logged: str, names: list[str]) -> None:
    session = Session(
        build(
            {
                "smtpd_log_access_permit_actions": logged,
                "smtpd_sender_restrictions": "check_sender_access inline:{bob@example.com=OK}",
                "smtpd_relay_restrictions": "permit_mynetworks, reject",
            }
        )
    )

    async def dialogue() -> None:
        await session.say("EHLO x.example")
        await session.say("MAIL FROM:<bob@example.com>")
        await session.say("RCPT TO:<u@example.com>")

    asyncio.run(dialogue())
    lines = {
        "OK": "action=OK for Sender address=bob@example.com from inline:{bob@example.com=OK};",
        "permit_mynetworks": "action=permit_mynetworks for Client host=localhost[127.0.0.1] ;",
    }
    found = [line for line in session.log if "permit:" in line]
    assert len(found) == len(names) and all(lines[name] in line for name, line in zip(names, found, strict=True))
