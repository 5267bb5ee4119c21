"""The five causes of "Relay access denied", and the remedies, from small configurations."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.explain.causes import Situation, reasons
from tayori.programs.explain.known import case
from tayori.programs.explain.text import lines
from tayori.programs.explain.values import Explanation, Question
from tayori.programs.explain.walk import Explainer
from tayori.programs.history.record import Asked, Decision, Failed
from tayori.programs.language import ENGLISH

MAIN = """compatibility_level = 3.6
myhostname = mail.example.com
mydestination = example.com
mynetworks = 192.0.2.0/24
alias_maps =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
queue_directory = {dir}
data_directory = {dir}
smtpd_peername_lookup = no
"""
DENIED = Decision(
    "RCPT", "x@elsewhere.example", "reject", "554 5.7.1 <x@elsewhere.example>: Relay access denied",
    Asked("RCPT", "smtpd_relay_restrictions", "reject_unauth_destination", file="main.cf", line=7),
    (Asked("RCPT", "smtpd_relay_restrictions", "permit_mynetworks"),
     Asked("RCPT", "smtpd_relay_restrictions", "permit_sasl_authenticated")),
)  # fmt: skip


def explainer(folder: Path, more: str = "", master: str = "127.0.0.1:2525 inet n - n - - smtpd\n") -> Explainer:
    (folder / "main.cf").write_text(MAIN.format(dir=folder) + more)
    (folder / "master.cf").write_text(master)
    return Explainer(Settings.read(folder, probe()))


def told(asked: Explainer, situation: Situation) -> str:
    built = asked.service("")

    async def ask() -> str:
        why, mends = await reasons(DENIED, None, situation, built, asked.services, ENGLISH)
        return "\n".join([*why, *(one.text for one in mends)])

    try:
        return asyncio.run(ask())
    finally:
        asked.close()


def explained(folder: Path, question: Question, more: str = "") -> Explanation:
    async def ask() -> Explanation:
        asked = explainer(folder, more)
        try:
            return await asked.explain(question, ENGLISH)
        finally:
            asked.close()

    return asyncio.run(ask())


SASL = "smtpd_sasl_auth_enable = yes\n"


@pytest.mark.parametrize(
    ("more", "situation", "cause"),
    [
        ("", Situation("198.51.100.1", offered=()), "AUTH is not offered on port 2525 (smtpd_sasl_auth_enable = no)"),
        (SASL, Situation("198.51.100.1", offered=("PLAIN",)), "did not try to log in, though AUTH was offered"),
        (SASL, Situation("198.51.100.1"), "never said EHLO"),
        (SASL + "smtpd_tls_auth_only = yes\n", Situation("198.51.100.1", offered=()), "only after STARTTLS, "),
        (SASL, Situation("198.51.100.1", offered=("PLAIN",), failed=(Failed("PLAIN", "taro", "wrong password"),)),
         "failed: PLAIN as taro: wrong password"),
        (SASL, Situation("198.51.100.1", login="taro"), "logged in as taro, but no permit_sasl_authenticated"),
    ],
)  # fmt: skip
def test_the_cause_of_relay_access_denied(tmp_path: Path, more: str, situation: Situation, cause: str) -> None:
    assert cause in told(explainer(tmp_path, more), situation)


def test_another_port_with_auth_is_named(tmp_path: Path) -> None:
    master = (
        "127.0.0.1:2525 inet n - n - - smtpd\n127.0.0.1:5870 inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n"
    )
    text = told(explainer(tmp_path, "", master), Situation("198.51.100.1", offered=()))
    assert "Log in on port 5870, where AUTH is offered." in text


def test_a_permit_behind_the_refusal_is_found(tmp_path: Path) -> None:
    more = "smtpd_relay_restrictions = reject_unauth_destination,\n  permit_mynetworks\n"
    found = explained(tmp_path, Question("192.0.2.1", "a@b.example", ("x@elsewhere.example",)), more)
    first = found.judged[0].remedies[0]
    assert first.text == 'Move "permit_mynetworks" before "reject_unauth_destination".'
    assert first.place.endswith("main.cf:12")


def test_a_permit_that_would_not_have_helped_is_not_named(tmp_path: Path) -> None:
    more = "smtpd_relay_restrictions = reject_unauth_destination, permit_mynetworks\n"
    found = explained(tmp_path, Question("198.51.100.1", "a@b.example", ("x@elsewhere.example",)), more)
    assert not any("Move" in remedy.text for remedy in found.judged[0].remedies)


def test_the_text_names_rule_line_and_route(tmp_path: Path) -> None:
    more = "virtual_alias_maps = inline:{{info@example.com=x@far.example}}\nrelayhost = [relay.example]\n"
    found = explained(tmp_path, Question("192.0.2.1", "a@b.example", ("info@example.com",)), more)
    text = "\n".join(lines(found, ENGLISH))
    assert found.accepted
    assert "+ permit_mynetworks: lets it pass (192.0.2.1 in mynetworks: 192.0.2.0/24 at" in text
    assert "main.cf:7" in text
    assert "recipient <info@example.com> becomes <x@far.example>" in text
    assert "virtual_alias_maps" in text
    assert "transport: smtp:[relay.example], chosen by relayhost" in text


def test_a_login_that_cannot_be_is_left_out(tmp_path: Path) -> None:
    found = explained(tmp_path, Question("198.51.100.1", "a@b.example", ("x@elsewhere.example",), login="taro"))
    assert (found.login, found.accepted) == ("", False)
    assert "taro" in found.notes[0]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = {"main.cf", "master.cf", "tables"}
    explained(tmp_path, Question("192.0.2.1", "a@b.example", ("taro@example.com",)))
    assert {path.name for path in tmp_path.iterdir()} <= before


def test_an_error_transport_is_named_and_nobody_is_sent_to_a_list() -> None:
    closed = case(
        "reject_unlisted_recipient",
        "550 5.1.2 closed",
        "not found",
        "q@relayed.example in transport_maps: relayed.example",
    )
    assert closed is not None
    assert closed.table
    other = case("reject_unlisted_recipient", "550 5.1.2 closed", "not found", "else")
    assert other is not None
    assert not other.table


def test_no_advice_to_put_ok_where_it_would_let_mail_be_relayed() -> None:
    found = case("check_sender_access", "554 no", "REJECT")
    assert found is not None
    assert "DUNNO" in found.mends[0][0]
    assert " OK " not in found.mends[0][0]
