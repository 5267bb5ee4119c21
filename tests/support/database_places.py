"""The private servers of the database kinds, filled with what support.database_grammar asks for."""

from __future__ import annotations

import random
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from support import database_grammar, database_servers, odd_servers, small_grammar
from support.database_grammar import CACHED, LDIF, ROWS, Place
from support.ports import free_port
from support.table_grammar import Case


@contextmanager
def _pgsql() -> Iterator[Place]:
    with database_servers.shared_folder() as folder, database_servers.postgres(folder, ROWS) as place:
        yield place


@contextmanager
def _mysql() -> Iterator[Place]:
    with database_servers.shared_folder() as folder, database_servers.mariadb(folder, ROWS) as place:
        yield place


@contextmanager
def _sqlite() -> Iterator[Place]:
    with database_servers.shared_folder() as folder:
        database = sqlite3.connect(folder / "x.db")
        database.execute("CREATE TABLE a (k, v)")
        database.executemany("INSERT INTO a VALUES (?, ?)", ROWS)
        database.commit()
        database.close()
        yield {"path": f"{folder}/x.db"}


@contextmanager
def _ldap() -> Iterator[Place]:
    with database_servers.shared_folder() as folder, database_servers.slapd(folder, LDIF) as place:
        yield place


@contextmanager
def _memcache() -> Iterator[Place]:
    with database_servers.memcached() as where:
        host, port = where.removeprefix("inet:").split(":")
        with socket.create_connection((host, int(port)), 5) as link:
            for key, value in CACHED.items():
                link.sendall(f"set {key} 0 0 {len(value)}\r\n{value}\r\n".encode())
                assert link.recv(100) == b"STORED\r\n"
        yield {"memcache": where}


Start = Callable[[], AbstractContextManager[Place]]
PLACES: dict[str, tuple[Start, Callable[[random.Random, Place], Case]]] = {
    "pgsql": (_pgsql, database_grammar.pgsql),
    "mysql": (_mysql, database_grammar.mysql),
    "sqlite": (_sqlite, database_grammar.sqlite),
    "ldap": (_ldap, database_grammar.ldap),
    "memcache": (_memcache, database_grammar.memcache),
    "small": (lambda: nullcontext({}), lambda dice, _: small_grammar.small(dice)),
    "tcp": (odd_servers.running, small_grammar.tcp),
    "socketmap": (odd_servers.running, small_grammar.socketmap),
}


@contextmanager
def grammar(kind: str) -> Iterator[Callable[[random.Random], Case]]:
    """The generator of one kind, while its server runs."""
    start, make = PLACES[kind]
    with start() as place:
        known = {**place, "dead": str(free_port())}
        yield lambda dice: make(dice, known)
