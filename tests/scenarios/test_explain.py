"""`explain` and the living server agree.

test_scenarios plays each dialogue of tests/scenarios/cases to a real server and compares every reply; here the same
configurations and envelopes go through `explain`, and the replies must be the same. Then one server is asked over a
socket, and the line that decided, as the history kept it, must be the line that `explain` names.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from support import scenario as sc
from support.scenario_run import Place
from support.server import Server
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.explain.values import Explanation, Question
from tayori.programs.explain.walk import Explainer
from tayori.programs.history.record import Decision
from tayori.programs.history.store import FILE_NAME, Reader
from tayori.programs.language import ENGLISH

LEAST = 120
"""So many scenarios must be of the simple kind, lest this test passes by skipping."""
PLAIN = re.compile(r"(EHLO|HELO) (\S+)$|MAIL FROM:<([^>]*)>$|RCPT TO:<([^>]+)>$|DATA$|QUIT$", re.IGNORECASE)


def simple(scenario: sc.Scenario) -> tuple[Question, list[tuple[str, str]]] | None:
    """The question of a dialogue with one plain mail, and its (command, reply)s; None for other dialogues."""
    if scenario.zones:
        return None
    client, helo, plain, sender, recipients, content = "127.0.0.1", "", False, None, [], b""
    pairs: list[tuple[str, str]] = []
    command, name, reverse, ended = "", "", "", False
    for kind, text in scenario.steps:
        if kind == "!" and text.startswith("stranger") and not pairs:
            given = dict(word.split("=", 1) for word in text.split()[1:])
            if set(given) - {"ADDR", "NAME", "REVERSE_NAME"} or any("[" in v for v in given.values()):
                return None
            client, name = given.get("ADDR", "203.0.113.9"), given.get("NAME", "unknown")
            reverse = given.get("REVERSE_NAME", name)
        elif kind == "C":
            found = PLAIN.match(text)
            if command or found is None or ended:
                return None
            command = text
            verb = text.upper()
            if verb.startswith(("EHLO", "HELO")):
                if helo:
                    return None
                helo, plain = found.group(2), verb.startswith("HELO")
            elif verb.startswith("MAIL"):
                if sender is not None:
                    return None
                sender = found.group(3)
            elif verb.startswith("RCPT"):
                recipients.append(found.group(4))
            ended = verb == "QUIT"
        elif kind == ">":
            if text != ".":
                content += text.removeprefix(".").encode() + b"\r\n"
            command = "(message)"
        elif kind == "S":
            if text[3:4] == "-":
                continue
            if command:
                pairs.append((command, text))
            command = ""
        else:
            return None
    if sender is None or not recipients or not helo or any("\\" in one for one in (sender, *recipients)):
        return None
    asked = Question(
        client, sender, tuple(recipients), helo, plain, name, reverse, content=content, service="PORT",
    )  # fmt: skip
    return asked, pairs


SIMPLE = {name: found for name in sc.all_scenarios() if (found := simple(sc.read(sc.CASES / name))) is not None}


def essence(reply: str) -> str:
    """Code and enhanced code of a reply's last line; the recorded text may stop at "..."."""
    last = reply.split("\n")[-1]
    words = last.replace("...", " ").split()
    if not words or not words[0][:3].isdigit():
        return ""
    return " ".join(words[:2]) if len(words) > 1 and re.fullmatch(r"\d\.\d+\.\d+", words[1]) else words[0][:3]


def explained(directory: Path, question: Question) -> Explanation:
    async def ask() -> Explanation:
        explainer = Explainer(Settings.read(directory, probe()))
        try:
            return await explainer.explain(question, ENGLISH)
        finally:
            explainer.close()

    return asyncio.run(ask())


def test_enough_scenarios_are_simple() -> None:
    assert len(SIMPLE) >= LEAST


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("explain"))


@pytest.mark.parametrize("name", sorted(SIMPLE))
def test_explain_gives_the_replies_of_the_dialogue(name: str, place: Place) -> None:
    question, pairs = SIMPLE[name]
    scenario = sc.read(sc.CASES / name)
    base = {**sc.BASE, "queue_directory": str(place.root / "spool"), "tayori_passwd_file": str(place.passwd)}
    base["tayori_single_user"] = "yes"
    place.prepare(scenario, base)
    port = place.places["PORT"]
    (place.etc / "master.cf").write_text(f"127.0.0.1:{port} inet n - n - - smtpd\n" + scenario.services(place.places))
    found = explained(place.etc, msgspec.structs.replace(question, service=port))
    # what a server says of its own accord is read as the answer to the next command
    said = [(line.command or "RCPT", line.reply) for line in found.session[1:]]
    wanted = [
        (command, essence(reply)) for command, reply in pairs if command.upper()[:4] in ("MAIL", "RCPT", "(MES")
    ]
    got = [(command, essence(reply)) for command, reply in said if command.upper()[:4] in ("MAIL", "RCPT", "(MES")]
    # a dialogue may stop before DATA, and a server may hang up; what both have must be the same
    both = list(zip(got, wanted, strict=False))
    assert [mine for (_, mine), (_, kept) in both if kept] == [kept for _, (_, kept) in both if kept]
    assert len(got) >= len(wanted) or not got[-1][1] or got[-1][1][0] in "45"


