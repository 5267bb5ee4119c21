"""What `check` finds by knocking at other servers: databases, LDAP, policy servers, milters; and table files that
the server's own user cannot read.

Each server is connected to and left again, nothing is asked and no password is sent. At most MOST servers, together
no longer than ALL_SECONDS.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tayori.config.lint import Finding, Message, Source
from tayori.config.lint.named import Named, named
from tayori.config.lint.vocabulary import FILE_TYPES
from tayori.config.origin import ConfigError
from tayori.net.unixpath import short
from tayori.programs.daemons.layout import Owner, mail_owner
from tayori.tables.dbconfig import DatabaseConfig, Unreadable
from tayori.tables.ldap import server_urls
from tayori.tables.registry import Tables
from tayori.tables.spec import Spec
from tayori.tables.streams import parse_endpoint

MOST, ONE_SECONDS, ALL_SECONDS = 32, 2.0, 15.0

TABLE_SERVER = Message(
    "warning",
    "table-server-unreachable",
    "the server of {table} does not answer at {server}: {why}",
    "Mail that needs this table (in {name}) is put off with 451 until it does.",
    "Start that server, or correct its address in the table's settings.",
)
POLICY_SERVER = Message(
    "warning",
    "policy-server-unreachable",
    "the policy server does not answer at {server}: {why}",
    "Mail that comes to this rule in {name} gets smtpd_policy_service_default_action: {action}.",
    "Start the policy server, or correct its address.",
)
MILTER = Message(
    "warning",
    "milter-unreachable",
    "the milter in {name} does not answer at {server}: {why}",
    "No milter is asked yet; once they are, such mail is treated as milter_default_action says: {action}.",
    "Start the milter, or correct its address.",
)
CLOSED = Message(
    "warning",
    "table-closed",
    "the user {user}, as whom the server works, may not read {path}",
    "The table in {name} is read once, while the server starts as root; later changes to it would not be seen.",
    "Let {user} read it and enter every folder above it, for example: chgrp {group} {path}; chmod g+r {path}",
)

Where = tuple[str, str]
"""(host, port), or ("", path of a socket)."""


def check(source: Source) -> Iterator[Finding]:
    """All of it; each server and each file once."""
    seen: set[tuple[str, str]] = set()
    until, knocked = time.monotonic() + ALL_SECONDS, 0
    owner = _owner(source)
    for one in named(source):
        if (one.kind, one.rest) in seen:
            continue
        seen.add((one.kind, one.rest))
        if one.kind in FILE_TYPES:
            if owner is not None:
                yield from closed(one, owner)
            continue
        for where in places(source, one):
            knocked += 1
            if knocked > MOST or time.monotonic() > until:
                return
            why = knock(where)
            if why:
                yield _finding(source, one, where, why)


def _finding(source: Source, one: Named, where: Where, why: str) -> Finding:
    server = f"{where[0]}:{where[1]}" if where[0] else where[1]
    if one.kind == "policy":
        action = source.settings.text("smtpd_policy_service_default_action")
        return POLICY_SERVER.at(one.origin, server=server, why=why, name=one.name, action=action)
    if one.kind == "milter":
        action = source.settings.text("milter_default_action")
        return MILTER.at(one.origin, server=server, why=why, name=one.name, action=action)
    return TABLE_SERVER.at(one.origin, table=f"{one.kind}:{one.rest}", server=server, why=why, name=one.name)


def places(source: Source, one: Named) -> list[Where]:
    """Where the server of this table, rule or milter is; nothing where its address is wrong (said elsewhere)."""
    try:
        if one.kind in ("policy", "milter"):
            return [_inside(source, parse_address(one.rest))]
        if one.kind == "tcp":
            return [parse_endpoint(one.rest)]
        if one.kind == "socketmap":
            return [parse_endpoint(one.rest.rpartition(":")[0])]
        if one.kind in ("mysql", "pgsql", "ldap", "memcache"):
            return _of_database(source, one)
    except (ConfigError, Unreadable, ValueError):
        return []
    return []


def parse_address(text: str) -> Where:
    """`inet:host:port`, `host:port`, `unix:path`, or a milter's `inet:port@host`, `local:path`. Raises ValueError."""
    kind, _, rest = text.partition(":")
    if kind in ("unix", "local"):
        return "", rest
    if kind in ("inet", "inet6") and "@" in rest:
        port, _, host = rest.partition("@")
        return host.strip("[]"), port
    return parse_endpoint(text.removeprefix("inet6:"))


def _inside(source: Source, where: Where) -> Where:
    """A relative socket path is one below the queue directory."""
    if where[0] or where[1].startswith("/"):
        return where
    return "", str(Path(source.settings.text("queue_directory")) / where[1])


def _of_database(source: Source, one: Named) -> list[Where]:
    tables = Tables(source.settings)
    spec = Spec(one.kind, one.rest, source.settings, tables.open, tables.cache_folder, tables, one.origin)
    config = DatabaseConfig(spec)
    if one.kind == "memcache":
        return [parse_endpoint(config.text("memcache", "inet:localhost:11211"))]
    if one.kind == "ldap":
        return [_of_url(url, {"ldap": "389", "ldaps": "636"}) for url in server_urls(config)]
    port = {"mysql": "3306", "pgsql": "5432"}[one.kind]
    socket_of = {"mysql": "", "pgsql": f"/.s.PGSQL.{port}"}[one.kind]
    found: list[Where] = []
    for host in config.items("hosts", ""):
        if "://" in host:
            found.append(_of_url(host, {"postgresql": port, "postgres": port}))
        elif host.startswith(("unix:", "/")):
            path = host.removeprefix("unix:")
            found.append(("", path + socket_of if socket_of and ".s.PGSQL." not in path else path))
        else:
            name, colon, number = host.removeprefix("inet:").rpartition(":")
            found.append((name.strip("[]"), number) if colon and number.isdigit() else (number.strip("[]"), port))
    return found


def _of_url(url: str, ports: dict[str, str]) -> Where:
    parts = urlsplit(url)
    if parts.scheme not in ports or not parts.hostname:
        raise ValueError(url)
    return parts.hostname, str(parts.port or ports[parts.scheme])


def knock(where: Where) -> str:
    """Empty when somebody listens there, else why not."""
    host, port = where
    try:
        if host:
            socket.create_connection((host, port), ONE_SECONDS).close()
            return ""
        with short(port) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probing:
            probing.settimeout(ONE_SECONDS)
            probing.connect(path)
    except (OSError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


# --- files -------------------------------------------------------------------------------------------------------


def _owner(source: Source) -> Owner | None:
    try:
        return mail_owner(source.settings)
    except ConfigError:
        return None


def closed(one: Named, owner: Owner) -> Iterator[Finding]:
    """As root: whether the file and every folder above it let mail_owner in."""
    if not one.rest.startswith("/"):
        return
    groups = set(os.getgrouplist(owner.name, owner.gid))
    path = Path(one.rest)
    for place in [*reversed(path.parents), path]:
        try:
            state = place.stat()
        except OSError:
            return  # a missing file has its own finding
        wanted = stat.S_IROTH if place == path else stat.S_IXOTH
        mine = 6 if state.st_uid == owner.uid else 3 if state.st_gid in groups else 0
        if not state.st_mode & (wanted << mine):
            group = _main_group(owner)
            yield CLOSED.at(one.origin, user=owner.name, path=one.rest, name=one.name, group=group)
            return


def _main_group(owner: Owner) -> str:
    import grp

    try:
        return grp.getgrgid(owner.gid).gr_name
    except KeyError:
        return str(owner.gid)
