"""`explain`, `why`, `find`, `trace` and `rehearse` beside a living server. (That explain agrees with it in every
scenario is test_scenarios's.)"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from support.server import Server
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.explain.values import Explanation, Question
from tayori.programs.explain.walk import Explainer
from tayori.programs.history.record import Decision
from tayori.programs.history.store import FILE_NAME, Reader
from tayori.programs.language import ENGLISH


def explained(directory: Path, question: Question) -> Explanation:
    async def ask() -> Explanation:
        explainer = Explainer(Settings.read(directory, probe()))
        try:
            return await explainer.explain(question, ENGLISH)
        finally:
            explainer.close()

    return asyncio.run(ask())


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
    assert "differences: 1" in differs.stdout
    assert "x@elsewhere.example" in differs.stdout
    assert "taro@example.com" not in differs.stdout
    same = server.command("rehearse", "-c", conf, "--lang", "en", "--since", "1h", conf)
    assert same.returncode == 0
