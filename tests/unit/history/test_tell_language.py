"""What became of a recipient is told in the reader's language; another server's own words stay as they came."""

from __future__ import annotations

import re

import pytest

from tayori.programs.history.record import Outcome
from tayori.programs.history.tell import ended, meaning
from tayori.programs.language import ENGLISH, choose
from tayori.programs.msgids import NOUNS, root


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("delivered to maildir", "maildir に配送しました"),
        ("delivered to mailbox", "メールボックスに配送しました"),
        ("delivered to file: /var/x", "ファイル /var/x に配送しました"),
        ("delivered to command: cat >x (done)", "コマンドに渡しました: cat >x (done)"),
        ('unknown user: "bob@example.com"', "「bob@example.com」というユーザーはいません"),
        ("connect to a.example[192.0.2.1]:25: Connection refused",
         "a.example[192.0.2.1]:25 に接続できません: 接続を拒否されました"),
        ("lost connection with a.example[192.0.2.1] while sending RCPT TO",
         "a.example[192.0.2.1] との接続が切れました (RCPT TO の送信中)"),
        ("host a[192.0.2.1] said: 550 5.1.1 Permission denied: user lookup error (in reply to RCPT TO command)",
         "ホスト a[192.0.2.1] の応答: 550 5.1.1 Permission denied: user lookup error (RCPT TO コマンドに対して)"),
        ("250 2.0.0 Ok: internal error", "250 2.0.0 Ok: internal error"),
        ("service unavailable. Command output: permission denied oops", "サービスが使えません。コマンドの出力: permission denied oops"),
    ],
)  # fmt: skip
def test_an_outcome_is_told_in_japanese(text: str, told: str) -> None:
    assert meaning(text, choose("ja")) == told
    assert meaning(text, ENGLISH) == text


def test_the_line_of_trace_has_it() -> None:
    outcome = Outcome(1, 0.0, "sent", "a@b.example", "", "local", "2.0.0", "delivered to maildir")
    assert ended(outcome, choose("ja")).endswith("local: maildir に配送しました")


def test_the_nouns_of_a_failed_login_are_translated() -> None:
    pattern = re.compile(r'(?:utf8|name)\(.*"(\w+ name|\w+ message)"\)')
    found = {
        noun for path in (root() / "sasl" / "mechanisms").glob("*.py") for noun in pattern.findall(path.read_text())
    }
    assert found and found <= set(NOUNS)
    assert choose("ja").told("authorisation name is not UTF-8") == "認可名 は UTF-8 ではありません"
