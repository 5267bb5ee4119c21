"""Verifiers against real stores: sasldb2 by Cyrus's saslpasswd2, SQLite, PostgreSQL, MariaDB, OpenLDAP."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.sasl import servers
from interop.sasl.peers import PASSWORD
from support.peers import missing, require
from support.ports import free_port
from tayori.config import smtpdconf
from tayori.programs.commands import sasldblistusers2, saslpasswd2
from tayori.sasl import hashes, sasldb
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verifier
from tayori.sasl.verifiers.ldap import LdapBind, LdapStore
from tayori.sasl.verifiers.sasldb import Sasldb
from tayori.sasl.verifiers.sql import Sql

HOST = "mail.example.com"


def check(verifier: Verifier, user: str, password: str, realm: str = "") -> object:
    async def ask() -> object:
        try:
            return await verifier.verify(user, password, realm, "smtp")
        finally:
            verifier.close()

    return asyncio.run(ask())


def need_berkeleydb() -> None:
    try:
        import berkeleydb  # noqa: F401
    except ImportError:
        missing("the berkeleydb library is not installed (make setup EXTRAS=all)")


@pytest.mark.peer
def test_sasldb_made_by_cyrus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_berkeleydb()
    file = tmp_path / "sasldb2"
    program = require("saslpasswd2", "sasl2-bin")
    for user, realm in (("taro", HOST), ("jiro", "example.jp")):
        subprocess.run([program, "-p", "-c", "-f", str(file), "-u", realm, user], input=PASSWORD.encode(), check=True)
    assert sasldb.kind(file) == "berkeley"

    def made() -> Sasldb:
        return Sasldb(str(file), hostname=HOST)

    assert asyncio.run(made().probe()) == ""
    assert check(made(), "taro", PASSWORD) == Accepted("taro", made().name)
    assert check(made(), "taro", PASSWORD, HOST) == Accepted(f"taro@{HOST}", made().name)
    assert isinstance(check(made(), "taro", "bad"), Refused)
    other = check(made(), "jiro", PASSWORD)
    assert (
        isinstance(other, Refused)
        and "jiro exists in realm example.jp, the client asked for mail.example.com" in other.why
    )
    assert check(made(), "jiro", PASSWORD, "example.jp") == Accepted("jiro@example.jp", made().name)
    secret = asyncio.run(made().fetch("taro", "", ("cmusaslsecretSCRAM-SHA-256", "userPassword")))
    assert isinstance(secret, Secret) and secret.values == {"userPassword": PASSWORD.encode()}
    assert sasldblistusers2.main(["-f", str(file)]) == 0
    assert "jiro@example.jp: userPassword\n" in capsys.readouterr().out
    assert sasldblistusers2.main(["-f", str(tmp_path / "none")]) == sasldblistusers2.EX_DATAERR
    assert "none: there is no such file" in capsys.readouterr().err


@pytest.mark.peer
def test_sasldb_made_by_us_is_read_by_cyrus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_berkeleydb()
    import io

    file = tmp_path / "sasldb2"

    def run(*argv: str, typed: str = "") -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        return saslpasswd2.main([*argv, "-f", str(file)])

    assert run("-c", "-u", HOST, "taro", typed=f"{PASSWORD}\n") == 0
    assert run("-c", f"hana@{HOST}", typed="x\n") == 0
    assert run("-d", "-u", HOST, "hana") == 0
    assert run("-d", "-u", HOST, "hana") == 67
    assert run("-u", HOST, "nobody", typed="x\n") == 67
    assert file.stat().st_mode & 0o777 == 0o600
    said = subprocess.run([require("sasldblistusers2", "sasl2-bin"), "-f", str(file)], capture_output=True, text=True)
    assert said.stdout == f"taro@{HOST}: userPassword\n"
    assert sasldb.fetch(file, "taro", HOST, ("userPassword",)) == {"userPassword": PASSWORD.encode()}


def test_a_missing_or_broken_sasldb_is_said(tmp_path: Path) -> None:
    need_berkeleydb()
    file = tmp_path / "sasldb2"
    verifier = Sasldb(str(file), hostname=HOST)
    assert "no such file" in asyncio.run(verifier.probe())
    assert isinstance(check(verifier, "taro", PASSWORD), TryLater)
    file.write_bytes(b"x" * 4096)
    assert "neither Berkeley DB" in asyncio.run(Sasldb(str(file), hostname=HOST).probe())


ROWS = {
    "plain": PASSWORD,
    "crypt": "",  # filled in below
    "scram": hashes.make_scram(PASSWORD, "SHA-256", 4096),
    "o'brien": PASSWORD,
    "back\\slash": PASSWORD,
    "日本": PASSWORD,
}
HOSTILE = ("' OR '1'='1", "plain' -- ", "\\' OR 1=1 -- ", "x'; DROP TABLE users; -- ", "plain\\", "%u", "a\x00b")


def sha512_crypt() -> str:
    made = subprocess.run([require("openssl"), "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True)
    return made.stdout.strip()


def rows() -> dict[str, str]:
    return ROWS | {"crypt": sha512_crypt()}


def try_sql(text: str) -> None:
    conf = smtpdconf.parse(text, "smtpd.conf")

    async def scenario() -> None:
        verifier = Sql.from_conf(conf, HOST)
        assert await verifier.probe() == ""
        for user in rows():
            assert await verifier.verify(user, PASSWORD, "", "smtp") == Accepted(user, verifier.name), user
            assert isinstance(await verifier.verify(user, "bad", "", "smtp"), Refused), user
        for user in HOSTILE:
            assert isinstance(await verifier.verify(user, PASSWORD, "", "smtp"), Refused), user
            assert isinstance(await verifier.verify("plain", PASSWORD, user, "smtp"), Refused), user
        assert isinstance(await verifier.verify("plain", ROWS["scram"], "", "smtp"), Refused)
        key, plain = ("cmusaslsecretSCRAM-SHA-256", "userPassword")
        for user, name in (("scram", key), ("plain", plain)):
            found = await verifier.fetch(user, "", (key, plain))
            assert isinstance(found, Secret) and list(found.values) == [name]
        assert isinstance(await verifier.fetch("crypt", "", (key, plain)), Refused)
        verifier.close()

    asyncio.run(scenario())


SELECT = "sql_select: SELECT password FROM users WHERE name = '%u' AND realm = '%r'\n"


def test_sqlite(tmp_path: Path) -> None:
    file = tmp_path / "users.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE users (name TEXT, realm TEXT, password TEXT)")
        db.executemany("INSERT INTO users VALUES (?, ?, ?)", [(u, HOST, p) for u, p in rows().items()])
    try_sql(f"sql_engine: sqlite\nsql_database: {file}\n{SELECT}")


@pytest.fixture(scope="module")
def postgres() -> Iterator[tuple[Path, int]]:
    with servers.postgresql() as found:
        yield found


@pytest.mark.peer
def test_postgresql(postgres: tuple[Path, int]) -> None:
    import psycopg

    _folder, port = postgres
    with psycopg.connect(host="127.0.0.1", port=port, user="tayori", dbname="postgres", autocommit=True) as db:
        db.execute("CREATE TABLE users (name TEXT, realm TEXT, password TEXT)")
        for user, password in rows().items():
            db.execute("INSERT INTO users VALUES (%s, %s, %s)", (user, HOST, password))
    for host in (f"127.0.0.1:{free_port()}, 127.0.0.1:{port}",):
        try_sql(f"sql_engine: pgsql\nsql_hostnames: {host}\nsql_user: tayori\nsql_database: postgres\n{SELECT}")


@pytest.mark.peer
def test_mariadb() -> None:
    with servers.mariadb() as (db, port):
        with db.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO mail.users VALUES (%s, %s, %s)", [(u, HOST, p) for u, p in rows().items()]
            )
        account = f"sql_user: sasl\nsql_passwd: pw\nsql_database: mail\n{SELECT}"
        try_sql(f"sql_engine: mysql\nsql_hostnames: 127.0.0.1:{port}\n{account}")
        wrong = Sql.from_conf(
            smtpdconf.parse(
                f"sql_engine: mysql\nsql_hostnames: 127.0.0.1:{port}\n{account.replace(': pw', ': no')}", "s"
            ),
            HOST,
        )
        answer = check(wrong, "plain", PASSWORD)
        assert isinstance(answer, TryLater) and "denied" in answer.why


@pytest.fixture(scope="module")
def ldap() -> Iterator[str]:
    with servers.openldap() as url:
        yield url


@pytest.mark.peer
def test_ldap_bind(ldap: str) -> None:
    def made(text: str = "") -> LdapBind:
        base = f"ldap_servers: {ldap}\nldap_search_base: dc=example,dc=com\n"
        return LdapBind.from_conf(smtpdconf.parse(base + text, "s"))

    name = f"ldap:{ldap}"
    assert asyncio.run(made().probe()) == ""
    assert check(made(), "taro", PASSWORD) == Accepted("taro", name)
    assert check(
        made("ldap_bind_dn: cn=admin,dc=example,dc=com\nldap_bind_pw: adminpw"), "taro", PASSWORD
    ) == Accepted("taro", name)
    assert isinstance(
        check(made("ldap_bind_dn: cn=admin,dc=example,dc=com\nldap_bind_pw: no"), "taro", PASSWORD), TryLater
    )
    fast = made("ldap_auth_method: fastbind\nldap_filter: uid=%u,dc=example,dc=com")
    assert check(fast, "taro", PASSWORD) == Accepted("taro", name)
    for user, password in (
        ("taro", "bad"),
        ("taro", ""),
        ("*", PASSWORD),
        ("t*", PASSWORD),
        ("taro)(uid=*", PASSWORD),
        ("nobody", "x"),
    ):
        assert isinstance(check(made(), user, password), Refused), user
    gone = LdapBind(f"ldap://127.0.0.1:{free_port()}", "dc=x")
    assert isinstance(check(gone, "taro", PASSWORD), TryLater)


@pytest.mark.peer
def test_ldapdb(ldap: str) -> None:
    def made(text: str) -> LdapStore:
        return LdapStore.from_conf(smtpdconf.parse(f"ldapdb_uri: {ldap}\n{text}", "s"), HOST)

    simple = "ldapdb_binddn: cn=admin,dc=example,dc=com\nldapdb_pw: adminpw\nldapdb_base: dc=example,dc=com"
    for text in (simple, "ldapdb_id: proxy\nldapdb_pw: proxypw\nldapdb_mech: SCRAM-SHA-1"):
        assert check(made(text), "taro", PASSWORD) == Accepted("taro", f"ldapdb:{ldap}"), text
        assert isinstance(check(made(text), "taro", "bad"), Refused)
    found = asyncio.run(made(simple).fetch("taro", "", ("userPassword",)))
    assert isinstance(found, Secret) and found.values == {"userPassword": PASSWORD.encode()}
