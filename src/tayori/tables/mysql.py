"""mysql: a query to MySQL or MariaDB, mysql_table(5), through PyMySQL (`pip install 'tayori[mysql]'`).

hosts (host, host:port, inet:host:port, unix:/socket), user, password, dbname, query, result_format, domain,
expansion_limit, charset, option_file, option_group, require_result_set, tls_CAfile, tls_CApath, tls_cert_file,
tls_key_file, tls_verify_cert. `localhost` means the default socket where there is one, with a port, too, as in
MySQL's own clients.
"""

from __future__ import annotations

import contextlib
import importlib
import os
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
SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")  # noqa: S108
DEFAULT_PORT = 3306
NO_BACKSLASH_ESCAPES = 0x200  # SERVER_STATUS_NO_BACKSLASH_ESCAPES of the protocol
# Errors of the server that a further try on this connection cannot mend: gone away, lost, shutdown in progress.
LOST_CODES = {1053, 1152, 1184, 2006, 2013, 2055}


def host_options(host: str) -> dict[str, Any]:
    """PyMySQL's parameters for one entry of `hosts`."""
    if host.startswith("unix:"):
        return {"unix_socket": host.removeprefix("unix:")}
    text = host.removeprefix("inet:")
    if text.partition(":")[0] == "localhost" and (found := next(filter(os.path.exists, SOCKETS), "")):
        return {"unix_socket": found}
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        return {"host": name, "port": int(rest[1:]) if rest[1:].isdigit() else DEFAULT_PORT}
    name, colon, port = text.rpartition(":")
    if colon and port.isdigit():
        return {"host": name, "port": int(port)}
    return {"host": text, "port": DEFAULT_PORT}


class MysqlBackend:
    """Blocking connections of PyMySQL."""

    def __init__(self, config: DatabaseConfig) -> None:
        try:
            self._library: Any = importlib.import_module("pymysql")
        except ImportError:
            raise ConfigError(
                "tables of type mysql need PyMySQL", config.spec.origin, "pip install 'tayori[mysql]'"
            ) from None
        self._escape: Any = importlib.import_module("pymysql.converters").escape_string
        self._query = query_template(config)
        self._needs_result = config.flag("require_result_set", True)
        # Without converters every value is the text that the server sends.
        self._options: dict[str, Any] = {"charset": config.text("charset", "utf8mb4"), "conv": {}}
        for name, setting in (("user", "user"), ("password", "password"), ("database", "dbname")):
            if config.text(setting):
                self._options[name] = config.text(setting)
        if config.text("option_file"):
            self._options["read_default_file"] = config.text("option_file")
            self._options["read_default_group"] = config.text("option_group", "client")
        self._tls(config)

    def _tls(self, config: DatabaseConfig) -> None:
        for name, setting in (("ssl_ca", "tls_CAfile"), ("ssl_cert", "tls_cert_file"), ("ssl_key", "tls_key_file")):
            if config.text(setting):
                self._options[name] = config.text(setting)
        if config.text("tls_CApath") and not config.text("tls_CAfile"):
            self._options["ssl"] = {"capath": config.text("tls_CApath")}
        if config.flag("tls_verify_cert", False):
            self._options["ssl_verify_cert"] = self._options["ssl_verify_identity"] = True

    def connect(self, host: str) -> Any:
        """Connect to one host."""
        try:
            return self._library.connect(
                **self._options,
                **host_options(host),
                connect_timeout=CONNECT_SECONDS,
                read_timeout=QUERY_SECONDS,
                write_timeout=QUERY_SECONDS,
                autocommit=True,
            )
        except (self._library.MySQLError, OSError, RuntimeError) as error:
            raise Lost(f"{host}: {_text(error)}") from None

    def fetch(self, connection: Any, key: str) -> list[str] | None:
        """Run the query; a stored procedure may give one result set."""
        sql = self._query.of_key(key, lambda text: self._quote(connection, text))
        if sql is None:
            return None
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                if cursor.description is None:
                    if self._needs_result:
                        raise Wrong("the query gives no result set (see require_result_set)")
                    return []
                values = values_of(cursor.fetchall())
                while cursor.nextset():
                    if cursor.description is not None:
                        raise Wrong("the query gives more than one result set")
                return values
        except self._library.MySQLError as error:
            code = error.args[0] if error.args else 0
            if code in LOST_CODES or not connection.open or isinstance(error, self._library.err.InterfaceError):
                raise Lost(_text(error)) from None
            raise Wrong(_text(error)) from None
        except OSError as error:
            raise Lost(_text(error)) from None

    def _quote(self, connection: Any, text: str) -> str:
        """The inside of a string by the session's rules: sql_mode may make the backslash an ordinary character."""
        if connection.server_status & NO_BACKSLASH_ESCAPES:
            return text.replace("'", "''")
        quoted: str = self._escape(text)
        return quoted

    def disconnect(self, connection: Any) -> None:
        """Close it."""
        with contextlib.suppress(self._library.MySQLError, OSError):
            connection.close()


def _text(error: Exception) -> str:
    return str(error.args[-1] if error.args else type(error).__name__).splitlines()[0]


def open_mysql(spec: Spec) -> Table:
    """Open mysql:/file.cf. Raises ConfigError."""
    try:
        config = DatabaseConfig(spec)
    except Unreadable as error:
        return BrokenTable(spec, str(error))
    hosts = config.items("hosts", "localhost")
    return BlockingTable(spec, Frame(config), MysqlBackend(config), hosts, LIMIT_SECONDS)
