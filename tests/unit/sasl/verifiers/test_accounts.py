from __future__ import annotations

import asyncio
from pathlib import Path

from tayori.sasl import hashes
from tayori.sasl.accounts import AccountFile
from tayori.sasl.verifiers.accounts import Accounts
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater


def test_right_wrong_and_unknown(tmp_path: Path) -> None:
    file = AccountFile(tmp_path / "accounts")
    file.add("taro", "one")
    file.add("jiro@other.example", "two")
    verifier = Accounts(file.path, domains=("example.com",))

    async def ask(name: str, password: str, realm: str = "") -> object:
        return await verifier.verify(name, password, realm, "smtp")

    async def scenario() -> None:
        assert await verifier.probe() == ""
        assert await ask("taro", "one") == Accepted("taro", verifier.name)
        assert await ask("TARO", "one", "Example.com") == Accepted("taro", verifier.name)
        assert await ask("taro", "one", "other.example") == Refused("no such account", verifier.name)
        assert await ask("jiro", "two", "other.example") == Accepted("jiro@other.example", verifier.name)
        assert await ask("taro", "two") == Refused("wrong password", verifier.name)
        assert await ask("taro", "") == Refused("wrong password", verifier.name)
        assert await ask("saburo", "one") == Refused("no such account", verifier.name)
        file.set_password("taro", "changed")
        assert await ask("taro", "one") == Refused("wrong password", verifier.name), "remembered, but no longer right"
        assert await ask("taro", "changed") == Accepted("taro", verifier.name)
        file.path.write_text("garbage\n")
        answer = await ask("taro", "changed")
        assert isinstance(answer, TryLater) and f"{file.path}:1" in answer.why

    asyncio.run(scenario())
    verifier.close()


def test_a_right_password_is_remembered_for_a_while(tmp_path: Path) -> None:
    file = AccountFile(tmp_path / "accounts")
    file.add("taro", "one")
    now = [0.0]
    verifier = Accounts(file.path, remember=10, clock=lambda: now[0])
    asked = []
    real = hashes.matches

    def counted(stored: str, password: str) -> bool:
        asked.append(password)
        return real(stored, password)

    async def scenario() -> None:
        for _ in range(3):
            assert isinstance(await verifier.verify("taro", "one", "", "smtp"), Accepted)
        assert len(asked) == 1
        now[0] = 11
        assert isinstance(await verifier.verify("taro", "one", "", "smtp"), Accepted)
        assert len(asked) == 2
        assert isinstance(await verifier.verify("taro", "bad", "", "smtp"), Refused)

    hashes.matches = counted  # type: ignore[assignment]
    try:
        asyncio.run(scenario())
    finally:
        hashes.matches = real
    verifier.close()


def test_scram_keys_are_given_when_there_are_some(tmp_path: Path) -> None:
    file = AccountFile(tmp_path / "accounts")
    file.add("taro", "one")
    verifier = Accounts(file.path)
    file.add("jiro", "two", scram=True)
    assert not verifier.secrets, "taro has no keys: clients would choose SCRAM and fail"
    file.set_password("taro", "one", scram=True)
    assert verifier.secrets and verifier.properties == {"cmusaslsecretSCRAM-SHA-256", "cmusaslsecretSCRAM-SHA-1"}

    async def scenario() -> None:
        found = await verifier.fetch("jiro", "", ("cmusaslsecretSCRAM-SHA-256", "userPassword"))
        assert list(found.values) == ["cmusaslsecretSCRAM-SHA-256"]  # type: ignore[union-attr]
        file.set_password("taro", "one", scram=False)
        assert isinstance(await verifier.fetch("taro", "", ("cmusaslsecretSCRAM-SHA-256",)), Refused)

    asyncio.run(scenario())
