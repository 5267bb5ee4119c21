"""sasldb2 as newer Red Hat has it: GDBM files made and read by GNU's gdbmtool and by Debian's python3-gdbm."""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from interop.sasl.backends import HOST, gdbm_file
from interop.sasl.peers import PASSWORD
from support.peers import missing, require
from tayori.programs.commands import sasldblistusers2, saslpasswd2
from tayori.sasl import gdbm, sasldb
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.sasldb import Sasldb


def need_library() -> None:
    try:
        gdbm.library()
    except OSError:
        missing(f"{gdbm.LIBRARY} is not installed (Debian package libgdbm6)")


def check(path: Path, user: str, password: str, realm: str = "") -> Verdict:
    async def ask() -> Verdict:
        verifier = Sasldb(str(path), hostname=HOST)
        try:
            return await verifier.verify(user, password, realm, "smtp")
        finally:
            verifier.close()

    return asyncio.run(ask())


@pytest.mark.peer
def test_a_file_of_python3_gdbm_is_read_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_library()
    file = tmp_path / "sasldb2"
    gdbm_file(file, {"taro": PASSWORD, "hana": "x"})
    assert sasldb.kind(file) == "gdbm"
    assert isinstance(check(file, "taro", PASSWORD), Accepted)
    assert isinstance(check(file, "taro", "bad"), Refused) and isinstance(check(file, "nobody", "x"), Refused)
    other = check(file, "taro", PASSWORD, "other.example")
    assert isinstance(other, Refused) and f"taro exists in realm {HOST}" in other.why
    sasldb.store(file, "jiro", HOST, {"userPassword": b"pw"})
    assert sasldb.delete(file, "hana", HOST) and not sasldb.delete(file, "hana", HOST)
    assert sasldblistusers2.main(["-f", str(file)]) == 0
    assert capsys.readouterr().out == f"jiro@{HOST}: userPassword\ntaro@{HOST}: userPassword\n"


@pytest.mark.peer
def test_a_file_of_ours_is_read_by_gdbmtool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_library()
    file = tmp_path / "sasldb2"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert saslpasswd2.main(["-c", "--gdbm", "-f", str(file), "-u", HOST, "taro"]) == 0
    assert sasldb.kind(file) == "gdbm" and file.stat().st_mode & 0o777 == 0o600
    said = subprocess.run(
        [require("gdbmtool"), "-r", "-N", str(file), "list"], capture_output=True, text=True, timeout=30, check=True
    )
    shown = re.sub(r"\\\d{3}", "\0", said.stdout)  # 1.23 writes the NUL as \\164
    assert shown == f"taro\0{HOST}\0userPassword {PASSWORD}\n"


@pytest.mark.peer
def test_while_another_program_writes_we_wait_and_then_say_try_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_library()
    file = tmp_path / "sasldb2"
    gdbm_file(file, {"taro": PASSWORD})
    monkeypatch.setattr(gdbm, "LOCKED_SECONDS", 0.1)
    writer = gdbm.Gdbm(str(file), True)
    try:
        answer = check(file, "taro", PASSWORD)
        assert isinstance(answer, TryLater) and "Can't be reader" in answer.why
        monkeypatch.setattr(gdbm, "LOCKED_SECONDS", 20)
        threading.Timer(0.3, lambda: writer.close()).start()
        assert isinstance(check(file, "taro", PASSWORD), Accepted)
    except BaseException:
        writer.close()
        raise


def test_a_broken_file_is_said_and_kills_nobody(tmp_path: Path) -> None:
    """In processes of their own: the library must not end the program that uses it."""
    need_library()
    file = tmp_path / "sasldb2"
    sasldb.store(file, "taro", HOST, {"userPassword": b"pw"}, "gdbm")
    whole = file.read_bytes()
    broken = []
    for number, at in enumerate((4, 8, 12, 16, 20, 24, 32, 48, 64, 4096, 4100, 4104, 4160, 8192)):
        broken.append(tmp_path / f"broken{number}")
        broken[-1].write_bytes(whole[:at] + b"\xf7\xff\xff\x7f" + whole[at + 4 :])
    broken.append(tmp_path / "short")
    broken[-1].write_bytes(whole[:100])
    code = (
        "import sys\nfrom tayori.sasl import sasldb\n"
        "for path in sys.argv[1:]:\n"
        " for ask in (sasldb.users, lambda path: sasldb.fetch(path, 'taro', 'r', ('userPassword',))):\n"
        "  try: ask(path)\n"
        "  except sasldb.SasldbError as error: print(error)\n"
        "print('alive')\n"
    )
    said = subprocess.run([sys.executable, "-c", code, *map(str, broken)], capture_output=True, text=True, timeout=60)
    assert said.returncode == 0 and said.stdout.endswith("alive\n"), said.stderr
    assert f"{tmp_path}/short: " in said.stdout
