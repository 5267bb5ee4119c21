"""Real PostgreSQL, MariaDB, slapd and memcached, private instances; answers compared with the real postmap(1)."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import database_servers
from support.peers import missing, require
from support.ports import free_port
from support.rest import at_rest
from tayori.config.settings import Settings
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, Table, TempFail
from tayori.tables.registry import Tables

pytestmark = pytest.mark.peer

ROWS = [("u@d.com", "r1@x.y"), ("u@d.com", "r2"), ("u@d.com", ""), ("u@d.com", None), ("o'b@d.com", "quote"), ("plain", "p"), ("back\\slash@d.com", "bs"), ("ü@d.com", "umlaut"), ("%s@d.com", "percent")]  # fmt: skip
KEYS = ["u@d.com", "U@D.COM", "o'b@d.com", "plain", "back\\slash@d.com", "ü@d.com", "%s@d.com", "none@d.com", "' OR 1=1 --", "\\' OR 1=1 -- "]  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with database_servers.shared_folder() as path:
        yield path


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[dict[str, str]]:
    with database_servers.postgres(folder, ROWS) as place:
        yield place


@pytest.fixture(scope="module")
def mariadb(folder: Path) -> Iterator[dict[str, str]]:
    with database_servers.mariadb(folder, ROWS) as place:
        yield place


LDIF = """dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: x
dc: example

dn: cn=reader,dc=example,dc=com
objectClass: person
cn: reader
sn: r
userPassword: secret-word

dn: uid=ann,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: A
mail: ann@example.com
mail: ann2@example.com

dn: uid=star,dc=example,dc=com
objectClass: inetOrgPerson
uid: a*b(c)
cn: Star
sn: S
mail: star@example.com

dn: cn=staff,dc=example,dc=com
objectClass: groupOfNames
cn: staff
description: posting@example.com
member: uid=ann,dc=example,dc=com
member: uid=star,dc=example,dc=com

