from __future__ import annotations

import json
from pathlib import Path

import pytest

from tayori.programs.commands import check

SLIPS = """\
compatibility_level = 3.6
myhostname = mail.example.com
mydestination = $myhostname, localhost
    ; domains that are ours
relay_domain = example.org
mynetworks = 127.0.0.0/8, 192.168.1.7/24
home_mailbox = Maildir/
smtpd_helo_required = yes # polite
"""


@pytest.fixture(autouse=True)
def files_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's ports and sockets are like is test_check_live's."""
    monkeypatch.setattr(check, "CHECKS", (check.lint,))


def folder(tmp_path: Path, text: str) -> str:
    (tmp_path / "main.cf").write_text(text)
    return str(tmp_path)


def test_prints_place_title_meaning_and_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["-c", folder(tmp_path, SLIPS)]) == 2
    out = capsys.readouterr().out
    assert (
        f'{tmp_path}/main.cf:5: warning: there is no parameter "relay_domain"; did you mean "relay_domains"?' in out
    )
    assert f'{tmp_path}/main.cf:4: warning: this note became part of "mydestination"' in out
    assert "→ Put # at the very start of the line." in out
    assert out.rstrip().endswith("2 errors, 2 warnings")


def test_fix_mends_what_is_certain_and_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = folder(tmp_path, SLIPS)
    (tmp_path / "main.cf").chmod(0o640)
    assert check.main(["-c", directory, "--fix"]) == 0
    assert (tmp_path / "main.cf").read_text() == (
        "compatibility_level = 3.6\n"
        "myhostname = mail.example.com\n"
        "mydestination = $myhostname, localhost\n"
        "# domains that are ours\n"
        "relay_domains = example.org\n"
        "mynetworks = 127.0.0.0/8, 192.168.1.0/24\n"
        "home_mailbox = Maildir/\n"
        "# polite\n"
        "smtpd_helo_required = yes\n"
    )
    assert (tmp_path / "main.cf").stat().st_mode & 0o777 == 0o640
    out = capsys.readouterr().out
    assert "-relay_domain = example.org" in out and "+relay_domains = example.org" in out
    assert [path.name for path in tmp_path.iterdir()] == ["main.cf"]


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = folder(tmp_path, "compatibility_level = 3.6\nrelay_domain = example.org\n")
    assert check.main(["-c", directory, "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["code"], row["line"], row["severity"], row["fixable"]) == ("misspelt-parameter", 2, "warning", True)


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["-c", folder(tmp_path, "myhostname = mail.example.com\n")]) == 2
    assert check.main(["-c", folder(tmp_path, "compatibility_level = 3.6\nbiff = no\n")]) == 0
    assert check.main(["-c", str(tmp_path / "nowhere")]) == check.EX_NOINPUT
    assert check.main(["--nonsense"]) == check.EX_USAGE
    assert "main.cf" in capsys.readouterr().err


def test_notes_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check.main(["-c", folder(tmp_path, "compatibility_level = 3.6\nhash_queue_depth = 1\n"), "-q"])
    assert " note:" not in capsys.readouterr().out


def test_fix_mends_signs_round_by_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main_cf = tmp_path / "main.cf"
    main_cf.write_text(
        "compatibility_level = 3.6\nmyhostname = mail.example.jp\nalias_maps =\n"
        'mydestination = a.jp; b.jp; "c.jp"\nvirtual_alias_domains = d.jp，e.jp\nhome_mailbox = Maildir\n'
    )
    assert check.main(["-c", str(tmp_path), "--fix", "-q"]) == 0
    text = main_cf.read_text()
    assert "mydestination = a.jp, b.jp, c.jp\n" in text
    assert "virtual_alias_domains = d.jp,e.jp\n" in text
    assert "home_mailbox = Maildir/\n" in text
    assert "-mydestination = a.jp; b.jp;" in capsys.readouterr().out


def test_fix_keeps_the_line_ends_of_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main_cf = tmp_path / "main.cf"
    main_cf.write_bytes(b"compatibility_level = 3.6\r\nsmtpd_helo_required = yes # polite\r\nbiff = no\r\n")
    assert check.main(["-c", str(tmp_path), "--fix"]) == 0
    assert main_cf.read_bytes() == (
        b"compatibility_level = 3.6\r\n# polite\r\nsmtpd_helo_required = yes\r\nbiff = no\r\n"
    )


def test_fix_with_json_leaves_json_alone_on_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = folder(tmp_path, "compatibility_level = 3.6\nrelay_domain = example.org\n")
    assert check.main(["-c", directory, "--fix", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == []
    assert "+relay_domains = example.org" in said.err


def test_fix_mends_master_cf_where_the_right_name_is_not_set_too(tmp_path: Path) -> None:
    (tmp_path / "master.cf").write_text(
        "smtp inet n - y - - smtpd\n -o smtpd_helo_requried=yes\n"
        "2525 inet n - y - - smtpd\n -o smtpd_helo_requried=yes -o smtpd_helo_required=no\n"
    )
    assert check.main(["-c", folder(tmp_path, "compatibility_level = 3.6\n"), "--fix"]) == 1
    assert (tmp_path / "master.cf").read_text() == (
        "smtp inet n - y - - smtpd\n -o smtpd_helo_required=yes\n"
        "2525 inet n - y - - smtpd\n -o smtpd_helo_requried=yes -o smtpd_helo_required=no\n"
    )


def test_fix_mends_whole_rules_and_trusts_no_more_of_the_internet(tmp_path: Path) -> None:
    main_cf = tmp_path / "main.cf"
    rules = "smtpd_relay_restrictions = permit_mynetwork, check_sasl_access inline:{permit_mynetworks=x}, reject\n"
    main_cf.write_text(f"compatibility_level = 3.6\n{rules}mynetworks = 203.0.113.7/8\n")
    assert check.main(["-c", str(tmp_path), "--fix"]) == 2
    assert main_cf.read_text() == (
        f"compatibility_level = 3.6\n{rules.replace('permit_mynetwork,', 'permit_mynetworks,')}"
        "mynetworks = 203.0.113.7/8\n"
    )
