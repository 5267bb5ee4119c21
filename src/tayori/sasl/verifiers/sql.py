"""sql: accounts in PostgreSQL, MariaDB/MySQL or SQLite, as Cyrus's auxprop plug-in `sql` reads them.

Keys of smtpd.conf: sql_engine (pgsql, mysql, sqlite), sql_hostnames (host or host:port, several: tried in order; a
path is a socket), sql_user, sql_passwd, sql_database, sql_usessl, sql_select. In sql_select %u is the user, %r the
realm, %p the property (userPassword), %v nothing for a SELECT, %% a percent sign. Each must stand inside a quoted
string and is escaped by the database's own rules. The column may hold a plain password, `{SCHEME}value`, crypt(3)'s
`$id$…`, or SCRAM keys.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from tayori.config.origin import ConfigError
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl import hashes
from tayori.sasl.decoy import Likeness
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble

CONNECT_SECONDS = 5
ANSWER_SECONDS = 8
_MARK = re.compile("%([urpv%])")


@dataclass(frozen=True, slots=True)
class Server:
    """Where and as whom; `host` beginning with "/" is a socket."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """An open database: ask a statement for its first row's first column; escape a text for a quoted string."""

    ask: Callable[[str], str | bytes | None]
    escape: Callable[[str], str]
    close: Callable[[], None]


def _pgsql(server: Server) -> Connection:
    try:
        import psycopg
    except ImportError as error:
        raise Trouble("needs the psycopg library: pip install 'tayori[pgsql]'") from error
    try:
        connection = psycopg.connect(
            host=server.host or None,
            port=server.port or None,
            user=server.user or None,
            password=server.password or None,
            dbname=server.database or None,
            sslmode="require" if server.tls else "prefer",
            connect_timeout=CONNECT_SECONDS,
            options=f"-c statement_timeout={ANSWER_SECONDS * 1000} -c standard_conforming_strings=on",
            autocommit=True,
        )
    except psycopg.Error as error:
        raise Trouble(_words(error)) from error
    escaping = psycopg.pq.Escaping(connection.pgconn)
    encoding = connection.info.encoding

    def ask(statement: str) -> str | bytes | None:
        try:
            row = connection.execute(statement.encode(encoding, "surrogateescape")).fetchone()
        except (psycopg.Error, UnicodeError) as error:
            raise Trouble(_words(error)) from error
        return row[0] if row else None

    def escape(text: str) -> str:
        return bytes(escaping.escape_string(text.encode(encoding))).decode(encoding)

    return Connection(ask, escape, connection.close)


def _mysql(server: Server) -> Connection:
    try:
        import pymysql
    except ImportError as error:
        raise Trouble("needs the PyMySQL library: pip install 'tayori[mysql]'") from error
    local = server.host.startswith("/")
    try:
        connection = pymysql.connect(
            host=None if local else server.host or "localhost",
            unix_socket=server.host if local else None,
            port=server.port or 3306,
            user=server.user or None,
            password=server.password,
            database=server.database or None,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            write_timeout=ANSWER_SECONDS,
            charset="utf8mb4",
            autocommit=True,
            ssl={} if server.tls else None,
        )
    except (pymysql.MySQLError, OSError) as error:
        raise Trouble(_words(error)) from error

    def ask(statement: str) -> str | bytes | None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                row = cursor.fetchone()
        except (pymysql.MySQLError, UnicodeError) as error:
            raise Trouble(_words(error)) from error
        return row[0] if row else None

    return Connection(ask, lambda text: str(connection.escape(text))[1:-1], connection.close)


