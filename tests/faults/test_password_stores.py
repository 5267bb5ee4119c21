"""Each place that keeps passwords hangs, talks rubbish, breaks off, is gone or comes back: always "try later", never
"wrong password", within its time limit; after some trouble in a row it is left alone for a while, then asked again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tayori.config import smtpdconf
from tayori.config.settings import Settings
from tayori.sasl.authenticator import Authenticator
from tayori.sasl.record import LoginRecord
from tayori.sasl.steps import Challenge, Failure, Success
from tayori.sasl.verifier_choice import preload
from tayori.sasl.verifiers import ldap, sql
from tayori.sasl.verifiers.accounts import Accounts
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verifier
from tayori.sasl.verifiers.dovecot import Dovecot
from tayori.sasl.verifiers.httpform import HttpForm
from tayori.sasl.verifiers.ldap import LdapBind, LdapStore
from tayori.sasl.verifiers.oauth import OAuth
from tayori.sasl.verifiers.passwd_file import PasswdFile
from tayori.sasl.verifiers.rimap import Rimap
from tayori.sasl.verifiers.saslauthd import Saslauthd
from tayori.sasl.verifiers.sasldb import Sasldb
from tayori.sasl.verifiers.shadow import Shadow
from tayori.sasl.verifiers.sql import Server, Sql

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HELLO = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t2\nCOOKIE\tx\nDONE\n"


@dataclass(frozen=True)
class Kind:
    """`make` gives the verifier for a port and a socket path; `half` is the first part of a good answer."""

    make: Callable[[int, str], Verifier]
    half: bytes
    local: bool = False


def _oauth(port: int, path: str) -> Verifier:
    text = f"oauth_introspection_url: http://127.0.0.1:{port}/i\n"
    return OAuth(smtpdconf.parse(text, "smtpd.conf"), seconds=0.4)


def _sql(engine: str) -> Callable[[int, str], Verifier]:
    select = "SELECT password FROM users WHERE name = '%u'"
    return lambda port, path: Sql(engine, (Server("127.0.0.1", port, "u", "p", "d"),), select, hostname="h")


KINDS = {
    "saslauthd": Kind(lambda port, path: Saslauthd(path, seconds=0.4), b"\0\2O", local=True),
    "dovecot": Kind(lambda port, path: Dovecot(path, seconds=0.4), HELLO[:30], local=True),
    "rimap": Kind(lambda port, path: Rimap("127.0.0.1", port, tls=False, seconds=0.4), b"* OK ready\r\na O"),
    "httpform": Kind(
        lambda port, path: HttpForm(f"http://127.0.0.1:{port}/", seconds=0.4), b"HTTP/1.1 200 OK\r\nContent-Le"
    ),
    "oauth": Kind(_oauth, b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"active": tr'),
    "sql, PostgreSQL": Kind(_sql("pgsql"), b"R\0\0\0\x08\0\0"),
    "sql, MySQL": Kind(_sql("mysql"), b"\x4a\0\0\0\x0a8.0"),
    "ldap": Kind(lambda port, path: LdapBind(f"ldap://127.0.0.1:{port}", "dc=x", seconds=1), b"\x30\x0c\x02\x01\x01"),
    "ldap with TLS": Kind(
        lambda port, path: LdapBind(f"ldaps://127.0.0.1:{port}", "dc=x", seconds=1), b"\x16\x03\x03\0"
    ),
    "ldap with StartTLS": Kind(
        lambda port, path: LdapBind(f"ldap://127.0.0.1:{port}", "dc=x", start_tls=True, seconds=1),
        b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
    ),
    "ldapdb": Kind(
        lambda port, path: LdapStore(f"ldap://127.0.0.1:{port}", hostname="h", base="dc=x", seconds=1),
        b"\x30\x0c\x02\x01\x01",
    ),
}


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.01)
    for _ in range(3):
        writer.write(bytes(range(256)) * 20 + b"\r\n")
    await writer.drain()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.05)


def half(kind: Kind, then: Serve) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(kind.half)
        await writer.drain()
        await then(reader, writer)

    return serve


FAULTS: dict[str, Callable[[Kind], Serve | None]] = {
    "hangs": lambda kind: hang,
    "talks rubbish": lambda kind: garbage,
    "hangs up": lambda kind: hang_up,
    "half an answer, then hangs": lambda kind: half(kind, hang),
    "half an answer, then hangs up": lambda kind: half(kind, hang_up),
    "is not there": lambda kind: None,
}


async def started(serve: Serve | None, kind: Kind, path: str, port: int = 0) -> tuple[asyncio.Server | None, int]:
    """(the server, its port); without `serve` a port where nobody listens."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert serve is not None
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    if kind.local:
        return (await asyncio.start_unix_server(one, path), 0) if serve else (None, 0)
    server = await asyncio.start_server(one, "127.0.0.1", port)
    port = server.sockets[0].getsockname()[1]
    if serve is None:
        server.close()
        await server.wait_closed()
        return None, port
    return server, port


