from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

import pytest

from tayori.config import smtpdconf
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl.abuse import Abuse, Limits
from tayori.sasl.accounts import AccountFile
from tayori.sasl.authenticator import Authenticator, Exchange
from tayori.sasl.mechanisms import MECHANISMS, ClientContext
from tayori.sasl.record import FailedLogins, LoginRecord
from tayori.sasl.steps import Challenge, Failure, Secret, Success
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict


class Store:
    """A verifier with what it will say."""

    secrets = False

    def __init__(self, name: str, *answers: Verdict, down: str = "") -> None:
        self.name, self.answers, self.down = name, list(answers), down
        self.asked: list[tuple[str, str, str]] = []

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        self.asked.append((username, realm, service))
        return self.answers.pop(0)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        return Refused("none")

    async def probe(self) -> str:
        return self.down

    def close(self) -> None:
        pass


def conf(text: str = "pwcheck_method: saslauthd\nmech_list: plain login\n") -> SmtpdConf:
    return smtpdconf.parse(text, "smtpd.conf")


def settings(tmp_path: Path, **values: str) -> Settings:
    base = {"myhostname": "mail.example.com", "data_directory": str(tmp_path)}
    return Settings.of({**base, **values}, directory=str(tmp_path))


def plain(exchange_of: Authenticator, name: str, authzid: str = "") -> Exchange:
    exchange = exchange_of.begin("plain", f"{authzid}\0{name}\0pw".encode(), client_address="192.0.2.1", tls=False)
    assert isinstance(exchange, Exchange)
    return exchange


def test_plain_and_login(tmp_path: Path) -> None:
    store = Store("s", Accepted("taro", "s"), Refused("wrong", "s"), TryLater("down", "s"))
    seen: list[LoginRecord] = []
    auth = Authenticator(settings(tmp_path), conf(), [store], on_login=seen.append)

    async def scenario() -> None:
        await auth.start()
        assert auth.offered(False) == ("PLAIN", "LOGIN")
        assert await plain(auth, "taro").step() == Success("taro")
        login = auth.begin("LOGIN", None, client_address="192.0.2.1", tls=False)
        assert await login.step() == Challenge(b"Username:")
        assert await login.step(b"taro@example.com") == Challenge(b"Password:")
        answer = await login.step(b"pw")
        assert isinstance(answer, Failure) and not answer.temporary
        answer = await plain(auth, "taro").step()
        assert isinstance(answer, Failure) and answer.temporary
        answer = await auth.begin("CRAM-MD5", None, client_address="192.0.2.1", tls=False).step()
        assert isinstance(answer, Failure)

    asyncio.run(scenario())
    assert store.asked == [("taro", "", "smtp"), ("taro", "example.com", "smtp"), ("taro", "", "smtp")]
    assert [(r.mechanism, r.username, r.ok, r.temporary, r.source) for r in seen[:3]] == [
        ("PLAIN", "taro", True, False, "s"),
        ("LOGIN", "taro@example.com", False, False, "s"),
        ("PLAIN", "taro", False, True, "s"),
    ]
    assert all("pw" not in record.line() and "pw" not in repr(record) for record in seen)


@pytest.mark.parametrize(
    ("name", "asked", "username"),
    [
        ("taro", ("taro", "local.example"), "taro@local.example"),
        ("taro@example.com", ("taro", "example.com"), "taro@example.com"),
        ("a@b@c", ("a@b", "c"), "a@b@c"),
        (" taro\t\n", ("taro", "local.example"), "taro@local.example"),
    ],
)
def test_realms_as_a_real_postfix_splits_them(
    tmp_path: Path, name: str, asked: tuple[str, str], username: str
) -> None:
    """Differential run against Postfix 3.7 with Cyrus 2.1.28: what saslauthd got, and sasl_username."""
    store = Store("s", Accepted(name, "s"))
    store.answers = [Accepted(name.strip(), "s")]
    auth = Authenticator(settings(tmp_path, smtpd_sasl_local_domain="local.example"), conf(), [store])
    assert asyncio.run(plain(auth, name).step()) == Success(username)
    assert store.asked == [(*asked, "smtp")]


def test_an_empty_realm_is_no_other_way_to_write_a_name(tmp_path: Path) -> None:
    store = Store("s", Refused("nobody", "s"))
    auth = Authenticator(settings(tmp_path, smtpd_sasl_local_domain="local.example"), conf(), [store])
    assert isinstance(asyncio.run(plain(auth, "taro@").step()), Failure)
    assert store.asked == [("taro@", "local.example", "smtp")], "never taro"


