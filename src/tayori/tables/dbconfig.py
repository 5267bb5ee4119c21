"""Settings of one database table: a file in main.cf form (`pgsql:/etc/postfix/x.cf`), or parameters in main.cf that
begin with the table's name (`pgsql:name` and name_hosts, name_query …), as ldap_table(5), mysql_table(5),
pgsql_table(5), sqlite_table(5) and memcache_table(5) describe both.

Values of a file are taken as they stand, without $name expansion, as Postfix does; those in main.cf are expanded.
"""

from __future__ import annotations

import difflib
import logging
from pathlib import Path

from tayori.config import maincf
from tayori.config.maincf import Assignment
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import split_items
from tayori.tables.dbsettings import DATABASES
from tayori.tables.spec import Spec

log = logging.getLogger("tayori.tables")


class Unreadable(Exception):
    """The table's file cannot be read now: look-ups answer TempFail."""


class DatabaseConfig:
    """`text`, `items`, `number` and `flag` by name, with a default; errors carry file and line."""

    def __init__(self, spec: Spec) -> None:
        """Raises Unreadable, and ConfigError for a file that is wrong."""
        self.spec = spec
        self._set: dict[str, Assignment] = {}
        self._prefix = ""
        if spec.rest.startswith(("/", ".")):
            try:
                Path(spec.rest).stat()
                with open(spec.rest, "rb"):
                    pass
            except OSError as error:
                raise Unreadable(f"{spec.rest}: {error.strerror}") from None
            self._set = {item.name: item for item in maincf.read(Path(spec.rest))}
            self._unknown(DATABASES.get(spec.kind, frozenset()))
        else:
            self._prefix = f"{spec.rest}_"
            found = any(item.name.startswith(self._prefix) for item in spec.settings.assignments)
            if not found and spec.kind != "memcache":  # which can do with its defaults
                raise spec.bad(
                    f'main.cf has no setting that begins with "{self._prefix}"',
                    f"write {spec.kind}:/path/to/file for a file of settings",
                )

    def _unknown(self, names: frozenset[str]) -> None:
        for name, item in self._set.items():
            if names and name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f'; did you mean "{near[0]}"?' if near else ""
                log.warning('%s: "%s" is no setting of a table of type %s%s', item.origin, name, self.spec.kind, hint)

    def text(self, name: str, default: str = "") -> str:
        """The value, or the default when it is not set."""
        if self._prefix:
            full = self._prefix + name
            return self.spec.settings.text(full) if self.spec.settings.is_set(full) else default
        found = self._set.get(name)
        return found.value if found else default

    def is_set(self, name: str) -> bool:
        """Whether it is written somewhere."""
        return self.spec.settings.is_set(self._prefix + name) if self._prefix else name in self._set

    def origin(self, name: str) -> Origin | None:
        """The line of the setting, else the table's own."""
        if self._prefix:
            return self.spec.settings.origin(self._prefix + name) or self.spec.origin
        found = self._set.get(name)
        return found.origin if found else Origin(self.spec.rest)

    def items(self, name: str, default: str = "") -> tuple[str, ...]:
        """A list."""
        return split_items(self.text(name, default))

    def number(self, name: str, default: int, least: int = 0) -> int:
        """A whole number; a time may end in s. Raises ConfigError."""
        value = self.text(name, str(default)).removesuffix("s").strip()
        if not value.isdigit() or int(value) < least:
            raise self.bad(name, f"{name} = {value}: this must be a whole number, at least {least}")
        return int(value)

    def limit(self, name: str, default: int = 0) -> int:
        """A number above which something is too much; 0 or less for no limit. Raises ConfigError."""
        value = self.text(name, str(default)).strip()
        if not value.removeprefix("-").isdigit():
            raise self.bad(name, f"{name} = {value}: this must be a whole number")
        return max(int(value), 0)

    def flag(self, name: str, default: bool) -> bool:
        """yes or no. Raises ConfigError."""
        value = self.text(name, "yes" if default else "no").lower()
        if value not in ("yes", "no"):
            raise self.bad(name, f"{name} = {value}: write yes or no")
        return value == "yes"

    def bad(self, name: str, why: str, mend: str = "") -> ConfigError:
        """The error for one setting; the value of a password is never in it."""
        return ConfigError(f"{self.spec.name}: {why}", self.origin(name), mend)