async def ask(verifier: Verifier) -> Accepted | Refused | TryLater:
    check = getattr(verifier, "check_token", None)
    if check is not None:
        found: Accepted | Refused | TryLater = await check("taro", "token")
        return found
    return await verifier.verify("taro", "himitsu", "", "smtp")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", KINDS)
def test_trouble_is_try_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fault: str) -> None:
    kind = KINDS[name]
    monkeypatch.setattr(sql, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(sql, "ANSWER_SECONDS", 1)
    if name.startswith("ldap"):
        pytest.importorskip("bonsai")
    monkeypatch.setattr(ldap, "SECONDS", 1)

    async def scenario() -> None:
        path = str(tmp_path / "mux")
        server, port = await started(FAULTS[fault](kind), kind, path)
        verifier = kind.make(port, path)
        preload(getattr(verifier, "libraries", ()))  # as the server does before it serves
        guard = verifier._guard  # type: ignore[attr-defined]
        guard.seconds = 0.4
        before, lag = time.monotonic(), 0.0

        async def tick() -> None:
            nonlocal lag
            while True:
                now = time.monotonic()
                await asyncio.sleep(0.02)
                lag = max(lag, time.monotonic() - now)

        ticking = asyncio.create_task(tick())
        answers = await asyncio.gather(*(ask(verifier) for _ in range(6)))
        took = time.monotonic() - before
        ticking.cancel()
        assert all(isinstance(answer, TryLater) for answer in answers), answers
        assert took < 2, took
        assert lag < 0.5, "the loop goes on meanwhile"
        assert all("himitsu" not in answer.why for answer in answers if isinstance(answer, TryLater))
        before = time.monotonic()
        again = await ask(verifier)
        assert isinstance(again, TryLater) and again.why.startswith("not asked again yet: "), again
        assert time.monotonic() - before < 0.1
        verifier.close()
        if server is not None:
            server.close()

    asyncio.run(scenario())


async def good_saslauthd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"\0\2OK")


async def good_dovecot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HELLO)
    while line := await reader.readline():
        if line.startswith(b"AUTH\t"):
            writer.write(b"OK\t%s\tuser=taro\n" % line.split(b"\t")[1])


async def good_imap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* OK ready\r\n")
    await reader.readline()
    writer.write(b"a OK welcome\r\n")


async def good_web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    body = b'{"active": true, "email": "taro"}'
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


GOOD: dict[str, Serve] = {
    "saslauthd": good_saslauthd,
    "dovecot": good_dovecot,
    "rimap": good_imap,
    "httpform": good_web,
    "oauth": good_web,
}


