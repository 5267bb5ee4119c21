"""Cyrus's saslauthd against our verifier, and Cyrus's testsaslauthd against our daemon."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from interop.sasl import backends
from interop.sasl.peers import PASSWORD, running, short_folder, system_user, tayori_saslauthd, wait_for
from support.peers import need_root, require
from tayori.programs.commands import testsaslauthd
from tayori.sasl.accounts import AccountFile
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.saslauthd import Saslauthd


def ask(verifier: Saslauthd, *questions: tuple[str, str, str]) -> list[Verdict]:
    async def all_of_them() -> list[Verdict]:
        return [await verifier.verify(user, password, realm, "smtp") for user, password, realm in questions]

    return asyncio.run(all_of_them())


@pytest.mark.root
@pytest.mark.peer
@pytest.mark.parametrize("mechanism", ["shadow", "pam"])
def test_a_real_saslauthd(mechanism: str) -> None:
    need_root("shadow passwords and PAM")
    program = require("saslauthd", "sasl2-bin")
    with short_folder() as folder, system_user("tayorisasl") as user:
        with running(program, "-a", mechanism, "-d", "-m", str(folder), "-n", "2"):
            wait_for((folder / "mux").exists)
            verifier = Saslauthd(str(folder))
            assert asyncio.run(verifier.probe()) == ""
            good, realm, bad, nobody, long = ask(
                verifier,
                (user, PASSWORD, ""),
                (user, PASSWORD, "r"),
                (user, "x", ""),
                ("nobody-here", "x", ""),
                (user, "x" * 300, ""),
            )
            assert good == Accepted(user, verifier.name)
            assert realm == Accepted(f"{user}@r", verifier.name)
            assert isinstance(bad, Refused) and isinstance(nobody, Refused) and isinstance(long, Refused)
        assert isinstance(ask(verifier, (user, PASSWORD, ""))[0], TryLater)


def cyrus_test(socket: Path, user: str, password: str, *more: str) -> str:
    command = [require("testsaslauthd", "sasl2-bin"), "-u", user, "-p", password, "-f", str(socket), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()


@pytest.mark.peer
def test_cyrus_testsaslauthd_against_ours_with_accounts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    AccountFile(tmp_path / "accounts").add("taro", PASSWORD)
    AccountFile(tmp_path / "accounts").add("taro@r.example", "other")
    with short_folder() as folder, tayori_saslauthd(folder, "-a", "accounts", "-O", str(tmp_path), "-c") as socket:
        for _ in range(2):
            assert cyrus_test(socket, "taro", PASSWORD) == '0: OK "Success."'
        assert cyrus_test(socket, "taro", "other") == '0: NO "authentication failed"'
        assert cyrus_test(socket, "taro", "other", "-r", "r.example") == '0: OK "Success."'
        assert socket.stat().st_mode & 0o777 == 0o777
        assert testsaslauthd.main(["-u", "taro", "-p", PASSWORD, "-f", str(socket)]) == 0
        assert testsaslauthd.main(["-u", "taro", "-p", "bad", "-f", str(socket)]) == 255
        log = (folder / "log").read_text()
        assert "auth failure: wrong password [user=taro] [service=imap] [realm=]" in log
        assert "from the cache" in log
        assert PASSWORD not in log
    assert not socket.exists()


@pytest.mark.root
@pytest.mark.peer
@pytest.mark.parametrize("mechanism", ["shadow", "pam"])
def test_ours_with_system_users(mechanism: str) -> None:
    need_root("shadow passwords and PAM")
    with short_folder() as folder, system_user("tayorisasl") as user:
        with tayori_saslauthd(folder, "-a", mechanism, "-n", "2") as socket:
            assert cyrus_test(socket, user, PASSWORD, "-s", "smtp") == '0: OK "Success."'
            assert cyrus_test(socket, user, "bad", "-s", "smtp") == '0: NO "authentication failed"'
            assert cyrus_test(socket, "nobody-here", "bad", "-s", "smtp") == '0: NO "authentication failed"'
        with tayori_saslauthd(folder, "-a", mechanism, "-r") as socket:
            assert cyrus_test(socket, user, PASSWORD, "-r", "example.com") == '0: NO "authentication failed"'


@pytest.mark.peer
@pytest.mark.parametrize("mechanism", ["sasldb", "ldap", "rimap", "httpform"])
def test_ours_with_other_stores(mechanism: str) -> None:
    """Cyrus's testsaslauthd asks tayori saslauthd, which asks the real store."""
    with backends.BACKENDS[mechanism]() as store, short_folder() as folder:
        keys = dict(line.split(": ", 1) for line in store.conf.splitlines())
        (folder / "conf").write_text(store.conf)
        option = {"sasldb": keys.get("sasldb_path"), "rimap": keys.get("rimap_server")}.get(mechanism)
        realm = ["-r", backends.HOST] if mechanism == "sasldb" else []
        with tayori_saslauthd(folder, "-a", mechanism, "-O", option or str(folder / "conf")) as socket:
            assert cyrus_test(socket, store.user, PASSWORD, *realm) == '0: OK "Success."'
            assert cyrus_test(socket, store.user, "bad", *realm) == '0: NO "authentication failed"'


@pytest.mark.root
@pytest.mark.peer
def test_a_pam_module_that_hangs_exhausts_nothing() -> None:
    need_root("a file in /etc/pam.d")
    from tayori.programs.daemons.saslauthd_pam import PamWorkers

    service = Path("/etc/pam.d/tayori-hang")
    service.write_text("auth required pam_exec.so quiet /bin/sleep 611\n")
    try:

        async def scenario() -> None:
            workers = PamWorkers(2, seconds=4)
            before = time.monotonic()
            answers = await asyncio.gather(*(workers.verify("u", "p", "", service.name) for _ in range(3)))
            assert all(isinstance(answer, TryLater) for answer in answers)
            assert workers.killed == 3
            assert time.monotonic() - before < 12
            assert isinstance(await workers.verify("nobody-here", "p", "", "other"), Refused), "it goes on"
            workers.close()
            left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if p.read_bytes() == b"/bin/sleep\x00611\x00"]
            assert not left, "what the module started was killed too"

        asyncio.run(scenario())
    finally:
        service.unlink()