def test_who_it_was_is_told_also_when_no_back_end_was_asked(tmp_path: Path) -> None:
    store = Store("s", Accepted("taro", "s"))
    seen: list[LoginRecord] = []
    auth = Authenticator(settings(tmp_path), conf(), [store], on_login=seen.append)

    async def scenario() -> None:
        assert isinstance(await plain(auth, "taro", " jiro").step(), Failure)
        empty = auth.begin("PLAIN", b"\0taro\0", client_address="192.0.2.1", tls=False)
        assert await empty.step() == Failure("empty password")
        login = auth.begin("LOGIN", b"taro", client_address="192.0.2.1", tls=False)
        await login.step()
        assert await login.step(b"") == Failure("empty password")
        assert isinstance(await plain(auth, "taro", " taro ").step(), Success)

    asyncio.run(scenario())
    assert [(record.username, record.reason) for record in seen] == [
        ("taro", "taro may not act as jiro"),
        ("taro", "empty password"),
        ("taro", "empty password"),
        ("taro", ""),
    ]
    assert store.asked == [("taro", "", "smtp")]


def test_several_in_order(tmp_path: Path) -> None:
    def ask(*answers: Verdict) -> object:
        stores = [Store(str(n), answer) for n, answer in enumerate(answers)]
        auth = Authenticator(settings(tmp_path), conf(), stores)
        return asyncio.run(plain(auth, "taro").step())

    assert ask(Refused("a"), Accepted("taro", "b")) == Success("taro")
    assert ask(TryLater("a"), Accepted("taro", "b")) == Success("taro")
    assert ask(TryLater("a"), Refused("b")) == Failure("a", temporary=True)
    assert ask(Refused("a"), Refused("b")) == Failure("b")


def test_the_order_and_the_filters(tmp_path: Path) -> None:
    def offered(text: str, tls: bool = False, **values: str) -> tuple[str, ...]:
        return Authenticator(settings(tmp_path, **values), conf(text), [Store("s")]).offered(tls)

    assert offered("mech_list: login plain") == ("LOGIN", "PLAIN")
    assert offered("pwcheck_method: saslauthd") == ("PLAIN", "LOGIN")
    assert offered("mech_list: plain login nonsense cram-md5") == ("PLAIN", "LOGIN")
    assert offered("mech_list: plain login", smtpd_sasl_security_options="noplaintext") == ()
    assert offered("mech_list: plain login", smtpd_sasl_mechanism_filter="!login, static:rest") == ("PLAIN",)
    assert offered("mech_list: plain login", smtpd_sasl_mechanism_filter="login") == ("LOGIN",)
    both = {"smtpd_sasl_security_options": "noplaintext", "smtpd_sasl_tls_security_options": "noanonymous"}
    assert offered("mech_list: plain login", True, **both) == ("PLAIN", "LOGIN")
    with pytest.raises(ConfigError, match="nopaintext is not known"):
        offered("mech_list: plain", smtpd_sasl_security_options="nopaintext")
    auth = Authenticator(settings(tmp_path, smtpd_sasl_security_options="noplaintext"), conf(), [Store("s")])
    assert (
        "PLAIN",
        "smtpd_sasl_security_options",
        "the option noplaintext does not allow it (without TLS)",
    ) in auth.removed()


def test_exceptions_networks(tmp_path: Path) -> None:
    auth = Authenticator(
        settings(tmp_path, smtpd_sasl_exceptions_networks="!192.0.2.9, 192.0.2.0/24"), conf(), [Store("s")]
    )
    assert auth.offered(False, "192.0.2.1") == ()
    assert auth.offered(False, "192.0.2.9") == ("PLAIN", "LOGIN")
    assert auth.offered(False, "198.51.100.1") == ("PLAIN", "LOGIN")


def test_auth_goes_and_comes_back_with_the_back_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tayori.sasl")
    now = [0.0]
    store = Store("saslauthd:/x", down="/x: no such file")
    auth = Authenticator(settings(tmp_path), conf(), [store], monotonic=lambda: now[0])

    async def scenario() -> None:
        await auth.start()
        for _ in range(20):
            now[0] += 1
            assert auth.offered(False) == ()
            await asyncio.sleep(0)
        store.down = ""
        now[0] += 10
        assert auth.offered(False) == ()
        for _ in range(5):
            await asyncio.sleep(0)
        assert auth.offered(False) == ("PLAIN", "LOGIN")

    asyncio.run(scenario())
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2, "one line for the worse, one for the better"
    assert told[0].startswith("smtpd.conf:1: saslauthd:/x cannot be asked") and "AUTH is not offered" in told[0]


