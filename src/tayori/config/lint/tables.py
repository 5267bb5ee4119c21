"""Lookup tables and files that the configuration names: unknown types, missing and unreadable files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tayori.config.lint.finding import Edit, Finding, Message, Phrase
from tayori.config.lint.rules import argument_of, is_access_table, lists, rules
from tayori.config.lint.source import Source, meant_items, place
from tayori.config.lint.vocabulary import FILE_TYPES, LISTED_TYPES, TABLE, TABLE_TYPES, close_to, split_table
from tayori.config.origin import ConfigError, Origin
from tayori.config.params import Kind, Status, row_of
from tayori.config.settings import Settings, split_items

UNKNOWN = Message(
    "error",
    "unknown-table-type",
    'there is no table type "{kind}"{hint}',
    "The table {table} in {name} cannot be opened; mail that needs it would be put off with 451.",
    "{mend}",
)
UNSUPPORTED = Message(
    "warning",
    "unsupported-table-type",
    'tables of type "{kind}" cannot be used here',
    "The table {table} in {name} is treated as empty: {why}.",
    "Use another type for it.",
)
PLAIN = Message(
    "error",
    "table-without-type",
    '"{table}" in {name} has no table type',
    "A table is written as type:name, so that the server knows how to read it.",
    "Write for example hash:{table}",
)
ALIASES = Message(
    "warning",
    "missing-alias-file",
    "the alias file {path} in {name} cannot be read: {why}",
    "It counts as empty: mail for root, postmaster and other aliases goes to users of that name or comes back.",
    "Create the file with a line such as  postmaster: yourname  or take it out of {name}.",
)
SEPARATOR = Message(
    "error",
    "table-without-type",
    '"{table}" in {name} has no colon behind the table type',
    "A table is written as type:name; this one cannot be opened, and mail that needs it would be put off with 451.",
    'Write "{meant}".',
)
MISSING = Message(
    "error",
    "missing-table",
    "the table file {path} in {name} cannot be read: {why}",
    "Mail that needs this table would be put off with 451 until it can be read.",
    "Create the file, correct its path or its permissions, or remove it from {name}.",
)
FILE = Message(
    "error",
    "missing-file",
    "the file {path} of {name} cannot be read: {why}",
    "What {name} is for does not work without it.",
    "Correct the path or the file's permissions.",
)
FILES = frozenset(
    [
        "smtpd_tls_cert_file",
        "smtpd_tls_key_file",
        "smtpd_tls_CAfile",
        "smtp_tls_CAfile",
        "smtp_tls_cert_file",
        "smtp_tls_key_file",
        "tayori_passwd_file",
        "bounce_template_file",
    ]
)
CACHES = frozenset(("address_verify_map", "postscreen_cache_map"))
"""These are written by the server itself: there need be none yet."""
SERVER_TYPES = frozenset(("mysql", "pgsql", "ldap", "memcache"))
"""Their settings are in a file."""
SLIP = re.compile(rf"({'|'.join(sorted(TABLE_TYPES))})[;=,.](?=[/$])")
TABLE_LISTS = (Kind.TABLES, Kind.DOMAINS, Kind.NETWORKS)


def check(source: Source) -> Iterator[Finding]:
    """Every set parameter that names tables or files, then the tables inside restriction lists."""
    for assignment in source.settings.assignments:
        row = row_of(assignment.name)
        if source.settings.assignment(assignment.name) is not assignment or row is None:
            continue
        if row.name in CACHES:
            continue
        if row.kind in TABLE_LISTS and row.status is not Status.ACCEPTED:
            yield from parameter(source, source.settings, row.name, row.kind)
        elif row.name in FILES or row.name == "smtpd_tls_chain_files":
            yield from files(source, row.name)
    yield from in_rules(source)


def parameter(source: Source, settings: Settings, name: str, kind: Kind) -> Iterator[Finding]:
    """The tables of one parameter."""
    try:
        items = meant_items(settings, name)
    except ConfigError:
        return  # the value has its own finding
    for item in items:
        text = item.lstrip("!")
        origin = place(settings, name, item, source.main)
        if text.startswith("/") and kind is not Kind.TABLES:
            why = source.state(text)
            if why:
                yield MISSING.at(origin, path=text, name=name, why=why)
        elif text.startswith("/"):
            yield PLAIN.at(origin, table=text, name=name)
        elif kind is Kind.TABLES and SLIP.match(text):
            meant = SLIP.sub(r"\1:", text)
            line = source.line(origin)
            fix = Edit(origin.file, origin.line, (line.replace(text, meant, 1),)) if text in line else None
            yield SEPARATOR.at(origin, fix, table=text, name=name, meant=meant)
        elif kind is Kind.TABLES or split_table(text)[0] in TABLE_TYPES:
            yield from table(source, name, text, origin)


def table(source: Source, name: str, text: str, origin: Origin) -> Iterator[Finding]:
    """One `type:name`."""
    kind, rest = split_table(text)
    if not kind:
        return
    if kind not in TABLE_TYPES:
        near = close_to(kind, TABLE_TYPES, 0.6)
        hint = Phrase('; did you mean "{near}"?', near=near) if near else ""
        types = ", ".join(sorted(TABLE_TYPES))
        mend = (
            Phrase('Write "{name}".', name=f"{near}:{rest}") if near else Phrase("Use one of {types}.", types=types)
        )
        yield UNKNOWN.at(origin, kind=kind, hint=hint, table=text, name=name, mend=mend)
    elif TABLE_TYPES[kind]:
        yield UNSUPPORTED.at(origin, kind=kind, table=text, name=name, why=TABLE_TYPES[kind])
    elif kind in LISTED_TYPES:
        try:
            inner = split_items(rest.removeprefix("{").removesuffix("}"))
        except ConfigError:
            return
        for part in inner:
            yield from table(source, name, part, origin)
    elif kind in FILE_TYPES | SERVER_TYPES and rest.startswith("/"):
        why = source.state(rest)
        if why:
            message = ALIASES if name in ("alias_maps", "alias_database") else MISSING
            yield message.at(origin, path=rest, name=name, why=why)


def files(source: Source, name: str) -> Iterator[Finding]:
    """Certificates, keys and other single files."""
    try:
        items = meant_items(source.settings, name)
    except ConfigError:
        return  # the value has its own finding
    for path in items:
        why = source.state(path) if path.startswith("/") else ""
        if why:
            yield FILE.at(place(source.settings, name, path, source.main), path=path, name=name, why=why)


def in_rules(source: Source) -> Iterator[Finding]:
    """check_…_access type:name, and bare access tables."""
    for name, settings in lists(source):
        try:
            found = rules(settings, name, source.main)
        except ConfigError:
            continue  # the value has its own finding
        for rule in found:
            if argument_of(rule.word) == TABLE and rule.argument:
                yield from table(source, name, rule.argument, rule.origin)
            elif is_access_table(rule.word):
                yield from table(source, name, rule.word, rule.origin)