def _sqlite(server: Server) -> Connection:
    try:
        connection = sqlite3.connect(
            f"file:{server.database}?mode=ro", uri=True, timeout=CONNECT_SECONDS, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise Trouble(_words(error)) from error

    def ask(statement: str) -> str | bytes | None:
        try:
            row = connection.execute(statement).fetchone()
        except (sqlite3.Error, UnicodeError) as error:
            raise Trouble(_words(error)) from error
        return row[0] if row else None

    return Connection(ask, lambda text: text.replace("'", "''"), connection.close)


ENGINES: dict[str, Callable[[Server], Connection]] = {"pgsql": _pgsql, "mysql": _mysql, "sqlite": _sqlite}


def _words(error: Exception) -> str:
    """The first line of a driver's words, which name host and user but no password."""
    text = str(error.args[-1]) if error.args else type(error).__name__
    return text.strip().splitlines()[0][:200] if text.strip() else type(error).__name__


LIBRARIES = {
    "pgsql": ("psycopg", "psycopg.pq", "zoneinfo", "encodings.idna"),
    "mysql": ("pymysql", "encodings.idna"),
    "sqlite": ("sqlite3",),
}


class Sql:
    """Verifier. `libraries` are what its engine imports."""

    secrets = True

    def __init__(
        self, engine: str, servers: tuple[Server, ...], select: str, *, hostname: str, connections: int = 4
    ) -> None:
        self._open = ENGINES[engine]
        self.libraries = LIBRARIES[engine]
        self._servers = servers
        self._select = select
        self._by_property = "%p" in select.replace("%%", "")
        self._hostname = hostname
        self.name = f"sql:{engine}:{servers[0].host or servers[0].database}"
        limit = (CONNECT_SECONDS + ANSWER_SECONDS) * len(servers)
        self._guard = Guard(self.name, at_once=connections, seconds=float(limit))
        self._idle: list[Connection] = []
        self._closed = False
        self._likeness = Likeness("PLAIN")

    @classmethod
    def from_conf(cls, conf: SmtpdConf, hostname: str) -> Sql:
        """Raises ConfigError naming the line."""
        engine = conf.get("sql_engine", "mysql").lower()
        engine = {"sqlite3": "sqlite", "postgresql": "pgsql"}.get(engine, engine)
        if engine not in ENGINES:
            raise ConfigError(
                f"sql_engine: {engine} is not known", conf.origin("sql_engine"), "write pgsql, mysql or sqlite"
            )
        select = conf.get("sql_select")
        if not select:
            origin = conf.origin("auxprop_plugin") or conf.origin("pwcheck_method")
            raise ConfigError("sql needs sql_select", origin, "add sql_select: SELECT … WHERE name = '%u' …")
        complaint = complain(select)
        if complaint:
            raise ConfigError(f"sql_select: {complaint}", conf.origin("sql_select"), "write '%u' with quotes")
        tls = conf.get("sql_usessl", "no").lower() in ("1", "yes", "true", "on", "t")
        common = (conf.get("sql_user"), conf.get("sql_passwd"), conf.get("sql_database"), tls)
        servers = tuple(Server(host, port, *common) for host, port in _hosts(conf.get("sql_hostnames")))
        return cls(engine, servers, select, hostname=hostname)

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Fetch and compare, in a thread."""

        def ask() -> Verdict:
            stored = self._fetch(username, realm, "userPassword")
            try:
                fits = self._likeness.matches(stored, password)
            except hashes.UnknownScheme as error:
                return TryLater(str(error), self.name)  # one user's entry, no trouble with the database
            if stored is None:
                return Refused(self._nobody(username, realm), self.name)
            if not fits:
                return Refused("wrong password", self.name)
            return Accepted(f"{username}@{realm}" if realm else username, self.name)

        return await self._guard.run_in_thread(ask)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """Each wanted property by %p; without %p the one column, for what it turns out to be."""

        def ask() -> Secret | Refused:
            values: dict[str, bytes] = {}
            found = False
            for name in wanted if self._by_property else ("userPassword",):
                stored = self._fetch(username, realm, name)
                if stored is None:
                    continue
                found = True
                kind, value = hashes.property_of(stored)
                if kind in wanted:
                    values[kind] = value.encode("utf-8", "surrogateescape")
            if values:
                return Secret(values, self.name)
            if not found:
                return Refused(self._nobody(username, realm), self.name)
            return Refused("the password is stored in a form that this mechanism cannot use", self.name)

        return await self._guard.run_in_thread(ask)

    async def probe(self) -> str:
        """Empty when a connection can be had."""

        def look() -> str:
            self._give(self._take())
            return ""

        answer = await self._guard.run_in_thread(look)
        return answer.why if isinstance(answer, TryLater) else answer

    def close(self) -> None:
        """Close idle connections."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        self._guard.close()

    def _nobody(self, username: str, realm: str) -> str:
        return f"no row for {username} in realm {realm or self._hostname}"

    def _fetch(self, user: str, realm: str, name: str) -> str | None:
        if "\0" in user + realm:
            return None
        had_idle = bool(self._idle)
        try:
            stored = self._ask(user, realm, name)
        except Trouble:
            if not had_idle:
                raise
            while self._idle:  # kept open while the server was restarted
                self._drop(self._idle.pop())
            stored = self._ask(user, realm, name)
        if stored is None:
            return None
        return stored.decode("utf-8", "surrogateescape") if isinstance(stored, bytes) else str(stored)

    def _ask(self, user: str, realm: str, name: str) -> str | bytes | None:
        connection = self._take()
        try:
            values = {"u": user, "r": realm or self._hostname, "p": name, "v": ""}
            try:
                values = {mark: connection.escape(text) for mark, text in values.items()}
            except UnicodeError:
                return None
            answer = connection.ask(_MARK.sub(lambda m: values.get(m[1], "%"), self._select))
        except BaseException:
            self._drop(connection)
            raise
        self._give(connection)
        return answer

    def _take(self) -> Connection:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        for at, server in enumerate(self._servers):
            try:
                return self._open(server)
            except Trouble:
                if at + 1 == len(self._servers):
                    raise
        raise Trouble("no server")

    def _give(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    @staticmethod
    def _drop(connection: Connection) -> None:
        import contextlib

        with contextlib.suppress(Exception):  # a driver may raise anything for a broken connection
            connection.close()


def complain(select: str) -> str:
    """Why a sql_select is not safe; empty when it is. Each mark must stand inside '…' (or "…")."""
    quote = ""
    at = 0
    while at < len(select):
        c = select[at]
        if c == "%":
            if not quote and select[at + 1 : at + 2] in ("u", "r", "p"):
                return f"{select[at : at + 2]} stands outside quotes, where no escaping is safe"
            at += 1
        elif quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            if c == "'" and select[at - 1 : at].lower() == "e" and not select[at - 2 : at - 1].isalnum():
                return "E'…' strings cannot be escaped safely"
            quote = c
        elif c == "$" and re.match(r"\$\w*\$", select[at:]):
            return "$…$ strings cannot be escaped safely"
        at += 1
    return "a quote is not closed" if quote else ""


def _hosts(text: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for word in text.replace(",", " ").split():
        host, colon, port = word.rpartition(":")
        if colon and port.isdigit() and (":" not in host or host.startswith("[")):
            found.append((host.strip("[]"), int(port)))
        else:
            found.append((word, 0))
    return found or [("", 0)]
