"""check on whole configurations: broken/NAME/expected.txt holds `code file:line`; good/NAME must be silent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tayori.config.lint import Finding, Source, fatal_findings, lint, read_source
from tayori.config.mastercf import default_services, parse
from tayori.config.settings import Settings
from tayori.config.system import System

HERE = Path(__file__).parent
BROKEN = sorted(path.name for path in (HERE / "broken").iterdir())
GOOD = sorted(path.name for path in (HERE / "good").iterdir())
SYSTEM = System("mail.example.com", ("127.0.0.1/8", "192.168.1.5/24"))


def state(path: str) -> str:
    return "No such file or directory" if path.startswith("/nowhere") else ""


def source_of(folder: Path) -> Source:
    return replace(read_source(str(folder), SYSTEM, ()), state=state, table_text=lambda _: "")


def told(findings: list[Finding], folder: Path) -> set[str]:
    return {
        f"{f.code} {str(f.origin).removeprefix(f'{folder}/')}" for f in findings if f.severity in ("error", "warning")
    }


def quick(**values: str) -> list[Finding]:
    settings = Settings.of({"compatibility_level": "3.6", **values}, SYSTEM)
    text = "\n".join(f"{n} = {v}" for n, v in {"compatibility_level": "3.6", **values}.items())
    return lint(Source(settings, default_services("test"), texts={"test/main.cf": text}, state=state))


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name: str) -> None:
    folder = HERE / "broken" / name
    expected = set((folder / "expected.txt").read_text().split("\n")) - {""}
    assert told(lint(source_of(folder)), folder) == expected


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    folder = HERE / "good" / name
    assert told(lint(source_of(folder)), folder) == set()
    assert fatal_findings(Settings.read(folder, SYSTEM), source_of(folder).services) == [], (
        "what check lets pass, start must let pass"
    )


def test_enough_of_each() -> None:
    assert len(BROKEN) >= 40
    assert len(GOOD) >= 20


HOWTO = {
    "myhostname": "mail.example.com",
    "mydomain": "example.com",
    "myorigin": "$mydomain",
    "mydestination": "$myhostname, localhost.$mydomain, $mydomain",
    "mynetworks": "192.168.1.0/24, 127.0.0.0/8",
    "relay_domains": "$mydestination",
    "alias_maps": "hash:/etc/aliases",
    "home_mailbox": "Maildir/",
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_recipient_restrictions": "permit_mynetworks permit_sasl_authenticated reject_unauth_destination",
    "broken_sasl_auth_clients": "yes",
}


def test_howto_of_2007_has_no_error_but_warns_of_plaintext_at_its_line() -> None:
    source = Source(Settings.of(HOWTO, SYSTEM), default_services("test"), state=state)
    found = lint(source)
    assert [f.code for f in found if f.severity == "error"] == []
    (plain,) = [f for f in found if f.code == "plaintext-auth"]
    assert plain.origin.line == 9
    assert fatal_findings(Settings.of(HOWTO, SYSTEM), default_services("test")) == []


def test_misspelt_recipient_list_stops_start_as_postfix_does() -> None:
    slips = {k.replace("recipient", "recipeint"): v for k, v in HOWTO.items()}
    (fatal,) = fatal_findings(Settings.of(slips, SYSTEM), default_services("test"))
    assert fatal.code == "no-relay-restriction"
    assert fatal.origin.line == 10
    assert "misspelt" in fatal.meaning


def test_at_level_1_the_default_relay_rules_keep_strangers_out() -> None:
    slips = {"compatibility_level": "1", **{k.replace("recipient", "recipeint"): v for k, v in HOWTO.items()}}
    assert fatal_findings(Settings.of(slips, SYSTEM), default_services("test")) == []


@pytest.mark.parametrize(
    ("relay", "recipient", "open_relay"),
    [
        ("permit_mynetworks, reject_unauth_destination", "permit", False),
        ("permit", "permit_mynetworks, reject_unauth_destination", False),
        ("permit", "permit, reject", True),
        ("permit_auth_destination, reject", "", False),
        ("warn_if_reject reject_unauth_destination", "permit_mynetworks", True),
        ("warn_if_reject reject, defer_unauth_destination", "", False),
        ("permit_mynetworks, reject_rbl_client zen.example, permit, reject", "", True),
        ("check_sender_access static:OK, reject_unauth_destination", "", True),
        ("check_sender_access static:DUNNO, reject_unauth_destination", "", False),
        ("static:permit, reject_unauth_destination", "", True),
        ("mine", "", False),
        ("yours, reject_unauth_destination", "", True),
    ],
)
def test_open_relay(relay: str, recipient: str, open_relay: bool) -> None:
    found = quick(
        mine="permit_mynetworks, reject_unauth_destination",
        yours="permit_sasl_authenticated, permit",
        smtpd_restriction_classes="mine, yours",
        smtpd_relay_restrictions=relay,
        smtpd_recipient_restrictions=recipient,
    )
    assert ("open-relay" in {f.code for f in found}) is open_relay
    assert "no-relay-restriction" not in {f.code for f in found}


def test_a_reject_in_the_client_list_of_one_service_is_enough() -> None:
    text = (
        "submission inet n - - - - smtpd -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n"
        " -o smtpd_relay_restrictions=permit,reject -o smtpd_recipient_restrictions=\n"
    )
    settings = Settings.of({"compatibility_level": "3.6"}, SYSTEM)
    assert fatal_findings(settings, parse(text, "test/master.cf")) == []
    opened = parse(text.replace("permit_sasl_authenticated,reject", ""), "test/master.cf")
    (fatal,) = fatal_findings(settings, opened)
    assert (fatal.code, str(fatal.origin)) == ("open-relay", "test/master.cf:2")


@pytest.mark.parametrize("networks", ["0.0.0.0/0", "[::]/0", "128.0.0.0/1", "10.0.0.0/8, 0.0.0.0/2"])
def test_trusting_everybody_is_an_open_relay(networks: str) -> None:
    assert "open-relay" in {f.code for f in quick(mynetworks=networks)}


@pytest.mark.parametrize("networks", ["10.0.0.0/8", "192.168.0.0/16 [fd00::]/8", "127.0.0.0/8", "[fe80::]/10"])
def test_private_networks_are_fine(networks: str) -> None:
    assert not {f.code for f in quick(mynetworks=networks)} & {"open-relay", "huge-mynetworks"}


def test_large_public_network_is_named() -> None:
    (huge,) = [f for f in quick(mynetworks="127.0.0.0/8, 8.0.0.0/8") if f.code == "huge-mynetworks"]
    assert "16,777,216" in huge.title


def test_old_spellings_and_parameters_without_effect_are_only_notes() -> None:
    found = quick(
        smtpd_client_restrictions="permit_mynetworks, reject_unknown_client",
        virtual_maps="inline:{ }",
        hash_queue_depth="2",
    )
    notes = {(f.code, f.severity) for f in found}
    assert {("old-restriction", "note"), ("old-parameter", "note"), ("no-effect", "note")} <= notes
    assert all(severity == "note" for _, severity in notes)


def test_findings_are_for_people() -> None:
    for name in BROKEN:
        for finding in lint(source_of(HERE / "broken" / name)):
            assert finding.title and finding.meaning and finding.mend, finding


@pytest.mark.parametrize(
    ("name", "value"), [("home_mailbox", "Maildir/ # in the home"), ("myorigin", "a.example ; ours")]
)
def test_a_note_in_a_value_of_one_word_stops_start(name: str, value: str) -> None:
    settings = Settings.of({"compatibility_level": "3.6", name: value}, SYSTEM)
    (fatal,) = fatal_findings(settings, default_services("test"))
    assert (fatal.code, fatal.origin.line) == ("note-behind-value", 2)


def test_a_domain_in_one_form_only_is_told() -> None:
    found = [
        f for f in quick(relay_domains="bücher.example, xn--zrich-kva.example") if f.code == "one-form-of-domain"
    ]
    assert [f.fields["other"] for f in found] == ["xn--bcher-kva.example", "zürich.example"]
    both = quick(relay_domains="bücher.example, XN--BCHER-KVA.example", smtputf8_enable="yes")
    assert not [f for f in both if f.code == "one-form-of-domain"]
