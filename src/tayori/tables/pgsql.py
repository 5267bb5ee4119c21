"""pgsql: a query to PostgreSQL, pgsql_table(5), through psycopg (`pip install 'tayori[pgsql]'`).

hosts (host, host:port, inet:host:port, unix:/directory, a postgresql:// URI), user, password, dbname, query,
encoding, result_format, domain, expansion_limit, and the old select_function and select_field forms.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

from tayori.config.origin import ConfigError
from tayori.tables.blocking import BlockingTable, BrokenTable, Lost, Wrong
from tayori.tables.dbconfig import DatabaseConfig, Unreadable
from tayori.tables.outcome import Table
from tayori.tables.spec import Spec
from tayori.tables.sql import query_template, values_of
from tayori.tables.template import Frame

CONNECT_SECONDS = 5
QUERY_SECONDS = 10
LIMIT_SECONDS = 20.0
SOCKET_PREFIX = ".s.PGSQL."


def host_options(host: str) -> dict[str, str]:
    """Connection parameters of one entry of `hosts`; a URI has none of its own here."""
    text = host
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        folder, _, name = path.rpartition("/")
        if name.startswith(SOCKET_PREFIX):
            return {"host": folder, "port": name.removeprefix(SOCKET_PREFIX)}
        return {"host": path}
    text = text.removeprefix("inet:")
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        return {"host": address, **({"port": rest[1:]} if rest.startswith(":") else {})}
    name, colon, port = text.rpartition(":")
    return {"host": name, "port": port} if colon and port.isdigit() and ":" not in name else {"host": text}


class PgsqlBackend:
    """Blocking connections of psycopg."""

    def __init__(self, config: DatabaseConfig) -> None:
        try:
            self._library: Any = importlib.import_module("psycopg")
        except ImportError:
            raise ConfigError(
                "tables of type pgsql need psycopg", config.spec.origin, "pip install 'tayori[pgsql]'"
            ) from None
        self._query = query_template(config, functions=True)
        self._encoding = config.text("encoding", "UTF8")
        self._login = {
            name: config.text(setting)
            for name, setting in (("user", "user"), ("password", "password"), ("dbname", "dbname"))
            if config.text(setting)
        }

    def connect(self, host: str) -> Any:
        """Connect to one host."""
        uri = host if host.startswith(("postgresql://", "postgres://")) else ""
        options: dict[str, Any] = {} if uri else host_options(host)
        options.update(self._login if not uri else {})
        options.update(
            connect_timeout=CONNECT_SECONDS,
            client_encoding=self._encoding,
            options=f"-c statement_timeout={QUERY_SECONDS * 1000}",
            application_name="tayori",
            keepalives_idle=30,
            tcp_user_timeout=QUERY_SECONDS * 1000,
        )
        try:
            connection = self._library.connect(uri, autocommit=True, **options)
        except self._library.Error as error:
            shown = "a postgresql:// server" if uri else host
            raise Lost(f"{shown}: {_first_line(error)}") from None
        connection.prepare_threshold = None
        return connection

    def fetch(self, connection: Any, key: str) -> list[str] | None:
        """Run the query; the key is quoted by the library for this very connection."""
        escaping = self._library.pq.Escaping(connection.pgconn)
        try:
            sql = self._query.of_key(key, lambda text: bytes(escaping.escape_string(text.encode())).decode())
            if sql is None:
                return None
            with connection.cursor() as cursor:
                cursor.execute(sql.encode())
                while cursor.nextset():  # of several statements the last one counts, as with PQexec
                    pass
                return values_of(rows_of(cursor.pgresult))
        except self._library.Error as error:
            if connection.broken or connection.closed:
                raise Lost(_first_line(error)) from None
            raise Wrong(_first_line(error)) from None

    def disconnect(self, connection: Any) -> None:
        """Close it."""
        with contextlib.suppress(self._library.Error, OSError):
            connection.close()


def rows_of(result: Any) -> Iterator[list[bytes | None]]:
    """The server's own text of every value: `t` for a boolean, `{a,b}` for an array."""
    for row in range(result.ntuples):
        yield [result.get_value(row, column) for column in range(result.nfields)]


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def open_pgsql(spec: Spec) -> Table:
    """Open pgsql:/file.cf. Raises ConfigError."""
    try:
        config = DatabaseConfig(spec)
    except Unreadable as error:
        return BrokenTable(spec, str(error))
    default = f"unix:{os.environ.get('PGHOST', '/var/run/postgresql')}"
    hosts = config.items("hosts", default)
    return BlockingTable(spec, Frame(config), PgsqlBackend(config), hosts, LIMIT_SECONDS)
