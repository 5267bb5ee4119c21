from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tayori.config.origin import ConfigError
from tayori.programs.commands import saslauthd as command
from tayori.programs.daemons.saslauthd import Cache, Options, Saslauthd
from tayori.protocol.saslauthd import Request, encode_request
from tayori.sasl.accounts import AccountFile
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.saslauthd import Saslauthd as Client


class Store:
    name = "store"
    secrets = False

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        self.asked.append((username, realm))
        return {"good": Accepted(username), "down": TryLater("x")}.get(password, Refused("no"))

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        return Refused("no")

    async def probe(self) -> str:
        return ""

    def close(self) -> None:
        pass


def test_the_cache_keeps_right_passwords_alone_and_for_a_while() -> None:
    now = [0.0]
    cache = Cache(10, 1, lambda: now[0])
    request = Request(b"taro", b"pw", b"smtp", b"r")
    cache.add(request)
    assert cache.holds(request)
    assert not cache.holds(Request(b"taro", b"pW", b"smtp", b"r"))
    assert not cache.holds(Request(b"taro", b"pw", b"imap", b"r"))
    assert not cache.holds(Request(b"taro", b"pw", b"smtp", b""))
    now[0] = 11
    assert not cache.holds(request)
    for number in range(100):
        cache.add(Request(b"u%d" % number, b"pw"))
    assert len(cache._good) == 8
    assert all(b"pw" not in part for entry in cache._good.values() for part in entry[:2])


def test_over_the_socket() -> None:
    folder = Path(tempfile.mkdtemp(prefix="ty"))

    async def scenario() -> None:
        store = Store()
        daemon = Saslauthd(store, Options(str(folder), combine_realm=True, cache_seconds=60))
        await daemon.start()
        assert (folder / "mux").stat().st_mode & 0o777 == 0o777
        with pytest.raises(ConfigError, match="another saslauthd"):
            await Saslauthd(store, Options(str(folder))).start()
        client = Client(str(folder), seconds=5)
        assert isinstance(await client.verify("taro", "good", "r", "smtp"), Accepted)
        assert isinstance(await client.verify("taro", "good", "r", "smtp"), Accepted)
        assert store.asked == [("taro@r", "")], "the second time from the cache"
        for _ in range(2):
            assert isinstance(await client.verify("taro", "bad", "", "smtp"), Refused)
        assert len(store.asked) == 3, "a wrong password is never cached"
        assert isinstance(await client.verify("taro", "down", "", "smtp"), TryLater), (
            "trouble is not a wrong password"
        )
        assert isinstance(await client.verify("taro", "", "", "smtp"), Refused)
        for junk in (b"", b"\xff\xff", b"\0\1", os.urandom(3000)):
            reader, writer = await asyncio.open_unix_connection(folder / "mux")
            writer.write(junk)
            writer.write_eof()
            assert await reader.read() in (b"", b"\0\x18NO authentication failed"), "never OK"
            writer.close()
        reader, writer = await asyncio.open_unix_connection(folder / "mux")
        for byte in encode_request(Request(b"taro", b"good")):
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        assert await reader.read() == b"\0\2OK"
        writer.close()
        daemon.close()
        assert not (folder / "mux").exists()

    asyncio.run(scenario())
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


def test_it_goes_to_the_background_once_it_serves(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="ty"))
    AccountFile(tmp_path / "accounts").add("taro", "pw")
    start = "import sys;from tayori.programs.commands.saslauthd import main;sys.exit(main(sys.argv[1:]))"
    flags = ["-a", "accounts", "-O", str(tmp_path), "-m", str(folder)]
    run = subprocess.run([sys.executable, "-c", start, *flags], capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    pid = int((folder / "saslauthd.pid").read_text())
    try:
        assert isinstance(asyncio.run(Client(str(folder)).verify("taro", "pw", "", "smtp")), Accepted)
        second = subprocess.run([sys.executable, "-c", start, *flags], capture_output=True, text=True, timeout=30)
        assert second.returncode == 78 and f"another saslauthd (process {pid})" in second.stderr
    finally:
        os.kill(pid, 15)
    until = time.monotonic() + 10
    while (folder / "mux").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not (folder / "mux").exists()
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["-v"]) == 0
    assert command.main([]) == 64
    assert command.main(["-a", "nonsense"]) == 64
    assert command.main(["-a", "shadow", "-m", "relative"]) == 64
    assert command.main(["-a", "rimap", "-d"]) == 78
    assert command.main(["-a", "rimap", "-d", "-O", "imap.example.com"]) == 78
    err = capsys.readouterr().err
    assert "authentication mechanisms: pam shadow" in err and "unencrypted" in err
