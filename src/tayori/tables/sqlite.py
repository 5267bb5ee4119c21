"""sqlite: a query in an SQLite file, sqlite_table(5): dbpath, query, result_format, domain, expansion_limit."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import urllib.parse
from typing import Any

from tayori.tables.blocking import BlockingTable, BrokenTable, Lost, Wrong
from tayori.tables.dbconfig import DatabaseConfig, Unreadable
from tayori.tables.outcome import Table
from tayori.tables.spec import Spec
from tayori.tables.sql import query_template, values_of
from tayori.tables.template import Frame

BUSY_SECONDS = 5.0
LIMIT_SECONDS = 10.0


def quote(text: str) -> str:
    """SQL quoting of a string's inside."""
    return text.replace("'", "''")


def as_text(value: Any) -> bytes | None:
    """A value as sqlite3_column_text() gives it: floats have a point, and text ends at a null byte."""
    if isinstance(value, float):
        mantissa, e, exponent = f"{value + 0.0:.15g}".partition("e")
        if not math.isinf(value) and "." not in mantissa:
            mantissa += ".0"
        return f"{mantissa}{e}{exponent}".replace("inf", "Inf").encode()
    if value is None or isinstance(value, bytes):
        return None if value is None else value.partition(b"\0")[0]
    return str(value).encode()


class SqliteBackend:
    """Opens the file read-only, so that a look-up can never make or change it."""

    def __init__(self, config: DatabaseConfig) -> None:
        self.path = config.text("dbpath")
        if not self.path:
            raise config.bad("dbpath", "dbpath is missing", "write dbpath = /path/to/file")
        self._query = query_template(config)

    def connect(self, host: str) -> sqlite3.Connection:
        """Open the file."""
        try:
            opened = sqlite3.connect(
                f"file:{urllib.parse.quote(self.path)}?mode=ro", BUSY_SECONDS, uri=True, check_same_thread=False
            )
            opened.text_factory = bytes
            return opened
        except sqlite3.Error as error:
            raise Lost(f"{self.path}: {error}") from None

    def fetch(self, connection: sqlite3.Connection, key: str) -> list[str] | None:
        """Run the query."""
        sql = self._query.of_key(key, quote)
        if sql is None:
            return None
        try:
            # The first column only, as in Postfix; the other SQL types take all columns.
            return values_of([as_text(row[0])] for row in connection.execute(sql))
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise Wrong(f"{self.path}: {error}") from None

    def disconnect(self, connection: sqlite3.Connection) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def open_sqlite(spec: Spec) -> Table:
    """Open sqlite:/file.cf. Raises ConfigError."""
    try:
        config = DatabaseConfig(spec)
    except Unreadable as error:
        return BrokenTable(spec, str(error))
    backend = SqliteBackend(config)
    return BlockingTable(spec, Frame(config), backend, (backend.path,), LIMIT_SECONDS)