MAIN = {
    "mynetworks": "192.0.2.0/24",
    "smtpd_sender_restrictions": "check_sender_access inline:{{bad@x.example=REJECT no} {warn@x.example=WARN}}",
    "smtpd_relay_restrictions": "permit_mynetworks,\n  permit_sasl_authenticated,\n  reject_unauth_destination",
    "smtpd_recipient_restrictions": "reject_non_fqdn_recipient,\n  check_recipient_access "
    "inline:{{hanako@example.com=450 later}},\n  reject_plaintext_session,\n  permit",
    "virtual_alias_maps": "inline:{{info@example.com=taro@example.com}}",
}
ENVELOPES = [
    ("a@b.example", "x@elsewhere.example"),
    ("bad@x.example", "taro@example.com"),
    ("a@b.example", "hanako@example.com"),
    ("a@b.example", "taro@example.com"),
    ("warn@x.example", "nobody@example.com"),
]


def key(decision: Decision) -> tuple[object, ...]:
    by = decision.by
    shown = (by.parameter, by.restriction, by.argument, by.place, by.looked_up, by.found) if by else ()
    return decision.about, decision.action, decision.reply, shown, tuple(one.restriction for one in decision.asked)


def test_the_deciding_line_is_the_one_that_the_history_kept(tmp_path: Path) -> None:
    with Server(tmp_path, MAIN) as server:
        for sender, recipient in ENVELOPES:
            server.talk(["EHLO client.example", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "QUIT"])
        server.stop()
    reader = Reader(server.queue_directory / "tayori" / "queue" / FILE_NAME)
    kept_of = {
        (record.sender, one.about): one
        for record in reader.records()
        for one in record.decisions
        if one.stage == "RCPT"
    }
    reader.close()
    assert len(kept_of) == len(ENVELOPES)
    lines = []
    for sender, recipient in ENVELOPES:
        kept = kept_of[sender, recipient]
        found = explained(server.conf, Question("127.0.0.1", sender, (recipient,)))
        judged = [one.decision for one in found.judged if one.decision.stage == "RCPT"]
        assert [key(kept)[:4]] == [key(one)[:4] for one in judged]
        assert key(kept)[4] == key(judged[0])[4]
        lines.append(kept.by.line if kept.by else 0)
    assert len(set(lines)) >= 3, "the cases must be decided in different lines"


def test_trace_find_why_and_rehearse_of_a_real_session(tmp_path: Path) -> None:
    with Server(tmp_path, {"mynetworks": "192.0.2.0/24", "tayori_refusal_codes": "yes"}) as server:
        said = server.talk(
            ["EHLO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<x@elsewhere.example>",
             "RCPT TO:<taro@example.com>", "DATA", "Subject: x\r\n\r\nhello\r\n.", "QUIT"]
        )  # fmt: skip
        server.wait_mail("taro")
        server.stop()
    denied = next(line for line in said if "Relay access denied" in line)
    code = re.search(r"\[(r-\w{5})\]", denied)
    assert code is not None
    queue_id = next(re.search(r"queued as (\w+)", line) for line in said if "queued as" in line)
    assert queue_id is not None
    conf = str(server.conf)

    why = server.command("why", "-c", conf, "--lang", "en", code.group(1))
    assert why.returncode == 0
    assert "AUTH is not offered on port" in why.stdout
    assert "add it to mynetworks" in why.stdout
    assert "main.cf:" in why.stdout
    trace = server.command("trace", "-c", conf, "--lang", "en", queue_id.group(1))
    assert "<taro@example.com>: delivered" in trace.stdout
    assert "Relay access denied" in trace.stdout
    find = server.command("find", "-c", conf, "--lang", "en", "refused", "to:elsewhere.example", "since:1h")
    assert find.stdout.count("\n") == 1
    assert server.command("find", "-c", conf, "bounced").returncode == 1
    japanese = server.command("why", "-c", conf, "--lang", "ja", "last")
    assert "AUTH が提供されていません" in japanese.stdout

    edited = tmp_path / "edited"
    edited.mkdir()
    for file in server.conf.iterdir():
        text = file.read_text().replace("192.0.2.0/24", "127.0.0.0/8")
        (edited / file.name).write_text(text)
    differs = server.command("rehearse", "-c", conf, "--lang", "en", "--since", "1h", str(edited))
    assert differs.returncode == 1
    assert "1 differences" in differs.stdout
    assert "x@elsewhere.example" in differs.stdout
    assert "taro@example.com" not in differs.stdout
    same = server.command("rehearse", "-c", conf, "--lang", "en", "--since", "1h", conf)
    assert same.returncode == 0