def test_which_verifiers(tmp_path: Path) -> None:
    def names(text: str | None) -> list[str]:
        found = SmtpdConf() if text is None else conf(text)
        return [verifier.name for verifier in Authenticator(settings(tmp_path), found).verifiers]

    AccountFile(tmp_path / "accounts").add("taro", "pw")
    own = f"accounts:{tmp_path}/accounts"
    assert names(None) == [own]
    assert names("pwcheck_method: saslauthd accounts\nsaslauthd_path: /x/mux") == ["saslauthd:/x/mux", own]
    for text, words in (
        ("pwcheck_method: sasluthd", "sasluthd is not known"),
        ("pwcheck_method: alwaystrue", "open relay"),
        ("mech_list: plain\npwcheck_method: pam", "tayori saslauthd -a pam"),
        ("auxprop_plugin: sqlite", "sqlite is not known"),
    ):
        with pytest.raises(ConfigError) as caught:
            names(text)
        assert words in str(caught.value)
        assert "smtpd.conf:" in str(caught.value)


def test_end_to_end_with_the_account_file_and_the_trace_of_a_failure(tmp_path: Path) -> None:
    AccountFile(tmp_path / "accounts").add("taro", "pw")
    log = FailedLogins(tmp_path / "failed")
    auth = Authenticator(settings(tmp_path), SmtpdConf(), failed_logins=log)

    async def scenario() -> None:
        await auth.start()
        assert "PLAIN" in auth.offered(True)
        assert await plain(auth, "taro@mail.example.com").step() == Success("taro")
        assert isinstance(await plain(auth, "jiro").step(), Failure)

    asyncio.run(scenario())
    auth.close()
    record = log.last("jiro")
    assert record is not None
    assert (record.attempts[0].answer, record.attempts[0].why) == ("refused", "no such account")
    assert log.last("taro") is None
    assert (tmp_path / "sasl_server_key").stat().st_size == 32


def test_a_back_end_that_hangs_costs_the_time_limit(tmp_path: Path) -> None:
    class Hanging(Store):
        async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
            await asyncio.sleep(60)
            raise AssertionError

    auth = Authenticator(settings(tmp_path), conf(), [Hanging("h")], seconds=0.05)
    answer = asyncio.run(plain(auth, "taro").step())
    assert isinstance(answer, Failure) and answer.temporary


def test_scram_is_offered_while_every_account_has_keys(tmp_path: Path) -> None:
    file = AccountFile(tmp_path / "accounts")
    file.add("taro", "pw", scram=True)
    now = [0.0]
    auth = Authenticator(settings(tmp_path), SmtpdConf(), monotonic=lambda: now[0])

    async def scenario() -> None:
        await auth.start()
        assert auth.offered(True) == ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN")
        file.add("jiro", "pw")
        now[0] += 100
        auth.offered(True)
        for _ in range(5):
            await asyncio.sleep(0)
        assert auth.offered(True) == ("PLAIN", "LOGIN")

    asyncio.run(scenario())
    auth.close()


def test_a_flood_is_refused_without_asking_and_the_owner_goes_on(tmp_path: Path) -> None:
    store = Store("s", Accepted("taro", "s"), *[Refused("no", "s")] * 30, Accepted("taro", "s"))
    limits = Limits(first_delay=0.0, refuse_at=25)
    seen: list[LoginRecord] = []
    abuse = Abuse(lambda: 0.0, limits)
    auth = Authenticator(settings(tmp_path), conf(), [store], abuse=abuse, on_login=seen.append)

    async def log_in(address: str) -> object:
        return await auth.begin("PLAIN", b"\0taro\0pw", client_address=address, tls=True).step()

    async def scenario() -> None:
        assert isinstance(await log_in("198.51.100.1"), Success)
        answers = [await log_in("192.0.2.1") for _ in range(40)]
        assert [getattr(answer, "temporary", None) for answer in answers] == [False] * 25 + [True] * 15
        assert len(store.asked) == 26
        store.answers = [Accepted("taro", "s")]
        assert isinstance(await log_in("198.51.100.1"), Success)

    asyncio.run(scenario())
    assert sum(not record.quiet for record in seen if not record.ok) < 25


class Slow(Store):
    """Decides nothing before it is told to."""

    def __init__(self, answer: Verdict | None) -> None:
        super().__init__("slow")
        self.answer, self.go = answer, asyncio.Event()

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        self.asked.append((username, realm, service))
        await self.go.wait()
        if self.answer is None:
            raise RuntimeError("a fault of ours")
        return self.answer


def many(auth: Authenticator, count: int) -> list[asyncio.Task[object]]:
    loop = asyncio.get_running_loop()
    return [loop.create_task(plain(auth, f"user{number}").step()) for number in range(count)]  # type: ignore[arg-type]