@pytest.mark.parametrize("name", GOOD)
def test_it_is_asked_again_after_a_while_and_one_question_tries_it(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    now = [0.0]

    async def scenario() -> None:
        path = str(tmp_path / "mux")
        _, port = await started(None, kind, path)
        verifier = kind.make(port, path)
        verifier._guard._clock = lambda: now[0]  # type: ignore[attr-defined]
        for _ in range(6):
            assert isinstance(await ask(verifier), TryLater)
        server, _ = await started(hang, kind, path, port)
        now[0] += 10
        answers = await asyncio.gather(*(ask(verifier) for _ in range(5)))
        whys = [answer.why for answer in answers if isinstance(answer, TryLater)]
        assert len(whys) == 5 and sum(why.startswith("not asked again yet") for why in whys) == 4, whys
        assert server is not None
        server.close()
        Path(path).unlink(missing_ok=True)
        server, _ = await started(GOOD[name], kind, path, port)
        assert isinstance(await ask(verifier), TryLater), "the pause is not over"
        now[0] += 10
        assert isinstance(await ask(verifier), Accepted)
        assert all(isinstance(a, Accepted) for a in await asyncio.gather(*(ask(verifier) for _ in range(3))))
        verifier.close()
        assert server is not None
        server.close()

    asyncio.run(scenario())


def test_one_users_broken_entry_leaves_the_others_alone(tmp_path: Path) -> None:
    """Six questions about a form that cannot be checked do not open the breaker."""
    (tmp_path / "users").write_text("odd:{NTLM}x\ntaro:{PLAIN}himitsu\n")
    (tmp_path / "accounts").write_text("odd:{NTLM}x\ntaro:{PLAIN}himitsu\n")
    base = sqlite3.connect(tmp_path / "base")
    base.execute("CREATE TABLE users (name, password)")
    base.execute("INSERT INTO users VALUES ('odd', '{NTLM}x'), ('taro', 'himitsu')")
    base.commit()
    select = "SELECT password FROM users WHERE name = '%u'"
    stores: list[Verifier] = [
        PasswdFile(tmp_path / "users"),
        Accounts(tmp_path / "accounts"),
        Sql("sqlite", (Server("", 0, "", "", str(tmp_path / "base")),), select, hostname="h"),
    ]

    async def scenario() -> None:
        for store in stores:
            for _ in range(8):
                answer = await store.verify("odd", "x", "", "smtp")
                assert isinstance(answer, TryLater) and "NTLM" in answer.why
            assert isinstance(await ask(store), Accepted)
            store.close()

    asyncio.run(scenario())


def test_a_database_that_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "CONNECT_SECONDS", 0.2)
    base = sqlite3.connect(tmp_path / "base", isolation_level=None)
    base.execute("CREATE TABLE users (name, password)")
    base.execute("INSERT INTO users VALUES ('taro', 'himitsu')")
    select = "SELECT password FROM users WHERE name = '%u'"
    store = Sql("sqlite", (Server("", 0, "", "", str(tmp_path / "base")),), select, hostname="h")

    async def scenario() -> None:
        base.execute("BEGIN EXCLUSIVE")
        answer = await ask(store)
        assert isinstance(answer, TryLater) and "locked" in answer.why
        base.execute("COMMIT")
        assert isinstance(await ask(store), Accepted)
        store.close()

    asyncio.run(scenario())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    gone = tmp_path / "gone"
    broken = tmp_path / "broken"
    broken.write_bytes(b"not a name\n" + bytes(range(256)))
    stores: list[Verifier] = [
        Accounts(folder),
        Accounts(broken),
        PasswdFile(folder),
        PasswdFile(gone),
        Shadow(str(folder)),
        Shadow(str(gone)),
        Sasldb(str(gone), hostname="h"),
        Sasldb(str(broken), hostname="h"),
        Sql("sqlite", (Server("", 0, "", "", str(gone)),), "SELECT '%u'", hostname="h"),
        Sql("sqlite", (Server("", 0, "", "", str(broken)),), "SELECT x FROM users WHERE name = '%u'", hostname="h"),
    ]

    async def scenario() -> None:
        for store in stores:
            answer = await ask(store)
            assert isinstance(answer, TryLater), (store.name, answer)
            store.close()

    asyncio.run(scenario())


def test_dovecot_restarts_in_the_middle_of_a_login(tmp_path: Path) -> None:
    """Before the first answer it is asked again; after a challenge the exchange is lost: 454, and the next one works."""
    path = str(tmp_path / "auth")
    lives: list[str] = []

    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lives.append("x")
        writer.write(HELLO)
        while line := await reader.readline():
            words = line.split(b"\t")
            if words[0] == b"AUTH" and len(lives) == 1:
                return
            if words[0] == b"AUTH" and words[2] == b"LOGIN":
                writer.write(b"CONT\t%s\tVXNlcm5hbWU6\n" % words[1])
            elif words[0] == b"AUTH":
                writer.write(b"OK\t%s\tuser=taro\n" % words[1])
            elif words[0] == b"CONT":
                return

    settings = Settings.of(
        {
            "myhostname": "mail.example.com", "data_directory": str(tmp_path), "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": f"unix:{path}", "queue_directory": "/",
        }
    )  # fmt: skip
    seen: list[LoginRecord] = []

    async def scenario() -> None:
        server, _ = await started(dying, KINDS["dovecot"], path)
        auth = Authenticator(settings, smtpdconf.SmtpdConf(), on_login=seen.append)
        await auth.start()

        async def plain() -> object:
            return await auth.begin("PLAIN", b"\0taro\0himitsu", client_address="192.0.2.1", tls=True).step()

        assert await plain() == Success("taro") and len(lives) == 2
        login = auth.begin("LOGIN", None, client_address="192.0.2.1", tls=True)
        assert await login.step() == Challenge(b"Username:")
        answer = await login.step(b"taro")
        assert isinstance(answer, Failure) and answer.temporary
        assert await plain() == Success("taro") and len(lives) == 3
        auth.close()
        assert server is not None
        server.close()

    asyncio.run(scenario())
    assert [(record.ok, record.temporary) for record in seen] == [(True, False), (False, True), (True, False)]
