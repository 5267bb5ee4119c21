"""With --lang ja no English sentence is left, whatever a command has to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.english import english
from tayori.programs.commands import check, explain, find, rehearse, trace, why

CONFIGURATIONS = Path(__file__).parents[1] / "config"
FOLDERS = sorted([*(CONFIGURATIONS / "broken").iterdir(), *(CONFIGURATIONS / "good").iterdir()])
MAIN = """compatibility_level = 3.6
myhostname = mail.example.com
mydestination = example.com
mynetworks = 192.0.2.0/24
alias_maps = inline:{{{{info=taro,"far@[127.0.0.5]"}}}}
virtual_alias_domains = alias.example
virtual_alias_maps = inline:{{info@alias.example=info@example.com}}
relay_domains = relayed.example
relay_recipient_maps = inline:{{a@relayed.example=x}}
header_checks = regexp:{{{{/^Subject: buy/ REJECT}} {{/^X-Old:/ IGNORE}}}}
smtpd_sender_restrictions = check_sender_access inline:{{{{bad@x.example=REJECT no}} {{hold@x.example=HOLD}}}}
smtpd_recipient_restrictions = reject_non_fqdn_sender, reject_unverified_sender, permit
smtpd_sasl_auth_enable = no
tayori_passwd_file = {dir}/passwd
queue_directory = {dir}
data_directory = {dir}
smtpd_peername_lookup = no
"""
QUESTIONS = [
    ("192.0.2.1", "a@b.example", "info@example.com"),
    ("192.0.2.1", "a@b.example", "info@alias.example"),
    ("192.0.2.1", "a@b.example", "x@[127.0.0.9]"),
    ("203.0.113.1", "a@b.example", "x@elsewhere.example"),
    ("203.0.113.1", "bad@x.example", "taro@example.com"),
    ("192.0.2.1", "hold@x.example", "taro@example.com"),
    ("192.0.2.1", "a@short", "taro@example.com"),
    ("192.0.2.1", "a@b.example", "nobody@example.com"),
    ("192.0.2.1", "a@b.example", "nobody@alias.example"),
    ("192.0.2.1", "a@b.example", "b@relayed.example"),
]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check.main(["-c", str(folder), "--lang", "ja"])
    assert english(capsys.readouterr().out) == []


@pytest.mark.parametrize("words", QUESTIONS, ids=lambda words: f"{words[1]} {words[2]}")
@pytest.mark.parametrize("subject", ["", "hello", "buy"])
def test_explain(
    words: tuple[str, str, str], subject: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "passwd").write_text(f"taro:x:1000:1000::{tmp_path}/home/taro:/bin/sh\n")
    (tmp_path / "main.cf").write_text(MAIN.format(dir=tmp_path))
    (tmp_path / "master.cf").write_text("127.0.0.1:2525 inet n - n - - smtpd\n")
    (tmp_path / "mail").write_text(f"Subject: {subject}\nX-Old: 1\n\nhello\n")
    message = ["--message", str(tmp_path / "mail")] if subject else []
    client, sender, recipient = words
    code = explain.main(
        ["-c", str(tmp_path), "--lang", "ja", "--client", client, "--from", sender, "--to", recipient, *message]
    )
    assert code in (0, 1)
    out = capsys.readouterr().out
    said = [line for line in out.split("\n") if "ログに残る行" not in line]
    assert english("\n".join(said), (f"Subject: {subject}",)) == []
    assert "差出人" in out


def test_english_is_found() -> None:
    assert english("これは this is left です") != []
    assert english("→ 554 5.7.1 <x@y>: Relay access denied") == []
    assert english("smtpd_relay_restrictions = permit_mynetworks, reject") == []


COMMANDS = {"explain": explain, "check": check, "why": why, "find": find, "trace": trace, "rehearse": rehearse}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_errors(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMANDS[name].main(["--lang", "ja", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("使い方: tayori")
    assert english(shown, ("refused accepted bounced deferred",)) == []
    assert COMMANDS[name].main(["--lang=ja", "--no-such-option"]) == 64
    told = capsys.readouterr()
    assert english(told.out + told.err) == []
    assert "引数" in told.err


def test_help_is_english_without_a_language(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert check.main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: tayori check")
