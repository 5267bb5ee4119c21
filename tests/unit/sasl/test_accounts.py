from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from tayori.config.origin import ConfigError
from tayori.programs.commands import user
from tayori.sasl import hashes
from tayori.sasl.accounts import AccountFile


def test_comments_stay_and_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    path.write_text("# ours\n\n")
    os.chmod(path, 0o600)
    file = AccountFile(path)
    file.add("taro", "one")
    file.add("Hanako@example.com", "two", scram=True)
    file.set_password("taro", "three")
    text = path.read_text()
    assert text.startswith("# ours\n\ntaro:{ARGON2ID}$argon2id$")
    assert path.stat().st_mode & 0o777 == 0o600
    assert file.names() == ("taro", "Hanako@example.com")
    found = file.read()
    assert hashes.matches(found["taro"].hash, "three")
    assert not hashes.matches(found["taro"].hash, "one")
    assert [hashes.split(f)[0] for f in found["hanako@example.com"].stored] == [
        "ARGON2ID",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
    ]
    file.delete("TARO")
    assert file.names() == ("Hanako@example.com",)
    assert os.listdir(tmp_path) == ["accounts"]


def test_what_cannot_be_an_account(tmp_path: Path) -> None:
    file = AccountFile(tmp_path / "accounts")
    file.add("taro", "one")
    for name in ("taro", "TARO", "a:b", "a b", "#x", "-x", "", "a\nb", "x" * 256):
        with pytest.raises(ConfigError):
            file.add(name, "pw")
    with pytest.raises(ConfigError):
        file.add("jiro", "")
    with pytest.raises(ConfigError, match="has no account"):
        file.delete("jiro")
    (tmp_path / "accounts").write_text("# x\ntaro\n")
    with pytest.raises(ConfigError) as caught:
        file.read()
    assert str(caught.value.origin) == f"{tmp_path}/accounts:2"


def run(argv: list[str], monkeypatch: pytest.MonkeyPatch, typed: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return user.main(argv)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["-c", str(tmp_path)]
    assert run(["add", *place, "taro"], monkeypatch, "secret\n") == 0
    assert run(["passwd", *place, "--stdin", "taro"], monkeypatch, "secret2\r\n") == 0
    assert run(["add", *place, "taro"], monkeypatch, "x\n") == 65
    assert run(["add", *place, "jiro"], monkeypatch, "") == 65
    assert run(["list", *place], monkeypatch) == 0
    assert run(["delete", *place, "nobody"], monkeypatch) == 65
    assert run(["fly"], monkeypatch) == 64
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "taro"
    assert f"{tmp_path}/accounts:1: taro has an account already" in err
    assert "secret" not in out + err
    stored = AccountFile(tmp_path / "accounts").read()["taro"].hash
    assert hashes.matches(stored, "secret2")
