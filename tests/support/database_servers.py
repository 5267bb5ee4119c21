"""Private PostgreSQL, MariaDB, slapd and memcached, for tests that compare with what a real Postfix reads there."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.peers import find, require
from support.ports import free_port

Rows = Sequence[tuple[str | None, ...]]
"""What table a (k, v) holds."""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder that other users can enter (pytest's own cannot be)."""
    path = Path(tempfile.mkdtemp(prefix="tayori-db-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def own_folder(folder: Path, name: str, user: str) -> Path:
    path = folder / name
    path.mkdir()
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def become(user: str) -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended"
        if ready():
            return
        time.sleep(0.1)
    raise AssertionError("the server did not start")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@contextmanager
def postgres(folder: Path, rows: Rows) -> Iterator[dict[str, str]]:
    psycopg = pytest.importorskip("psycopg")
    server = require("postgres", "postgresql")
    initdb = require("initdb", "postgresql")
    data = own_folder(folder, "pg", "postgres")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(
        [initdb, "-D", f"{data}/d", "-U", "tayori", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"],
        check=True,
        timeout=90,
        **quiet,
        **become("postgres"),
    )  # type: ignore[call-overload]
    port = free_port()
    command = [server, "-D", f"{data}/d", "-p", str(port), "-k", str(data), "-c", "fsync=off", "-h", "127.0.0.1"]
    process = subprocess.Popen(command, **quiet, **become("postgres"))  # type: ignore[call-overload]
    try:
        wait_for(lambda: listens(port), process)
        time.sleep(0.5)
        with psycopg.connect(
            host="127.0.0.1", port=port, user="tayori", dbname="postgres", autocommit=True
        ) as session:
            session.execute("CREATE TABLE a (k text, v text)")
            session.cursor().executemany("INSERT INTO a VALUES (%s, %s)", rows)
            session.execute(
                "CREATE FUNCTION f(text) RETURNS SETOF text LANGUAGE sql AS 'SELECT v FROM a WHERE k = $1'"
            )
        yield {"port": str(port), "socket": f"{data}/.s.PGSQL.{port}", "folder": str(data)}
    finally:
        stop(process)


@contextmanager
def mariadb(folder: Path, rows: Rows) -> Iterator[dict[str, str]]:
    pymysql = pytest.importorskip("pymysql")
    server = require("mariadbd", "mariadb-server")
    install = require("mariadb-install-db", "mariadb-server")
    data = own_folder(folder, "my", "mysql")
    user = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else "mysql"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(
        [
            install,
            "--no-defaults",
            f"--datadir={data}/d",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--user={user}",
        ],
        check=True,
        timeout=110,
        **quiet,
    )  # type: ignore[call-overload]
    port = free_port()
    command = [server, "--no-defaults", f"--datadir={data}/d", f"--socket={data}/s", f"--port={port}", "--bind-address=127.0.0.1", f"--user={user}", f"--pid-file={data}/pid", "--skip-name-resolve"]  # fmt: skip
    process = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
    try:
        wait_for(lambda: listens(port), process)
        with pymysql.connect(unix_socket=f"{data}/s", user="root", autocommit=True, charset="utf8mb4") as session:
            cursor = session.cursor()
            cursor.execute("CREATE DATABASE m CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            cursor.execute("CREATE TABLE m.a (k varchar(200), v varchar(200))")
            cursor.executemany("INSERT INTO m.a VALUES (%s, %s)", rows)
            cursor.execute("CREATE USER 'mail'@'%' IDENTIFIED BY 'secret-word'")
            cursor.execute("GRANT ALL ON m.* TO 'mail'@'%'")
            cursor.execute("CREATE PROCEDURE m.p(IN x VARCHAR(200)) SELECT v FROM m.a WHERE k = x")
        yield {"port": str(port), "socket": f"{data}/s"}
    finally:
        stop(process)


@contextmanager
def slapd(folder: Path, ldif: str) -> Iterator[dict[str, str]]:
    pytest.importorskip("bonsai")
    server = require("slapd")
    data = own_folder(folder, "ldap", "openldap" if find("slapd") else "root")
    (data / "d").mkdir()
    schemas = "".join(
        f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson", "dyngroup")
    )
    (data / "slapd.conf").write_text(
        f"{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {data}/pid\n"
        f"access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by anonymous auth\n"
        f'database mdb\nsuffix "dc=example,dc=com"\nrootdn "cn=root,dc=example,dc=com"\ndirectory {data}/d\nmaxsize 10485760\n'
    )
    (data / "x.ldif").write_text(ldif)
    subprocess.run(
        [require("slapadd", "slapd"), "-f", f"{data}/slapd.conf", "-l", f"{data}/x.ldif"],
        check=True,
        timeout=60,
        capture_output=True,
    )
    port = free_port()
    process = subprocess.Popen([server, "-h", f"ldap://127.0.0.1:{port}", "-f", f"{data}/slapd.conf", "-d", "0"])
    try:
        wait_for(lambda: listens(port), process)
        yield {"port": str(port)}
    finally:
        stop(process)


@contextmanager
def memcached() -> Iterator[str]:
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([require("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", *user])
    try:
        wait_for(lambda: listens(port), process)
        yield f"inet:127.0.0.1:{port}"
    finally:
        stop(process)
