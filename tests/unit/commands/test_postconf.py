from __future__ import annotations

import json
from pathlib import Path

import pytest

from tayori.programs.commands.postconf import main

MAIN = """\
# who we are
myhostname = mail.example.com
mydestination = $myhostname,
    localhost
# a note that stays
relay_domain = example.org
"""
MASTER = "smtp inet n - y - - smtpd\n  -o { smtpd_client_restrictions = permit_mynetworks,  reject }\n  -o a=b -v\n"


@pytest.fixture
def directory(tmp_path: Path) -> str:
    (tmp_path / "main.cf").write_text(MAIN)
    (tmp_path / "master.cf").write_text(MASTER)
    return str(tmp_path)


def test_set_values(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", directory, "-n"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        f"config_directory = {directory}",
        "mydestination = $myhostname, localhost",
        "myhostname = mail.example.com",
    ]
    assert "unused parameter: relay_domain=example.org" in shown.err
    assert 'did you mean "relay_domains"' in shown.err


def test_expanded_bare_default_and_json(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["-c", directory, "-xh", "mydestination"])
    main(["-c", directory, "-d", "mail_name", "always_bcc"])
    main(["-c", directory, "-j", "myhostname"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["mail.example.com, localhost", "mail_name = Postfix", "always_bcc ="]
    assert json.loads(lines[3]) == {"name": "myhostname", "value": "mail.example.com"}


def test_unknown_name_is_said_with_the_likely_one(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", directory, "-h", "myhostnam"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert 'myhostnam: unknown parameter; did you mean "myhostname"?' in shown.err


def test_edit_keeps_comments(directory: str) -> None:
    assert main(["-c", directory, "-e", "mydestination=a.example b.example", "inet_protocols = ipv4"]) == 0
    assert Path(directory, "main.cf").read_text() == (
        "# who we are\nmyhostname = mail.example.com\nmydestination = a.example b.example\n"
        "# a note that stays\nrelay_domain = example.org\ninet_protocols = ipv4\n"
    )


def test_comment_out_and_remove(directory: str) -> None:
    main(["-c", directory, "-#", "mydestination"])
    main(["-c", directory, "-X", "relay_domain"])
    assert Path(directory, "main.cf").read_text() == (
        "# who we are\nmyhostname = mail.example.com\n#mydestination = $myhostname,\n#    localhost\n# a note that stays\n"
    )


def test_a_bad_edit_changes_nothing(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", directory, "-e", "my name=x"]) == 1
    assert main(["-c", directory, "-e", "no-equals"]) == 1
    assert Path(directory, "main.cf").read_text() == MAIN
    assert "fatal" in capsys.readouterr().err


def test_master(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["-c", directory, "-M"])
    main(["-c", directory, "-F", "smtp/inet/chroot"])
    main(["-c", directory, "-P", "smtp/inet"])
    assert capsys.readouterr().out.splitlines() == [
        "smtp       inet  n       -       y       -       -       smtpd "
        "-o {smtpd_client_restrictions=permit_mynetworks,  reject} -o a=b -v",
        "smtp/inet/chroot = y",
        "smtp/inet/a = b",
        "smtp/inet/smtpd_client_restrictions = permit_mynetworks, reject",
    ]


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m"]) == 0
    assert {"hash", "cidr", "pcre", "pgsql"} <= set(capsys.readouterr().out.split())
