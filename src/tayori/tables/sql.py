"""What pgsql, mysql and sqlite tables share: the query, also in its old forms, and the values of a result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tayori.config.origin import ConfigError
from tayori.tables.blocking import Wrong
from tayori.tables.dbconfig import DatabaseConfig
from tayori.tables.template import Template

MAX_ROWS = 10_000


def query_template(config: DatabaseConfig, functions: bool = False) -> Template:
    """`query`, or select_function (pgsql), or select_field, table, where_field and additional_conditions.

    Raises ConfigError.
    """
    text = config.text("query")
    if not text and functions and config.text("select_function"):
        text = f"SELECT {config.text('select_function')}('%s')"
    if not text:
        field, table, where = (config.text(name) for name in ("select_field", "table", "where_field"))
        if not (field and table and where):
            raise config.bad("query", "there is no query", "write query = SELECT … WHERE … = '%s'")
        # The administrator's own words; the key itself is quoted when it is put in.
        text = f"SELECT {field} FROM {table} WHERE {where} = '%s'"  # noqa: S608
        text = f"{text} {config.text('additional_conditions')}".rstrip()
    try:
        return Template(text)
    except ValueError as error:
        raise ConfigError(f"{config.spec.name}: query: {error}", config.origin("query"), "") from None


def text_of(value: bytes | bytearray) -> str:
    """Raises Wrong: an address with other characters in the place of what nobody can read is another address."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Wrong("the value found is not valid UTF-8") from None


def values_of(rows: Iterable[Iterable[Any]]) -> list[str]:
    """Every column of every row as text; NULL is skipped. Raises Wrong for too many rows and what is no UTF-8."""
    found: list[str] = []
    for number, row in enumerate(rows):
        if number >= MAX_ROWS:
            raise Wrong(f"the query gives more than {MAX_ROWS} rows")
        for value in row:
            if value is not None:
                found.append(text_of(value) if isinstance(value, bytes | bytearray) else str(value))
    return found
