"""`tayori check` on the contents of tables."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tayori.config.lint import read_source
from tayori.config.system import System
from tayori.programs.commands.check_tables import MOST, SHOWN, check
from tayori.programs.language import choose

MASTER = (
    "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\nlocal unix - n n - - local\nfilter unix - n n - - pipe\n"
)
RESTRICTIONS = "smtpd_recipient_restrictions"


def found(folder: Path, name: str, value: str, text: str) -> list[tuple[str, int]]:
    (folder / "table").write_text(text)
    main = f"compatibility_level = 3.6\nsmtpd_restriction_classes = mine\nmine = permit\n{name} = {value}{folder}/table\n"
    (folder / "main.cf").write_text(main)
    (folder / "master.cf").write_text(MASTER)
    findings = list(check(read_source(str(folder), System("mail.example.com"), ())))
    assert all(finding.origin.file == f"{folder}/table" for finding in findings)
    japanese = choose("ja")
    for finding in findings:
        for english, said in zip((finding.title, finding.meaning), japanese.finding(finding), strict=False):
            assert english != said
    return [(finding.code, finding.origin.line) for finding in findings]


@pytest.mark.parametrize(
    ("name", "value", "text", "codes"),
    [
        (RESTRICTIONS, "check_client_access hash:", "a.example REJCT\n", [("access-action", 1)]),
        (RESTRICTIONS, "check_sender_access texthash:", "@a.example OK\n", [("access-key", 1)]),
        (RESTRICTIONS, "check_sender_access texthash:", "a.example: OK\n", [("key-with-colon", 1)]),
        (RESTRICTIONS, "check_sender_access texthash:", "a.example OK\nlonely\n b.example\nx\n", [("access-action", 2), ("table-line", 4)]),
        (RESTRICTIONS, "cidr:", "192.0.2.1/24 OK\n300.0.0.1 OK\n", [("table-line", 1), ("table-line", 2)]),
        (RESTRICTIONS, "check_client_access cidr:", "if 10.0.0.0/8\n10.1.1.1 DUNO\nendif\n", [("access-action", 2)]),
        (RESTRICTIONS, "check_helo_access regexp:", "/a/ REJECT\n/[/ OK\n/b/ rejekt\n",
         [("table-line", 2), ("access-action", 3)]),
        ("header_checks", "regexp:", "/^Subject: x/ REJCT\n/^To:/ FILTER nowhere\n/^Cc:/ BCC a@b.example\n",
         [("header-action", 1), ("header-action", 2)]),
        ("body_checks", "regexp:", "/x/ PREPEND\nnothing\n", [("header-action", 1), ("table-line", 2)]),
        ("transport_maps", "hash:", "a.example smpt:[b.example]\n", [("table-transport", 1)]),
        ("virtual_alias_maps", "hash:", "a@b.example: c\nd@b.example\n", [("key-with-colon", 1), ("table-line", 2)]),
        ("alias_maps", "hash:", "root taro\n", [("table-line", 1)]),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, name: str, value: str, text: str, codes: list[tuple[str, int]]) -> None:
    assert found(tmp_path, name, value, text) == codes


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (RESTRICTIONS, "check_client_access hash:",
         "a OK\nb reject no\nc 550 5.7.1 no\nd 450\ne 421\nf 1\ng DUNNO\nh FILTER smtp:[x]\ni PREPEND X: y\n"
         "j permit_mynetworks, reject\nk mine\nl check_sender_access hash:/x\nm hash:/y\nn reject_unknown_client\n"
         "o WARN\np BCC a@b.example\n2001:db8:: OK\nuser@ DISCARD\n<> HOLD\n"),
        (RESTRICTIONS, "check_sender_access regexp:", "if /a/\n!/b/i OK\n/(c)/ REJECT $1\nendif\n# no\n"),
        ("header_checks", "regexp:", "/a/ ignore\n/(b)/ $1\n/c/ REPLACE X: y\n/d/ REDIRECT a@b.example\n/e/ STRIP\n"),
        ("transport_maps", "hash:", "a filter:\nb :[c.example]\nd smtp:[e]:25\n* local\nf :\ng error:5.1.2 no\nh discard:\n"),
        ("alias_maps", "hash:", "root: taro\n\"a b\": c\nd: \"|/bin/cat\"\n"),
        ("mynetworks", "cidr:", "10.0.0.0/8 x\n"),
    ],
)  # fmt: skip
def test_nothing_to_say(tmp_path: Path, name: str, value: str, text: str) -> None:
    assert found(tmp_path, name, value, text) == []


def test_bounded_and_quiet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert len(found(tmp_path, "header_checks", "regexp:", "/[/ x\n" * 1000)) == SHOWN
    assert not caplog.records and not logging.getLogger("tayori.tables").disabled
    assert found(tmp_path, "alias_maps", "hash:", "x\n" * (MOST // 2 + 1)) == []
    (tmp_path / "table").unlink()
    assert list(check(read_source(str(tmp_path), System("mail.example.com"), ()))) == []
