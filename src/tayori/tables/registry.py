"""The table types by name, and the one place that opens tables.

`Tables(settings).open("hash:/etc/aliases")` gives a Table, the same one for the same words. Opening raises
ConfigError for a type that does not exist, a specification that is not `type:name`, and a library that is not
installed; a file that is missing or a server that is down does not raise: look-ups answer TempFail until it is
there (an alias file that is missing counts as empty, with a warning).
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import tempfile
import time
from collections.abc import Callable

from tayori.config.origin import ConfigError, Origin
from tayori.config.phrase import Phrase
from tayori.config.settings import Settings
from tayori.tables.cidr import CidrTable
from tayori.tables.combined import PipeTable, RandomTable, UnionTable
from tayori.tables.environ import EnvironTable
from tayori.tables.fail import FailTable
from tayori.tables.inline import InlineTable
from tayori.tables.outcome import Table
from tayori.tables.pcre import open_pcre
from tayori.tables.regexp import open_regexp
from tayori.tables.socketmap import SocketmapTable
from tayori.tables.spec import Clock, Spec
from tayori.tables.static import StaticTable
from tayori.tables.tcp import TcpTable
from tayori.tables.text import TextTable
from tayori.tables.unix import UnixTable


def proxy(spec: Spec) -> Table:
    """proxy:type:name: in Postfix a way round chroot and connection limits; here the table itself is opened."""
    return spec.open(spec.rest)


Opener = Callable[[Spec], Table]


def from_module(name: str, opener: str) -> Opener:
    """An opener whose module is imported at first use: most machines need few of the database types."""

    def open_it(spec: Spec) -> Table:
        found: Opener = getattr(importlib.import_module(f"tayori.tables.{name}"), opener)
        return found(spec)

    return open_it


TYPES: dict[str, Opener] = {
    "btree": TextTable,
    "cdb": TextTable,
    "cidr": CidrTable,
    "dbm": TextTable,
    "environ": EnvironTable,
    "fail": FailTable,
    "hash": TextTable,
    "inline": InlineTable,
    "ldap": from_module("ldap", "open_ldap"),
    "lmdb": TextTable,
    "memcache": from_module("memcache", "open_memcache"),
    "mysql": from_module("mysql", "open_mysql"),
    "pcre": open_pcre,
    "pgsql": from_module("pgsql", "open_pgsql"),
    "pipemap": PipeTable,
    "proxy": proxy,
    "randmap": RandomTable,
    "regexp": open_regexp,
    "sdbm": TextTable,
    "socketmap": SocketmapTable,
    "sqlite": from_module("sqlite", "open_sqlite"),
    "static": StaticTable,
    "tcp": TcpTable,
    "texthash": TextTable,
    "unionmap": UnionTable,
    "unix": UnixTable,
}

# Types of Postfix that tayori leaves out, and what stands in for them.
LEFT_OUT: dict[str, str] = {
    "debug": Phrase("it only logs look-ups; name the table behind it alone"),
    "internal": Phrase("it has no content of its own; write inline:{ key=value }"),
    "mongodb": Phrase("no library for it is built in; use pgsql, mysql or a socketmap server"),
    "netinfo": Phrase("NetInfo is no longer made; export it to a text file and write hash:/file"),
    "nis": Phrase("export the map (ypcat -k) to a text file and write hash:/file"),
    "nisplus": Phrase("export the map to a text file and write hash:/file"),
}


def indexed(kind: str) -> bool:
    """Whether tables of this type have a text source that postmap(1) would index."""
    return TYPES.get(kind) is TextTable


def partial_keys(table: Table) -> bool:
    """Whether look-ups of parts (a parent domain, `user@`, a network) make sense; not for patterns and servers
    that get the whole key only (regexp, pcre, cidr, tcp, socketmap; DATABASE_README, regexp_table(5))."""
    return bool(getattr(table, "partial", True))


class Tables:
    """All tables of one process, opened once each. `fold` False keeps the case of keys (postmap -f)."""

    def __init__(self, settings: Settings, clock: Clock = time.monotonic, fold: bool = True) -> None:
        self.settings = settings
        self.clock = clock
        self._fold = fold
        self._open: dict[tuple[str, str], Table] = {}
        self._folder = ""
        self._own_folder: tempfile.TemporaryDirectory[str] | None = None

    def open(self, spec: str, origin: Origin | None = None, form: str = "map", on_missing: str = "") -> Table:
        """Open `type:name`. `form` "aliases" reads indexed sources as aliases(5) and, unless `on_missing` says
        otherwise ("tempfail" or "empty"), takes a missing file for an empty table. Raises ConfigError."""
        known = self._open.get((spec, form))
        if known is not None:
            return known
        kind, colon, rest = spec.partition(":")
        if not colon or not rest:
            wanted = f"{kind}:{_named(kind)}" if colon and kind in TYPES else f"hash:{spec.strip(':')}"
            raise ConfigError(f'"{spec}" is not type:name', origin, f"write for example {wanted}")
        opener = TYPES.get(kind)
        if opener is None:
            raise ConfigError(f'there is no table type "{kind}" (in {spec})', origin, _mend(kind))
        table = opener(
            Spec(
                kind=kind,
                rest=rest,
                settings=self.settings,
                open=lambda inner: self.open(inner, origin, form, on_missing),
                cache=self.cache_folder,
                registry=self,
                origin=origin,
                form=form,
                on_missing=on_missing or ("empty" if form == "aliases" else "tempfail"),
                fold=self._fold,
                clock=self.clock,
            )
        )
        self._open[spec, form] = table
        return table

    def cache_folder(self) -> str:
        """Where index files of large tables live: `$data_directory/tables` when it can be written, else a
        folder of this process that goes with it."""
        if not self._folder:
            wanted = index_folder(self.settings)
            if os.access(wanted, os.W_OK | os.X_OK):
                self._folder = wanted
            else:
                self._own_folder = tempfile.TemporaryDirectory(prefix="tayori-tables-")
                self._folder = self._own_folder.name
        return self._folder

    def close(self) -> None:
        """Close every table."""
        for table in self._open.values():
            table.close()
        self._open.clear()
        if self._own_folder is not None:
            self._own_folder.cleanup()
            self._own_folder = None
        self._folder = ""


def index_folder(settings: Settings, owner: tuple[int, int] | None = None) -> str:
    """`$data_directory/tables`, made where it can be; root gives it to `owner` (uid, gid), who builds there later."""
    wanted = os.path.join(settings.text("data_directory"), "tables")
    with contextlib.suppress(OSError):
        os.mkdir(wanted, 0o755)
    if owner is not None:
        with contextlib.suppress(OSError):
            os.chown(wanted, *owner, follow_symlinks=False)
    return wanted


def _named(kind: str) -> str:
    return "/path/to/file" if indexed(kind) or kind in ("cidr", "regexp", "pcre", "sqlite") else "name"


def _mend(kind: str) -> str:
    if kind in LEFT_OUT:
        return LEFT_OUT[kind]
    near = difflib.get_close_matches(kind.lower(), TYPES, n=1)
    return f'did you mean "{near[0]}"?' if near else f"the types are {', '.join(sorted(TYPES))}"