def test_of_many_at_once_no_more_than_the_limit_are_tried(tmp_path: Path) -> None:
    store = Slow(Refused("no", "slow"))
    seen: list[LoginRecord] = []
    auth = Authenticator(settings(tmp_path), conf(), [store], on_login=seen.append)

    async def scenario() -> None:
        trying = many(auth, 200)
        await asyncio.sleep(0.2)
        assert len(store.asked) == 20 and not any(task.done() for task in trying), "the others wait"
        store.go.set()
        answers = await asyncio.gather(*trying)
        assert [getattr(answer, "temporary", None) for answer in answers] == [False] * 20 + [True] * 180
        assert len(store.asked) == 20

    asyncio.run(scenario())
    assert [record.held for record in seen].count(True) == 180


def test_many_right_ones_at_once_all_get_in(tmp_path: Path) -> None:
    store = Slow(Accepted("taro", "slow"))
    auth = Authenticator(settings(tmp_path), conf(), [store], on_login=lambda record: None)

    async def scenario() -> None:
        trying = many(auth, 200)
        await asyncio.sleep(0.1)
        store.go.set()
        assert all(isinstance(answer, Success) for answer in await asyncio.gather(*trying))

    asyncio.run(scenario())
    assert auth.abuse.failures("192.0.2.1") == 0


def test_what_is_never_decided_is_no_failure_and_holds_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The back end cannot answer, the client goes away, the worker has a fault: a hundred times, and still none counts."""
    store = Slow(TryLater("down", "slow"))
    seen: list[LoginRecord] = []
    auth = Authenticator(settings(tmp_path), conf(), [store], on_login=seen.append)
    monkeypatch.setattr("tayori.sasl.authenticator.LONGEST_WAIT", 0.2)

    async def scenario() -> None:
        crowd = many(auth, 40)
        answers = await asyncio.gather(*crowd[20:])
        assert all(isinstance(answer, Failure) and answer.temporary for answer in answers), "nobody waits for ever"
        assert not any(record.held for record in seen), "but it is nobody's guilt"
        store.go.set()
        await asyncio.gather(*crowd)
        for _ in range(100):
            assert isinstance(answer := await plain(auth, "taro").step(), Failure) and answer.temporary
        store.answer = None
        for _ in range(100):
            exchange = plain(auth, "taro")
            with pytest.raises(RuntimeError):
                await exchange.step()
            exchange.cancel()
        store.go.clear()
        store.answer = Refused("no", "slow")
        for _ in range(100):
            exchange = plain(auth, "taro")
            task = asyncio.create_task(exchange.step())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            exchange.cancel()
        store.go.set()
        store.answer = Accepted("taro", "slow")
        assert await plain(auth, "taro").step() == Success("taro")

    asyncio.run(scenario())
    assert auth.abuse.failures("192.0.2.1") == 0 and not any(record.delayed for record in seen[-100:])


def test_a_name_cannot_forge_the_log_line() -> None:
    record = LoginRecord("PLAIN", "192.0.2.1", 0.0, "x client=127.0.0.1 result=accepted\n", reason="wrong password")
    assert record.line() == (
        "login method=PLAIN user=x\\x20client=127.0.0.1\\x20result=accepted\\x0a client=192.0.2.1 backend=- "
        "result=refused (wrong password)"
    )


def test_a_wrong_answer_to_a_challenge_is_counted_and_told(tmp_path: Path) -> None:
    AccountFile(tmp_path / "accounts").add("taro", "right", scram=True)
    seen: list[LoginRecord] = []
    auth = Authenticator(settings(tmp_path), SmtpdConf(), on_login=seen.append)

    async def log_in(password: str) -> object:
        client = MECHANISMS["SCRAM-SHA-256"].client(ClientContext("taro", password, os.urandom, time.time, host="h"))
        exchange = auth.begin("SCRAM-SHA-256", client.next(None), client_address="192.0.2.1", tls=True)
        step = await exchange.step()
        while isinstance(step, Challenge):
            step = await exchange.step(client.next(step.data) or b"")
        return step

    async def scenario() -> None:
        await auth.start()
        good = await log_in("right")
        assert isinstance(good, Success) and good.username == "taro"
        assert isinstance(await log_in("wrong"), Failure)

    asyncio.run(scenario())
    auth.close()
    assert [(r.ok, r.source, r.attempts[0].answer) for r in seen][-1] == (
        False,
        f"accounts:{tmp_path}/accounts",
        "secret given",
    )
    assert seen[0].ok and seen[0].username == "taro"
    assert 0.99 < auth.abuse.failures("192.0.2.1") <= 1
