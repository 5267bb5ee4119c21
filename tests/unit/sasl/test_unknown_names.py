"""Nobody learns from time or look whether a name exists, where we compute the hash (issue 3)."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from base64 import b64encode
from pathlib import Path

from tayori.config import smtpdconf
from tayori.config.settings import Settings
from tayori.sasl.accounts import AccountFile
from tayori.sasl.authenticator import Authenticator
from tayori.sasl.steps import Challenge, Failure
from tayori.sasl.verifiers.accounts import Accounts
from tayori.sasl.verifiers.passwd_file import PasswdFile


def medians(verifier: Accounts | PasswdFile, names: tuple[str, str], rounds: int = 9) -> list[float]:
    """Seconds for a wrong password of each name, in turn."""

    async def run() -> list[float]:
        took: list[list[float]] = [[], []]
        for _ in range(rounds):
            for place, name in enumerate(names):
                before = time.thread_time() + time.process_time()
                await verifier.verify(name, "wrong", "", "smtp")
                took[place].append(time.thread_time() + time.process_time() - before)
        verifier.close()
        return [statistics.median(values) for values in took]

    return asyncio.run(run())


def test_accounts_and_passwd_file(tmp_path: Path) -> None:
    AccountFile(tmp_path / "accounts").add("taro", "right")
    line = AccountFile(tmp_path / "accounts").path.read_text().splitlines()[-1]
    (tmp_path / "users").write_text(f"taro:{line.partition(':')[2]}\n")
    for verifier in (Accounts(tmp_path / "accounts"), PasswdFile(tmp_path / "users")):
        known, unknown = medians(verifier, ("taro", "nobody"))
        assert known > 0.002, "argon2id is at work"
        assert 0.6 < unknown / known < 1.7, (known, unknown)


def test_scram_shows_the_same_for_both(tmp_path: Path) -> None:
    """Salt of one size, the iteration count of the real accounts, and the same answer when asked again."""
    (tmp_path / "main.cf").write_text(f"myhostname = mail.example.com\ndata_directory = {tmp_path}\n")
    AccountFile(tmp_path / "accounts").add("taro", "right", scram=True)
    conf = smtpdconf.parse(f"pwcheck_method: accounts\naccounts_path: {tmp_path}/accounts\n", "smtpd.conf")

    async def first(auth: Authenticator, name: str) -> tuple[str, str]:
        exchange = auth.begin("SCRAM-SHA-256", f"n,,n={name},r=abc".encode(), client_address="192.0.2.1", tls=True)
        step = await exchange.step()
        assert isinstance(step, Challenge)
        found = re.fullmatch(r"r=abc\S+,s=(\S+),i=(\d+)", step.data.decode())
        assert found
        proof = b64encode(bytes(32)).decode()
        nonce = step.data.split(b",")[0].decode()
        assert isinstance(await exchange.step(f"c=biws,{nonce},p={proof}".encode()), Failure)
        return found[1], found[2]

    async def run() -> None:
        workers = [Authenticator(Settings.read(str(tmp_path)), conf) for _ in range(2)]
        known, unknown = await first(workers[0], "taro"), await first(workers[0], "nobody")
        assert len(known[0]) == len(unknown[0]) and known[1] == unknown[1] and known[0] != unknown[0]
        assert await first(workers[1], "nobody") == unknown, "the key is shared by all workers and survives restarts"
        assert (tmp_path / "sasl_server_key").stat().st_mode & 0o777 == 0o600
        for worker in workers:
            worker.close()

    asyncio.run(run())
