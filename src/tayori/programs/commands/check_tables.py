"""What `tayori check` says about the contents of table files: lines that cannot be used, actions that there are not,
transports that master.cf does not have, keys that nothing is ever looked up by.

Only files that are read as text are looked at, up to MOST bytes each; nothing is built or changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from tayori.config.lint.finding import Finding, Message, Phrase
from tayori.config.lint.rules import argument_of, classes, is_access_table, lists, rules
from tayori.config.lint.source import Source, meant_items
from tayori.config.lint.vocabulary import (
    OLD_RESTRICTIONS,
    OLD_WITH_ARGUMENT,
    RESTRICTIONS,
    TABLE,
    close_to,
    split_table,
)
from tayori.config.origin import ConfigError, Origin
from tayori.config.params import Kind, Status, row_of
from tayori.config.phrase import Told
from tayori.policy.actions import MESSAGE, SIMPLE
from tayori.rewrite.checks import ACTIONS
from tayori.tables.cidr import parse_rule as cidr_rule
from tayori.tables.formats import FORMATS
from tayori.tables.lines import Entry, Problem
from tayori.tables.patterns import parse_rule as pattern_rule
from tayori.tables.registry import Tables, indexed
from tayori.tables.rules import Block, RuleLine, nest, rule_lines

MOST = 4_000_000
SHOWN = 20
"""Findings for one table; the rest of a file that is all wrong says nothing new."""
RULES = ("cidr", "regexp", "pcre")
LINE = Message(
    "warning",
    "table-line",
    "this line cannot be used: {why}",
    "It counts as if it were not there; the rest of the table is used. The table stands in {name}.",
    "Correct the line, or take it out.",
)
ACTION = Message(
    "error",
    "access-action",
    'there is no action "{word}"{hint}',
    "Whoever this line of the table in {name} fits is put off with 451 Server configuration error.",
    "{mend}",
)
CHECK = Message(
    "warning",
    "header-action",
    'there is no action "{word}"{hint}',
    "Mail that this line of the table in {name} fits passes as if the line were not there.",
    "{mend}",
)
INCOMPLETE = Message(
    "warning",
    "header-action",
    "{word} needs {what} behind it",
    "Mail that this line of the table in {name} fits passes as if the line were not there.",
    "Add it, or take the line out.",
)
TRANSPORT = Message(
    "warning",
    "table-transport",
    'master.cf has no service "{word}"{hint}',
    "Mail that this line of the table in {name} sends there waits in the queue until it is too old.",
    "{mend}",
)
AT_KEY = Message(
    "warning",
    "access-key",
    'nothing is ever looked up by "{key}"',
    "Access tables are asked for user@domain, for the domain alone and for user@, so this line of the table in "
    "{name} fits nobody.",
    "Write {meant} for all of the domain.",
)
COLON_KEY = Message(
    "warning",
    "key-with-colon",
    'the key "{key}" ends in a colon',
    "Only aliases(5) has a colon behind the name; the table in {name} is asked for the key without it, and the line "
    "fits nothing.",
    "Write {meant} and a blank.",
)
CHECKS = frozenset(
    [
        *("header_checks", "mime_header_checks", "nested_header_checks", "body_checks"),
        *("smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks", "smtp_body_checks"),
        *("lmtp_header_checks", "lmtp_mime_header_checks", "lmtp_nested_header_checks", "lmtp_body_checks"),
    ]
)
TRANSPORTS = frozenset(
    [
        *("transport_maps", "sender_dependent_default_transport_maps", "address_verify_transport_maps"),
        *("mailbox_transport_maps", "fallback_transport_maps"),
    ]
)
KEYS_BY_ADDRESS = frozenset(
    [
        *("virtual_alias_maps", "virtual_mailbox_maps", "canonical_maps", "sender_canonical_maps"),
        *("recipient_canonical_maps", "relocated_maps", "transport_maps", "smtp_generic_maps", "sender_bcc_maps"),
        *("recipient_bcc_maps", "smtpd_sender_login_maps", "relay_recipient_maps"),
    ]
)
BUILT_IN = frozenset(("smtp", "relay", "lmtp", "local", "virtual", "error", "retry", "discard"))
"""Transports that stand for themselves where master.cf does not name them."""
WANTS = {
    "FILTER": (":", Phrase("transport:destination")),
    "REDIRECT": ("@", Phrase("an address")),
    "BCC": ("@", Phrase("an address")),
    "REPLACE": ("", Phrase("a text")),
    "PREPEND": ("", Phrase("a text")),
}


@dataclass(frozen=True, slots=True)
class Named:
    """A table file: its type and path, the parameter that names it, and what it is for."""

    kind: str
    path: str
    name: str
    role: str
    form: str = "map"


def check(source: Source) -> Iterator[Finding]:
    """Every table file once for each use."""
    for table in dict.fromkeys(_named(source)):
        for number, found in enumerate(_table(source, table)):
            if number >= SHOWN:
                break
            yield found


def _named(source: Source) -> Iterator[Named]:
    for assignment in source.settings.assignments:
        row = row_of(assignment.name)
        if row is None or row.kind not in (Kind.TABLES, Kind.DOMAINS, Kind.NETWORKS) or row.status is Status.ACCEPTED:
            continue
        name = row.name
        role = "check" if name in CHECKS else "transport" if name in TRANSPORTS else ""
        form = "aliases" if name in ("alias_maps", "alias_database") else "map"
        try:
            items = meant_items(source.settings, name)
        except ConfigError:
            continue  # the value has its own finding
        for item in items:
            yield from _file(item.lstrip("!"), name, role, form)
    for name, settings in lists(source):
        try:
            found = rules(settings, name, source.main)
        except ConfigError:
            continue
        for rule in found:
            if argument_of(rule.word) == TABLE:
                yield from _file(rule.argument, name, "access")
            elif is_access_table(rule.word):
                yield from _file(rule.word, name, "access")


def _file(text: str, name: str, role: str, form: str = "map") -> Iterator[Named]:
    kind, path = split_table(text)
    if path.startswith("/") and (kind in RULES or indexed(kind)):
        yield Named(kind, path, name, role, form)


def _table(source: Source, table: Named) -> Iterator[Finding]:
    try:
        with open(table.path, "rb") as file:
            raw = file.read(MOST + 1)
    except OSError:
        return  # a missing file has its own finding
    if len(raw) > MOST:
        return
    entries: list[Entry] = []
    problems: list[Problem] = []
    if table.kind in RULES:
        problems += _rule_problems(source, table)
        entries += _rule_entries(table.kind, raw)
    else:
        for item in FORMATS[table.form](raw.splitlines(keepends=True)):
            if isinstance(item, Problem):
                problems.append(item)
            else:
                entries.append(item)
    found = [LINE.at(Origin(table.path, one.line), why=Told(one.why), name=table.name) for one in problems]
    found += [finding for entry in entries for finding in _entry(source, table, entry)]
    yield from sorted(found, key=lambda finding: finding.origin.line)


def _rule_problems(source: Source, table: Named) -> Iterator[Problem]:
    log = logging.getLogger("tayori.tables")
    before, log.disabled = log.disabled, True  # what the server would warn of is told here, with the line
    tables = Tables(source.settings)
    try:
        yield from getattr(tables.open(f"{table.kind}:{table.path}"), "problems", ())
    except ConfigError:
        return  # what it needs is not installed: that is said elsewhere
    finally:
        log.disabled = before
        tables.close()


def _rule_entries(kind: str, raw: bytes) -> Iterator[Entry]:
    """The rules that can be read; a key with a pattern in it is empty."""

    def each(tree: tuple[RuleLine | Block, ...]) -> Iterator[RuleLine]:
        for item in tree:
            if isinstance(item, Block):
                yield from each(item.body)
            else:
                yield item

    for rule in each(nest(rule_lines(raw)[0])[0]):
        try:
            value = cidr_rule(rule)[2] if kind == "cidr" else pattern_rule(rule.text)[3]
        except ValueError:
            continue  # among the problems
        if value:
            yield Entry("", value, rule.line)


def _entry(source: Source, table: Named, entry: Entry) -> Iterator[Finding]:
    place = Origin(table.path, entry.line)
    if table.role == "access":
        if entry.key.startswith("@"):
            yield AT_KEY.at(place, key=entry.key, name=table.name, meant=entry.key[1:])
        yield from _action(source, table, place, entry.value)
    elif table.role == "check":
        yield from _check(table, place, entry.value)
    elif table.role == "transport":
        yield from _transport(source, table, place, entry.value)
    addressed = table.role == "access" or table.name in KEYS_BY_ADDRESS
    if addressed and len(entry.key) > 1 and entry.key.endswith(":") and entry.key.count(":") == 1:
        yield COLON_KEY.at(place, key=entry.key, name=table.name, meant=entry.key[:-1])


def _said(word: str, near: str) -> tuple[object, object]:
    """What may have been meant, and the mend."""
    if near:
        return Phrase('; did you mean "{near}"?', near=near), Phrase('Write "{name}".', name=near)
    return "", Phrase("Correct the word, or take the line out.")


def _action(source: Source, table: Named, place: Origin, value: str) -> Iterator[Finding]:
    word = value.replace(",", " ").split()[0]
    upper = word.upper()
    if upper in SIMPLE or upper in MESSAGE or word.isdigit() or "$" in word or split_table(word)[0]:
        return
    try:
        known = {*RESTRICTIONS, *OLD_RESTRICTIONS, *OLD_WITH_ARGUMENT, *classes(source.settings)}
    except ConfigError:
        return
    if word.lower() in known or word in known:
        return
    hint, mend = _said(word, close_to(upper, (*SIMPLE, *MESSAGE), 0.7) or close_to(word.lower(), known))
    yield ACTION.at(place, word=word, hint=hint, name=table.name, mend=mend)


def _check(table: Named, place: Origin, value: str) -> Iterator[Finding]:
    word, _, text = value.partition(" ")
    upper = word.upper()
    if "$" in word:
        return
    if upper not in ACTIONS:
        hint, mend = _said(word, close_to(upper, ACTIONS, 0.7))
        yield CHECK.at(place, word=word, hint=hint, name=table.name, mend=mend)
    elif upper in WANTS and not (text.strip() and WANTS[upper][0] in text):
        yield INCOMPLETE.at(place, word=upper, what=WANTS[upper][1], name=table.name)


def _transport(source: Source, table: Named, place: Origin, value: str) -> Iterator[Finding]:
    word = value.partition(":")[0].strip()
    if not word or "$" in word or not source.services:
        return
    names = BUILT_IN | {service.name for service in source.services}
    if word not in names and word != "DUNNO":
        hint, mend = _said(word, close_to(word, sorted(names), 0.7))
        yield TRANSPORT.at(place, word=word, hint=hint, name=table.name, mend=mend)