dn: cn=url,dc=example,dc=com
objectClass: groupOfURLs
cn: url
memberURL: ldap:///dc=example,dc=com?mail?sub?(uid=ann)
"""


@pytest.fixture(scope="module")
def slapd(folder: Path) -> Iterator[dict[str, str]]:
    with database_servers.slapd(folder, LDIF) as place:
        yield place


@pytest.fixture
def memcached() -> Iterator[str]:
    with database_servers.memcached() as place:
        yield place


def open_table(tmp_path: Path, kind: str, text: str) -> Table:
    (tmp_path / "t.cf").write_text(text)
    return Tables(Settings.of({"data_directory": str(tmp_path)})).open(f"{kind}:{tmp_path}/t.cf")


def ask(table: Table, *keys: str) -> list[Outcome]:
    async def all_of_them() -> list[Outcome]:
        return [await table.lookup(key) for key in keys]

    return asyncio.run(all_of_them())


def real(tmp_path: Path, kind: str, keys: list[str]) -> dict[str, str]:
    """What the real postmap finds."""
    if not list(Path("/usr/lib/postfix").glob(f"**/postfix-{kind}.so")) and kind != "memcache":
        missing(f"postmap knows no {kind} (Debian package postfix-{kind})")
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file =\n")
    at_rest(tmp_path)
    command = [require("postmap", "postfix"), "-c", str(tmp_path), "-q", "-", f"{kind}:{tmp_path}/t.cf"]
    done = subprocess.run(
        command, input="".join(f"{key}\n" for key in keys), capture_output=True, text=True, timeout=60
    )
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


def same_as_real(tmp_path: Path, kind: str, table: Table, keys: list[str]) -> None:
    answers = ask(table, *keys)
    assert not [answer for answer in answers if isinstance(answer, TempFail)]
    ours = {key: answer.value for key, answer in zip(keys, answers, strict=True) if isinstance(answer, Found)}
    assert ours == real(tmp_path, kind, keys)
    table.close()


SQL = [
    "query = SELECT v FROM a WHERE k = '%s'",
    "query = SELECT k, v FROM a WHERE k = '%u@%d'",
    "query = SELECT v FROM a WHERE k = '%s'\nresult_format = smtp:[%s]:%U",
    "query = SELECT v FROM a WHERE k = '%s'\ndomain = d.com",
    "select_field = v\ntable = a\nwhere_field = k",
]


@pytest.mark.parametrize("form", [*SQL, "select_function = f"])
def test_pgsql_answers_as_postfix(tmp_path: Path, postgres: dict[str, str], form: str) -> None:
    text = f"hosts = inet:127.0.0.1:{postgres['port']}\nuser = tayori\npassword = x\ndbname = postgres\n{form}\n"
    keys = [key for key in KEYS if key.isascii()]  # before 3.8 the real one speaks latin1 to the server
    same_as_real(tmp_path, "pgsql", open_table(tmp_path, "pgsql", text), keys)


@pytest.mark.parametrize("form", [*SQL, "query = CALL p('%s')"])
def test_mysql_answers_as_postfix(tmp_path: Path, mariadb: dict[str, str], form: str) -> None:
    text = f"hosts = inet:127.0.0.1:{mariadb['port']}\nuser = mail\npassword = secret-word\ndbname = m\n{form}\n"
    keys = [key for key in KEYS if key.isascii()]  # the real one speaks latin1 to the server by default
    same_as_real(tmp_path, "mysql", open_table(tmp_path, "mysql", text), keys)


def test_sockets_uris_and_several_hosts(tmp_path: Path, postgres: dict[str, str], mariadb: dict[str, str]) -> None:
    query = "query = SELECT v FROM a WHERE k = '%s'\n"
    dead = f"127.0.0.1:{free_port()}"
    port = postgres["port"]
    for hosts in (
        f"unix:{postgres['socket']}",
        f"postgresql://tayori@127.0.0.1:{port}/postgres",
        f"{dead} 127.0.0.1:{port}",
    ):
        table = open_table(tmp_path, "pgsql", f"hosts = {hosts}\nuser = tayori\ndbname = postgres\n{query}")
        assert ask(table, "plain", "ü@d.com") == [Found("p"), Found("umlaut")], hosts
        table.close()
    for hosts in (f"unix:{mariadb['socket']}", f"{dead} 127.0.0.1:{mariadb['port']}"):
        table = open_table(
            tmp_path, "mysql", f"hosts = {hosts}\nuser = mail\npassword = secret-word\ndbname = m\n{query}"
        )
        assert ask(table, "plain", "ü@d.com") == [Found("p"), Found("umlaut")], hosts
        table.close()


@pytest.mark.parametrize("kind", ["pgsql", "mysql"])
def test_errors_and_limits_are_try_later(
    tmp_path: Path, postgres: dict[str, str], mariadb: dict[str, str], kind: str
) -> None:
    port, user, base = (postgres["port"], "tayori", "postgres") if kind == "pgsql" else (mariadb["port"], "mail", "m")
    head = f"hosts = 127.0.0.1:{port}\nuser = {user}\npassword = secret-word\ndbname = {base}\n"
    for form in (
        "query = SELECT nothing FROM nowhere",
        "query = SELECT v FROM a WHERE k = '%s'\nexpansion_limit = 1",
    ):
        table = open_table(tmp_path, kind, f"{head}{form}\n")
        (answer,) = ask(table, "u@d.com")
        assert isinstance(answer, TempFail) and "secret-word" not in answer.why
        table.close()
    table = open_table(
        tmp_path, kind, f"{head.replace('secret-word', 'bad-word').replace(user, 'nobody-such')}query = SELECT 1\n"
    )
    (answer,) = ask(table, "x")
    assert isinstance(answer, TempFail) and "bad-word" not in answer.why
    table.close()


def test_lookups_run_side_by_side_and_never_block_the_loop(tmp_path: Path, postgres: dict[str, str]) -> None:
    text = f"hosts = 127.0.0.1:{postgres['port']}\nuser = tayori\ndbname = postgres\nquery = SELECT pg_sleep(0.3), '%s'\n"
    table = open_table(tmp_path, "pgsql", text)

    async def four() -> tuple[float, int]:
        ticks = 0
        await table.lookup("warm")
        start = time.perf_counter()
        waiting = asyncio.gather(*(table.lookup(f"k{n}") for n in range(4)))
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return time.perf_counter() - start, ticks

    seconds, ticks = asyncio.run(four())
    table.close()
    assert seconds < 1.0 and ticks > 10


def test_a_dead_server_is_try_later_at_once_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymysql")
    table = open_table(tmp_path, "mysql", f"hosts = 127.0.0.1:{free_port()}\nuser = x\nquery = SELECT 1\n")
    assert isinstance(ask(table, "x")[0], TempFail)
    start = time.perf_counter()
    assert all(isinstance(answer, TempFail) for answer in ask(table, *["x"] * 200))
    assert time.perf_counter() - start < 1.0, "the breaker did not open"


def test_a_lost_connection_is_replaced_within_the_lookup(tmp_path: Path, postgres: dict[str, str]) -> None:
    psycopg = pytest.importorskip("psycopg")
    login = f"hosts = 127.0.0.1:{postgres['port']}\nuser = tayori\ndbname = postgres\n"
    table = open_table(tmp_path, "pgsql", f"{login}query = SELECT v FROM a WHERE k = '%s'\n")
    assert ask(table, "plain") == [Found("p")]
    with psycopg.connect(
        host="127.0.0.1", port=postgres["port"], user="tayori", dbname="postgres", autocommit=True
    ) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tayori'")
    assert ask(table, "plain") == [Found("p")]
    table.close()


LDAP = [
    ("result_attribute = mail\nquery_filter = (uid=%s)", ["ann", "ANN", "a*b(c)", "*", "nobody", "ann)(uid=*"]),
    ("result_attribute = mail\nquery_filter = (mail=%s)\ndomain = example.com", ["ann@example.com", "ann", "x@other.com"]),
    ("result_attribute =\nleaf_result_attribute = mail\nspecial_result_attribute = member\nquery_filter = (cn=%s)", ["staff", "ann"]),
    ("result_attribute = description\nleaf_result_attribute = mail\nspecial_result_attribute = member\nquery_filter = (cn=%s)", ["staff"]),
    ("result_attribute = mail\nspecial_result_attribute = memberURL\nquery_filter = (cn=%s)", ["url"]),
    ("terminal_result_attribute = description\nresult_attribute = mail\nspecial_result_attribute = member\nquery_filter = (cn=%s)", ["staff"]),
    ("result_attribute = mail\nquery_filter = (uid=%u)\nresult_format = %s|%S|%d", ["ann@example.com"]),
    ("result_attribute = mail, uid\nquery_filter = (uid=%s)", ["ann"]),
    ("result_attribute = description, MAIL\nspecial_result_attribute = member\nquery_filter = (cn=%s)", ["staff"]),
    ("result_attribute = mail\nscope = one\nquery_filter = (uid=%u)", ["ann"]),
]  # fmt: skip


@pytest.mark.parametrize(("form", "keys"), LDAP)
def test_ldap_answers_as_postfix(tmp_path: Path, slapd: dict[str, str], form: str, keys: list[str]) -> None:
    head = f"server_host = ldap://127.0.0.1:{slapd['port']}\nsearch_base = dc=example,dc=com\nversion = 3\n"
    login = "bind = yes\nbind_dn = cn=reader,dc=example,dc=com\nbind_pw = secret-word\n"
    same_as_real(tmp_path, "ldap", open_table(tmp_path, "ldap", f"{head}{login}{form}\n"), keys)


def test_ldap_failures_are_try_later(tmp_path: Path, slapd: dict[str, str]) -> None:
    base = "search_base = dc=example,dc=com\nresult_attribute = mail\nquery_filter = (uid=%s)\n"
    login = "bind_dn = cn=reader,dc=example,dc=com\nbind_pw = wrong-word\n"
    for server in (f"ldap://127.0.0.1:{slapd['port']}", f"ldap://127.0.0.1:{free_port()}"):
        table = open_table(tmp_path, "ldap", f"server_host = {server}\n{base}{login}")
        (answer,) = ask(table, "ann")
        assert isinstance(answer, TempFail) and "wrong-word" not in answer.why
        table.close()


def put(endpoint: str, key: str, value: str) -> None:
    host, port = endpoint.removeprefix("inet:").split(":")
    with socket.create_connection((host, int(port)), 5) as link:
        link.sendall(f"set {key} 0 0 {len(value)}\r\n{value}\r\n".encode())
        assert link.recv(100) == b"STORED\r\n"


def test_memcache_answers_as_postfix(tmp_path: Path, memcached: str) -> None:
    put(memcached, "p:ann@d.com", "one two")
    put(memcached, "p:plain", "x")
    table = open_table(tmp_path, "memcache", f"memcache = {memcached}\nkey_format = p:%s\n")
    same_as_real(tmp_path, "memcache", table, ["ann@d.com", "ANN@D.com", "plain", "none"])


def test_memcache_backup_fills_it_and_stands_in(tmp_path: Path, memcached: str) -> None:
    backed = f"memcache = {memcached}\nbackup = inline:{{a=1}}\n"
    assert ask(open_table(tmp_path, "memcache", backed), "a", "b", "with blank") == [Found("1"), NOT_FOUND, NOT_FOUND]
    assert ask(open_table(tmp_path, "memcache", f"memcache = {memcached}\n"), "a") == [Found("1")]
    dead = f"inet:127.0.0.1:{free_port()}"
    assert ask(open_table(tmp_path, "memcache", backed.replace(memcached, dead)), "a", "b") == [Found("1"), NOT_FOUND]
    assert isinstance(ask(open_table(tmp_path, "memcache", f"memcache = {dead}\n"), "a")[0], TempFail)


def test_mysql_without_backslash_escapes(tmp_path: Path, mariadb: dict[str, str]) -> None:
    pymysql = pytest.importorskip("pymysql")
    with pymysql.connect(unix_socket=mariadb["socket"], user="root", autocommit=True) as session:
        session.cursor().execute("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES'")
    try:
        text = f"hosts = unix:{mariadb['socket']}\nuser = mail\npassword = secret-word\ndbname = m\n{SQL[0]}\n"
        table = open_table(tmp_path, "mysql", text)
        assert ask(table, "back\\slash@d.com", "o'b@d.com", "' OR 1=1 -- ") == [
            Found("bs"),
            Found("quote"),
            NOT_FOUND,
        ]
        table.close()
    finally:
        with pymysql.connect(unix_socket=mariadb["socket"], user="root", autocommit=True) as session:
            session.cursor().execute("SET GLOBAL sql_mode = ''")
