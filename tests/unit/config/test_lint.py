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


@pytest.mark.parametrize(
    ("rule", "text", "code", "shown"),
    [
        ("check_client_access hash:/t", "unknown OK", "open-relay", "203.0.113.9"),
        ("check_client_access hash:/t", "203\tOK", "open-relay", "(203.0.2.9"),
        ("check_client_access hash:/t", "com OK", "open-relay", "(elsewhere.com [203.0.113.9]"),
        ("check_client_access hash:/t", "192.168 OK\n10 OK\nhost.example.com OK", "", ""),
        ("check_client_access pcre:/t", "/^unknown$/ OK", "open-relay", ""),
        ("check_client_access pcre:/t", "/./ DUNNO\n/./ OK", "", ""),
        ("check_client_access pcre:/t", "/^192\\.168\\./ OK", "", ""),
        ("check_client_access pcre:/t", "!/ / OK", "open-relay", ""),
        ("check_client_access cidr:/t", "203.0.113.0/24 REJECT\n0.0.0.0/0\tOK", "open-relay", ""),
        ("check_helo_access hash:/t", "jp OK", "open-relay", "EHLO elsewhere.jp"),
        ("check_reverse_client_hostname_access hash:/t", "unknown OK", "open-relay", ""),
        ("check_sender_access hash:/t", "<> OK", "open-relay", "MAIL FROM:<>"),
        ("check_sender_access regexp:/t", "/./\n  OK", "open-relay", "MAIL FROM:<a@qj7x"),
        ("check_sender_access hash:/t", "ours.example\tOK our own people", "relay-depends-on-table", ""),
        ("check_recipient_access hash:/t", "com\tOK for com", "open-relay", "RCPT TO:<b@elsewhere.com>"),
        ("check_recipient_access hash:/t", "other.example OK", "relay-depends-on-table", ""),
        ("check_recipient_access hash:/t", "ours.example OK\npostmaster@ours.example OK", "", ""),
        ("check_client_access static:{permit_mynetworks,permit}", "", "open-relay", ""),
    ],
)
def test_what_a_table_answers_to_a_stranger(rule: str, text: str, code: str, shown: str) -> None:
    values = {"mydestination": "ours.example", "smtpd_relay_restrictions": f"{rule}, reject_unauth_destination"}
    settings = Settings.of({"compatibility_level": "3.6", **values}, SYSTEM)
    found = lint(Source(settings, default_services("test"), state=lambda _: "", table_text=lambda _: text))
    assert [f.code for f in found if f.severity != "note"] == ([code] if code else [])
    assert not code or shown in "\n".join(found[0].session)


@pytest.mark.parametrize(
    ("values", "opened"),
    [
        ({"relay_domains": "static:x", "relay_recipient_maps": "inline:{a@b.example=x}"}, False),
        ({"relay_domains": "static:x", "relay_recipient_maps": "static:x"}, True),
        (
            {
                "relay_domains": "com",
                "relay_recipient_maps": "inline:{a@b.example=x}",
                "smtpd_reject_unlisted_recipient": "no",
            },
            True,
        ),
        ({"relay_domains": ".com"}, False),
        ({"smtpd_relay_restrictions": "check_helo_access inline:{.com=OK}, reject"}, False),
        (
            {
                "smtpd_relay_restrictions": "check_client_access inline:{com=OK}, reject",
                "parent_domain_matches_subdomains": "",
            },
            False,
        ),
        (
            {
                "smtpd_relay_restrictions": "check_helo_access inline:{.com=OK}, reject",
                "parent_domain_matches_subdomains": "",
            },
            True,
        ),
        ({"relay_domains": ".com", "parent_domain_matches_subdomains": ""}, True),
        ({"virtual_mailbox_domains": "static:x", "virtual_transport": "smtp"}, True),
        ({"virtual_mailbox_domains": "static:x", "virtual_transport": "lmtp:unix:private/lmtp"}, False),
        ({"mydestination": "static:x"}, False),
        ({"smtpd_relay_restrictions": "check_client_access randmap:{DUNNO,OK}, reject"}, True),
        ({"smtpd_relay_restrictions": "check_client_access pipemap:{static:x,static:OK}, reject"}, True),
        ({"smtpd_relay_restrictions": "check_client_access unionmap:{static:OK,static:OK}, reject"}, False),
        ({"smtpd_relay_restrictions": "check_client_access proxy:static:OK, reject"}, True),
    ],
)
def test_open_by_domains_and_tables(values: dict[str, str], opened: bool) -> None:
    """Most were put to a real Postfix 3.7 by a stranger's session, or one close to them."""
    assert ("open-relay" in {f.code for f in quick(**values)}) is opened


@pytest.mark.parametrize("networks", ["static:all", "/etc/networks", "cidr:/etc/networks"])
def test_mynetworks_in_a_file_is_read(networks: str) -> None:
    settings = Settings.of({"compatibility_level": "3.6", "mynetworks": networks}, SYSTEM)
    text = "10.0.0.0/8 x\n0.0.0.0/0 x\n"
    found = lint(Source(settings, default_services("test"), state=lambda _: "", table_text=lambda _: text))
    assert [f.code for f in found if f.severity == "error"] == ["open-relay"]


def test_the_session_is_one_that_goes_through() -> None:
    helo = quick(smtpd_helo_restrictions="reject", smtpd_relay_restrictions="check_client_access static:OK, reject")
    (opened,) = [f for f in helo if f.code == "open-relay"]
    assert not any("EHLO" in line for line in opened.session)
    required = quick(
        smtpd_helo_required="yes",
        smtpd_helo_restrictions="reject",
        smtpd_relay_restrictions="check_client_access static:OK, reject",
    )
    assert "open-relay" not in {f.code for f in required}


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
