from __future__ import annotations

import io
from pathlib import Path

import pytest

from tayori.programs.commands import explain_login, pluginviewer
from tayori.sasl.accounts import AccountFile
from tayori.sasl.record import FILE_NAME, Attempt, FailedLogins, LoginRecord


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.cf").write_text(
        f"myhostname = mail.example.com\nsmtpd_sasl_auth_enable = yes\nqueue_directory = {tmp_path}\n"
    )
    (tmp_path / "tayori/queue").mkdir(parents=True)
    (tmp_path / "sasl").mkdir()
    (tmp_path / "sasl/smtpd.conf").write_text(
        f"pwcheck_method: saslauthd accounts\nsaslauthd_path: {tmp_path}/mux\nmech_list: plain login\n"
    )
    AccountFile(tmp_path / "accounts").add("taro", "right-one")
    return tmp_path


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *argv: str, typed: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return explain_login.main([argv[0], "-c", str(folder), *argv[1:]])


def test_asked_now(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, monkeypatch, "taro", typed="right-one\n") == 0
    out = capsys.readouterr().out
    assert f"1. saslauthd:{folder}/mux was asked for taro: try later (No such file or directory)" in out
    assert f"2. accounts:{folder}/accounts was asked for taro: accepted" in out
    assert "Result: let in, as taro" in out
    assert "right-one" not in out

    assert run(folder, monkeypatch, "taro", "-m", "LOGIN", typed="wrong-one\n") == 75
    out = capsys.readouterr().out
    assert "refused (wrong password)" in out and "try later (454)" in out
    assert f"chosen at {folder}/sasl/smtpd.conf:1" in out
    assert "wrong-one" not in out

    (folder / "sasl/smtpd.conf").write_text("pwcheck_method: accounts\nmech_list: plain login\n")
    assert run(folder, monkeypatch, "jiro@mail.example.com", typed="x\n") == 1
    assert f"Mend: tayori user add -c {folder} jiro@mail.example.com" in capsys.readouterr().out
    assert not (folder / "tayori/queue" / FILE_NAME).exists()

    (folder / "sasl/smtpd.conf").write_text("pwcheck_method: nonsense\n")
    assert run(folder, monkeypatch, "jiro", typed="x\n") == 78
    assert "smtpd.conf:1: pwcheck_method: nonsense is not known" in capsys.readouterr().err


def test_the_last_one(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, monkeypatch, "taro", "--last") == 0
    log = FailedLogins(folder / "tayori/queue" / FILE_NAME)
    for number in range(3):
        attempts = [Attempt("sasldb:/x", "taro@r", "refused", "wrong password")]
        log.append(LoginRecord("CRAM-MD5", f"192.0.2.{number}", 1.7e9, "taro@r", reason="no", attempts=attempts))
    (folder / "tayori/queue" / FILE_NAME).open("a").write("damaged\n")
    capsys.readouterr()
    assert run(folder, monkeypatch, "TARO", "--last") == 1
    out = capsys.readouterr().out
    assert (
        "taro@r from 192.0.2.2 by CRAM-MD5" in out
        and "1. sasldb:/x was asked for taro@r: refused (wrong password)" in out
    )


def test_the_file_is_bounded(tmp_path: Path) -> None:
    log = FailedLogins(tmp_path / "failed")
    for number in range(3000):
        log.append(LoginRecord("PLAIN", "192.0.2.1", 1.0, f"user{number}", reason="x" * 900))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3 << 20
    assert log.last("user2999") is not None and log.last("user0") is None


def test_pluginviewer(capsys: pytest.CaptureFixture[str]) -> None:
    assert pluginviewer.main(["-s", "-m", "PLAIN"]) == 0
    out = capsys.readouterr().out
    assert "PLAIN" in out and "noplaintext" not in out and "SCRAM" not in out
    assert pluginviewer.main(["-c", "-m", "Plain login"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.isupper()] == ["PLAIN", "LOGIN"]
    assert pluginviewer.main(["-m", "NOPE"]) == pluginviewer.EX_USAGE
    assert "NOPE" in capsys.readouterr().err
    assert pluginviewer.main([]) == 0
    assert "auxprop_plugin: sasldb sql ldapdb" in capsys.readouterr().out
