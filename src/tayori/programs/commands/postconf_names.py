"""Which parameter names postconf(1) knows, and its warnings: unused, undefined, unknown.

Built-in names are the rows; the first field of a delivery service in master.cf makes names with it; and names of the
user's own are those that something refers to: `$name`, `smtpd_restriction_classes`, the settings of a database table
whose name is a prefix (`ldap:name` and name_server_host …).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from tayori.config import maincf
from tayori.config.expand import expand
from tayori.config.lint.names import nearest
from tayori.config.lint.source import references
from tayori.config.masterentry import Entry
from tayori.config.origin import ConfigError
from tayori.config.params import PARAMETERS, TEMPLATE, TEMPLATES
from tayori.tables.dbsettings import DATABASES

# postconf(1) -C service: which delivery programs make names with their service's name.
AGENTS = ("local", "virtual", "smtp", "lmtp", "pipe", "error")
WITH_TIME_LIMIT = ("pipe", "spawn")
_TABLE = re.compile(rf"(?:^|(?<=[\s,{{:]))({'|'.join(DATABASES)}):([^\s,{{}}]+)")
# Rows that stand for the name of any service, and are no names themselves.
_PATTERNS = frozenset(TEMPLATE + suffix for suffix in TEMPLATES) - {"transport_maps", "transport_retry_time"}


def builtin() -> Iterator[str]:
    """Every built-in name."""
    return (name for name in PARAMETERS if name not in _PATTERNS)


def of_services(entries: Iterable[Entry]) -> list[str]:
    """The per-transport parameters of the delivery services in master.cf."""
    found: dict[str, None] = {}
    for entry in entries:
        for suffix in TEMPLATES:
            limited = suffix == "_time_limit"
            if entry.command in (WITH_TIME_LIMIT if limited else AGENTS):
                found[entry.name + suffix] = None
    return list(found)


class Names:
    """The names of one configuration. `values` are main.cf's, unexpanded, -o included."""

    def __init__(self, values: Mapping[str, str], entries: Iterable[Entry]) -> None:
        self.values = values
        self.entries = tuple(entries)
        self._settings = [(entry, entry.settings()) for entry in self.entries]

    @cached_property
    def services(self) -> frozenset[str]:
        """Names made with a service's name."""
        return frozenset(of_services(self.entries))

    def is_builtin(self, name: str) -> bool:
        """A row, a name made with a service's, or Postfix's own by another name."""
        return name in self.services or (name in PARAMETERS and name not in _PATTERNS)

    @cached_property
    def referred(self) -> frozenset[str]:
        """What any value of main.cf or -o setting of master.cf refers to."""
        found = _own(self.values)
        for _, settings in self._settings:
            found |= _own(settings) - settings.keys()
        return frozenset(found)

    @cached_property
    def databases(self) -> frozenset[str]:
        """The settings of tables in main.cf, whose names begin with the table's."""
        return frozenset(
            f"{name}_{setting}"
            for kind, name in self._tables()
            if not name.startswith(("/", "."))
            for setting in DATABASES[kind]
        )

    def is_user(self, name: str) -> bool:
        """A name of the user's own that something uses."""
        return name in self.values and (name in self.referred or name in self.databases)

    def is_known(self, name: str) -> bool:
        """Any of the three."""
        return self.is_builtin(name) or self.is_user(name)

    def _tables(self) -> Iterator[tuple[str, str]]:
        for name, value in self.values.items():
            if self.is_builtin(name) or name in self.referred:
                yield from _TABLE.findall(value)
        for _, settings in self._settings:
            for value in settings.values():
                yield from _TABLE.findall(value)

    def undefined(self, main: str, master: str) -> Iterator[str]:
        """`$name`, or a restriction class, where there is no such parameter."""
        for setting in self.values.items():
            for name in _named(*setting):
                if name not in self.values and name not in self.of_services and not self.is_builtin(name):
                    yield f"{main}: undefined parameter: {name}"
        for _, settings in self._settings:
            for setting in settings.items():
                for name in _named(*setting):
                    if name not in self.values and name not in settings and not self.is_builtin(name):
                        yield f"{master}: undefined parameter: {name}"

    def malformed(self, main: str, master: str) -> Iterator[str]:
        """Values with a `$` that is no reference."""
        places = [(main, self.values), *((master, settings) for _, settings in self._settings)]
        for place, values in places:
            for name, value in values.items():
                if error := _error(value):
                    yield f"{place}: malformed value of {name}: {error.message}; {error.mend}"

    def unused_main(self, main: str, lines: Mapping[str, int]) -> Iterator[str]:
        """Settings of main.cf that have no effect, with the name that was likely meant."""
        for name, value in self.values.items():
            if not self.is_known(name):
                meant = nearest(name)
                line = f"line {lines[name]}; " if name in lines else ""
                hint = f' ({line}did you mean "{meant}"?)' if meant else ""
                yield f"{main}: unused parameter: {name}={value}{hint}"

    def unused_master(self, master: str) -> Iterator[str]:
        """-o settings of master.cf that have no effect."""
        for _, settings in self._settings:
            own = _own(settings)
            for name, value in settings.items():
                if not self.is_builtin(name) and name not in own and name not in self.of_main:
                    yield f"{master}: unused parameter: {name}={value}"

    @cached_property
    def of_services(self) -> frozenset[str]:
        """What any -o sets."""
        return frozenset(name for _, settings in self._settings for name in settings)

    @cached_property
    def of_main(self) -> frozenset[str]:
        """What values of main.cf refer to."""
        return frozenset(_own(self.values))

    def unused_tables(self) -> Iterator[str]:
        """Table files that cannot be read, and settings in them that there are not."""
        for kind, name in dict.fromkeys(self._tables()):
            if not name.startswith(("/", ".")):
                continue
            try:
                with open(name, "rb") as file:
                    text = file.read(maincf.MAX_FILE_BYTES).decode("utf-8", "surrogateescape")
            except OSError as error:
                yield f'open "{kind}" configuration "{name}": {error.strerror}'
                continue
            try:
                assignments = maincf.parse(text, name)
            except ConfigError as error:
                yield str(error)
                continue
            for item in assignments:
                if item.name not in DATABASES[kind]:
                    yield f"{kind}:{name}: unused parameter: {item.name}={item.value}"


def _error(value: str) -> ConfigError | None:
    try:
        expand(value, lambda _: "0")
    except ConfigError as error:
        return error
    return None


def _named(name: str, value: str) -> Iterator[str]:
    """What a value refers to, and where it is a list of restriction classes, those."""
    if not _error(value):
        yield from references(value.replace("$$", ""))
    if name == "smtpd_restriction_classes":
        yield from (word for word in value.replace(",", " ").split() if "$" not in word)


def _own(settings: Mapping[str, str]) -> set[str]:
    return {name for setting in settings.items() for name in _named(*setting)}
