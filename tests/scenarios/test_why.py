"""Refusals by a living server, and what `tayori why CODE` says of each: the cause in words, and a remedy."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.english import english
from support.policy_server import PolicyServer
from support.ports import free_port
from support.server import Server
from tayori.programs.commands import find, trace, why

CODE = re.compile(r"\[(r-\w{5})\]")
EHLO = "EHLO client.example"
SMTPD_CONF = """pwcheck_method: passwd-file
mech_list: PLAIN LOGIN
passwd_file: {users}
"""
POLICY = "protocol_state=RCPT recipient=grey@example.com DEFER_IF_PERMIT Greylisted, see the FAQ\n"
MAIN = {
    "mynetworks": "192.0.2.0/24",
    "tayori_refusal_codes": "yes",
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_relay_restrictions": "permit_mynetworks,\n  permit_sasl_authenticated,\n  reject_unauth_destination",
    "virtual_alias_domains": "alias.example",
    "virtual_alias_maps": "inline:{info@alias.example=taro}",
    "virtual_mailbox_domains": "box.example",
    "virtual_mailbox_maps": "inline:{a@box.example=a/}",
    "virtual_uid_maps": "static:64100",
    "virtual_gid_maps": "static:64100",
    "relay_domains": "relayed.example",
    "relay_recipient_maps": "inline:{a@relayed.example=x}",
    "smtpd_sender_login_maps": "inline:{taro@example.com=taro, boss@example.com=boss}",
    "smtpd_sender_restrictions": "reject_sender_login_mismatch, reject_non_fqdn_sender,\n"
    "  check_sender_access inline:{{spam@x.example=REJECT go away}}",
    "smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname",
    "smtpd_data_restrictions": "check_sender_access inline:{{data@x.example=REJECT}}",
    "message_size_limit": "20000",
    "smtpd_recipient_limit": "2",
    "smtpd_hard_error_limit": "100",
    "smtpd_error_sleep_time": "0",
    "header_checks": "regexp:{{/^Subject: buy/ REJECT no advertising}}",
    "hopcount_limit": "3",
}


Sessions = tuple[Server, dict[str, list[str]]]
"""The server, and what it said in each session."""


def master(ports: dict[str, int]) -> str:
    """Port: what is special about it."""
    return (
        "127.0.0.1:{port} inet n - n - - smtpd\n"
        f"127.0.0.1:{ports['noauth']} inet n - n - - smtpd -o smtpd_sasl_auth_enable=no\n"
        f"127.0.0.1:{ports['early']} inet n - n - - smtpd\n"
        " -o smtpd_relay_restrictions=reject_unauth_destination,permit_mynetworks -o mynetworks=127.0.0.0/8\n"
        f"127.0.0.1:{ports['policy']} inet n - n - - smtpd\n"
        f" -o smtpd_recipient_restrictions=check_policy_service,inet:127.0.0.1:{ports['grey']}\n"
        f"127.0.0.1:{ports['nopolicy']} inet n - n - - smtpd\n"
        f" -o smtpd_recipient_restrictions=check_policy_service,inet:127.0.0.1:{ports['nobody']}\n"
        f"127.0.0.1:{ports['rate']} inet n - n - - smtpd -o smtpd_client_message_rate_limit=1\n"
        f"127.0.0.1:{ports['helo']} inet n - n - - smtpd -o smtpd_helo_required=yes\n"
        f"127.0.0.1:{ports['plain']} inet n - n - - smtpd\n"
        " -o smtpd_recipient_restrictions=reject_plaintext_session\n"
        f"127.0.0.1:{ports['always']} inet n - n - - smtpd\n -o smtpd_recipient_restrictions=permit_mynetworks,reject\n"
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    root = tmp_path_factory.mktemp("why")
    names = ("noauth", "early", "policy", "nopolicy", "grey", "nobody", "rate", "helo", "plain", "always")
    ports = {name: free_port() for name in names}
    files = {
        "sasl/smtpd.conf": SMTPD_CONF.format(users=root / "conf" / "users"),
        "users": "taro:{PLAIN}himitsu\n",
    }
    main = {**MAIN, "cyrus_sasl_config_path": str(root / "conf" / "sasl")}
    with PolicyServer(POLICY, ports["grey"]), Server(root, main, master(ports), files) as server:
        said = {name: spoken(server, ports, *case[:2]) for name, case in {**RELAY, **OTHERS}.items()}
        said["rate"] = [spoken(server, ports, "rate", [EHLO, "MAIL FROM:<rate@b.example>"])[2] for _ in range(3)]
        yield server, said


def plain(user: str, password: str) -> str:
    """An AUTH PLAIN command."""
    return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def spoken(server: Server, ports: dict[str, int], where: str, lines: list[str]) -> list[str]:
    """The replies of a session on the port of that name."""
    first, server.port = server.port, ports.get(where, server.port)
    try:
        return server.talk([*lines, "QUIT"])
    finally:
        server.port = first


def run(command: Callable[[list[str]], int], server: Server, *words: str, lang: str = "en") -> tuple[int, str]:
    """A command of tayori, in this process: exit code and output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = command(["-c", str(server.conf), "--lang", lang, *words])
    return code, out.getvalue()


