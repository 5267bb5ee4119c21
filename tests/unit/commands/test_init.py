"""tayori init: what it writes is right, explained, and never over something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tayori.config.mastercf import read_services
from tayori.config.settings import Settings
from tayori.programs.commands import check, init


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    waiting: list[str] = []

    def read(prompt: str) -> str:
        if not waiting:
            raise EOFError
        return waiting.pop(0)

    monkeypatch.setattr("builtins.input", read)
    return waiting


@pytest.fixture(autouse=True)
def nobody_holds_ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine of the tests may have a mail server on port 25, or no root."""
    monkeypatch.setattr("tayori.programs.commands.check_live.ports", lambda source: iter(()))
    yield


def test_the_defaults_pass_check_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "c"
    assert init.main(["-c", str(directory), "--yes", "--hostname", "mail.example.com"]) == 0
    capsys.readouterr()
    assert check.main(["-c", str(directory)]) == 0
    assert capsys.readouterr().out == f"{directory}: nothing to complain about\n"
    settings = Settings.read(directory)
    assert settings.text("compatibility_level") == "3.6"
    assert settings.flag("smtpd_tls_auth_only")
    assert settings.items("smtpd_relay_restrictions")[-1] == "reject_unauth_destination"
    assert settings.text("mydomain") == "example.com"
    assert settings.text("mail_name") == "tayori"
    assert (directory / "tls.pem").stat().st_mode & 0o777 == 0o600


def test_every_setting_has_a_comment_above(tmp_path: Path) -> None:
    init.main(["-c", str(tmp_path), "--yes", "--hostname", "mail.example.com"])
    for block in (tmp_path / "main.cf").read_text().strip().split("\n\n"):
        assert block.startswith("# "), block


def test_answers_count_and_bad_ones_are_asked_again(
    tmp_path: Path, answers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    answers += [
        "mail",
        "mx.example.org",
        "",
        "10.0.0.1/8",
        "10.0.0.0/8",
        "perhaps",
        "no",
        "yes",
        "[smtp.isp.example]:587",
    ]
    assert init.main(["-c", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "'mail' is not a full name" in said and "write 10.0.0.0/8" in said and "please answer yes or no" in said
    settings = Settings.read(tmp_path)
    assert settings.text("myhostname") == "mx.example.org" and settings.text("mydomain") == "example.org"
    assert settings.text("relayhost") == "[smtp.isp.example]:587"
    assert not settings.flag("smtpd_sasl_auth_enable") and not (tmp_path / "sasl").exists()
    assert len(read_services(settings)) == 1
    assert check.main(["-c", str(tmp_path)]) == 0


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "main.cf").write_text("mine\n")
    assert init.main(["-c", str(tmp_path), "--yes"]) == 73
    assert (tmp_path / "main.cf").read_text() == "mine\n" and len(list(tmp_path.iterdir())) == 1
    assert "exists already; nothing was changed" in capsys.readouterr().err


def test_other_files_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "master.cf").write_text("# mine\n2525 inet n - n - - smtpd\n")
    assert init.main(["-c", str(tmp_path), "--yes", "--hostname", "mail.example.com"]) == 0
    assert (tmp_path / "master.cf").read_text().startswith("# mine")


def test_no_answers_write_nothing(tmp_path: Path, answers: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert init.main(["-c", str(tmp_path / "c")]) == 64
    assert not (tmp_path / "c").exists() and "nothing was written" in capsys.readouterr().err