def told(server: Server, what: str) -> str:
    """What why says, once the history is written (about a second later)."""
    for _ in range(200):
        code, text = run(why.main, server, what)
        if code == 0:
            return " ".join(text.split())
        time.sleep(0.03)
    raise AssertionError(f"why {what}: {text}")


def code_of(server: Server, reply: str) -> str:
    """The code of the newest refusal with these words, where no client was shown it."""
    for _ in range(200):
        _, text = run(find.main, server, "--json", "refused")
        rows = json.loads(text or "[]")
        codes = [one["code"] for row in rows for one in row["decisions"] if reply in one["reply"]]
        if codes:
            return str(codes[-1])
        time.sleep(0.03)
    raise AssertionError(text)


FOREIGN = ["MAIL FROM:<a@b.example>", "RCPT TO:<x@elsewhere.example>"]
RELAY = {
    "no login tried": ("", [EHLO, *FOREIGN], "did not try to log in, though AUTH was offered", "Log in: this port"),
    "login failed": (
        "", [EHLO, plain("taro", "wrong"), *FOREIGN],
        "A login was tried and failed: PLAIN as taro", "tayori explain-login taro",
    ),
    "AUTH not offered": (
        "noauth", [EHLO, *FOREIGN], "AUTH is not offered on port", "Log in on port",
    ),
    "refused before the permit": (
        "early", [EHLO, *FOREIGN],
        "reject_unauth_destination stands before permit_mynetworks (master.cf:",
        'Move "permit_mynetworks" before "reject_unauth_destination".',
    ),
    "never said EHLO": ("", ["HELO client.example", *FOREIGN], "never said EHLO", "Log in: this port offers AUTH"),
}  # fmt: skip


@pytest.mark.parametrize("name", RELAY)
def test_the_causes_of_relay_access_denied(name: str, running: Sessions) -> None:
    _, _, cause, remedy = RELAY[name]
    server, said = running
    text = told(server, next(found.group(1) for line in said[name] if (found := CODE.search(line))))
    assert "Relay access denied" in text
    assert cause in text
    assert remedy in text


def rcpt(address: str, sender: str = "a@b.example") -> list[str]:
    return [EHLO, f"MAIL FROM:<{sender}>", f"RCPT TO:<{address}>"]


def mail(content: str, sender: str = "a@b.example") -> list[str]:
    return [*rcpt("taro@example.com", sender), "DATA", content + "\r\n."]


OTHERS = {
    "no such user": ("", rcpt("nobody@example.com"), "no user and no alias is called nobody@", "add an alias"),
    "no such virtual alias": ("", rcpt("x@alias.example"), "no virtual alias names x@alias.example", "Add a line"),
    "no such mailbox": ("", rcpt("b@box.example"), "no mailbox is listed for b@box.example", "Add the mailbox"),
    "no such relay recipient": ("", rcpt("b@relayed.example"), "relay_recipient_maps does not list", "Add the"),
    "sender of a login": (
        "", rcpt("taro@example.com", "taro@example.com"), "the client had not logged in", "Log in before sending",
    ),
    "sender of another login": (
        "", [EHLO, plain("taro", "himitsu"), *rcpt("taro@example.com", "boss@example.com")[1:]],
        "was logged in as taro, but that address belongs to: boss", 'or a line "address taro"',
    ),
    "short sender": ("", rcpt("taro@example.com", "a@short"), "The address a@short has no full domain", "whole"),
    "table entry": ("", rcpt("taro@example.com", "spam@x.example"), "The table inline:", "Change or remove that"),
    "short HELO": (
        "", ["EHLO short", *rcpt("taro@example.com")[1:]], "greeted with short, which is not a full", "set its full",
    ),
    "no HELO": ("helo", rcpt("taro@example.com")[1:2], "did not say HELO or EHLO first", "must begin with EHLO"),
    "greylisting": ("policy", rcpt("grey@example.com"), "Greylisting: ", "an honest server tries again"),
    "policy server away": ("nopolicy", rcpt("taro@example.com"), "could not be asked", "Start that service"),
    "unencrypted": ("plain", rcpt("taro@example.com"), "The session was not encrypted", "Turn on STARTTLS"),
    "reject": ("always", rcpt("taro@example.com"), "refuses whatever comes to it", "A permit for this client"),
    "at DATA": ("", [*rcpt("taro@example.com", "data@x.example"), "DATA"], "The table inline:", "Change or remove"),
    "too many recipients": (
        "", [*rcpt("taro@example.com"), "RCPT TO:<hanako@example.com>", "RCPT TO:<taro@example.com>"],
        "One mail may have 2 recipients", "send the rest as a second mail",
    ),
    "declared size": (
        "", [EHLO, "MAIL FROM:<a@b.example> SIZE=99999"], "larger than message_size_limit = 20000", "raise the limit",
    ),
    "real size": ("", mail("x" * 900 + "\r\n" + ("y" * 900 + "\r\n") * 30), "larger than message_size_limit", "raise"),
    "header check": ("", mail("Subject: buy now\r\n\r\nx"), "Subject: buy now", "Change or remove it"),
    "circle": ("", mail("Received: a\r\n" * 4 + "\r\nx"), "goes round in a circle", "The Received lines"),
    "bad address": ("", [EHLO, "MAIL FROM:<a b@c.example>"], "not written as SMTP wants it", "Correct the address"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_the_causes_of_other_refusals(name: str, running: Sessions) -> None:
    _, _, cause, remedy = OTHERS[name]
    server, said = running
    codes = [found.group(1) for line in said[name] if (found := CODE.search(line))]
    # a refusal without a rule shows no code to the client
    code = codes[-1] if codes else code_of(server, said[name][-2].split("\n")[-1])
    text = told(server, code)
    assert cause in text
    assert remedy in text


def refused(server: Server) -> list[str]:
    _, text = run(find.main, server, "--json", "-n", "500", "since:1h")
    return [one["code"] for row in json.loads(text) for one in row["decisions"] if one["code"]]


def test_nothing_stays_english_in_japanese(running: Sessions) -> None:
    server, _ = running
    wanted = len(RELAY) + len(OTHERS) - 1
    deadline = time.monotonic() + 15  # the history is written off the hot path, a little later
    while len(codes := refused(server)) < wanted:
        assert time.monotonic() < deadline, codes
        time.sleep(0.1)
    for code in codes:
        _, answer = run(why.main, server, code, lang="ja")
        assert "理由:" in answer or "Bad" in answer, code
        assert english(answer, ("go away", "the FAQ", "not owned by user")) == [], code
    for command, words in ((find.main, ["-n", "500"]), (trace.main, ["-n", "500", "a@b.example"])):
        _, answer = run(command, server, *words, lang="ja")
        assert answer.count("\n") > 20
        assert english(answer, ("go away", "the FAQ")) == []


def test_a_rate(running: Sessions) -> None:
    server, said = running
    refusal = next(one for one in said["rate"] if "too much mail" in one)
    text = told(server, code_of(server, refusal))
    assert "more mails in a while than smtpd_client_message_rate_limit = 1" in text
    assert "smtpd_client_event_limit_exceptions" in text


def test_a_configuration_changed_since(tmp_path: Path) -> None:
    main = {
        "mynetworks": "192.0.2.0/24",
        "tayori_refusal_codes": "yes",
        "smtpd_relay_restrictions": "permit_mynetworks,\n  reject_unauth_destination",
    }
    with Server(tmp_path, main) as server:
        said = server.talk([EHLO, *FOREIGN, "QUIT"])
        server.stop()
    code = next(found.group(1) for line in said if (found := CODE.search(line)))
    main_cf = server.conf / "main.cf"
    text = main_cf.read_text()
    assert "configuration was changed" not in told(server, code)
    main_cf.write_text(text + "# a note at the end\n")
    assert "was changed since then" in told(server, code) and "still the same" in told(server, code)
    main_cf.write_text("# a note\n" + text)
    assert "The same line stands now at main.cf:" in told(server, code)
    main_cf.write_text(text.replace("  reject_unauth_destination", "  defer_unauth_destination"))
    found = told(server, code)
    assert "then: reject_unauth_destination" in found
    assert "now: defer_unauth_destination" in found
    answer = json.loads(run(why.main, server, "--json", code)[1])
    assert answer["change"]["then"].strip() == "reject_unauth_destination"
