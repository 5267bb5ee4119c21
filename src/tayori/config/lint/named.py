"""Every lookup table, policy server and milter that a configuration names, with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tayori.config.lint.rules import argument_of, is_access_table, lists, rules
from tayori.config.lint.source import Source, meant_items, place
from tayori.config.lint.vocabulary import LISTED_TYPES, TABLE, TABLE_TYPES, split_table
from tayori.config.origin import ConfigError, Origin
from tayori.config.params import Kind, row_of
from tayori.config.settings import split_items

TABLE_KINDS = (Kind.TABLES, Kind.DOMAINS, Kind.NETWORKS)


@dataclass(frozen=True, slots=True)
class Named:
    """`kind:rest` in the parameter `name`; for a policy server `kind` is "policy", for a milter "milter"."""

    kind: str
    rest: str
    name: str
    origin: Origin


def named(source: Source) -> Iterator[Named]:
    """All of them, in the order of the files; the same table may come twice."""
    settings = source.settings
    for assignment in settings.assignments:
        row = row_of(assignment.name)
        if row is None or settings.assignment(assignment.name) is not assignment:
            continue
        milters = row.name in ("smtpd_milters", "non_smtpd_milters")
        if not milters and row.kind not in TABLE_KINDS:
            continue
        try:
            items = meant_items(settings, row.name)
        except ConfigError:
            continue  # the value has its own finding
        for item in items:
            origin = place(settings, row.name, item, source.main)
            if milters:
                yield Named("milter", _first(item), row.name, origin)
            else:
                yield from _tables(item.lstrip("!"), row.name, origin)
    yield from _in_rules(source)


def _in_rules(source: Source) -> Iterator[Named]:
    for name, settings in lists(source):
        try:
            found = rules(settings, name, source.main)
        except ConfigError:
            continue  # the value has its own finding
        for rule in found:
            if rule.word == "check_policy_service" and rule.argument:
                server = _first(rule.argument)
                yield Named("policy", server, name, place(settings, name, server, source.main))
            elif argument_of(rule.word) == TABLE:
                yield from _tables(rule.argument, name, rule.origin)
            elif is_access_table(rule.word):
                yield from _tables(rule.word, name, rule.origin)


def _first(text: str) -> str:
    """The server of `{ server, option=value … }` or of a plain word."""
    words = split_items(text[1:-1]) if text.startswith("{") and text.endswith("}") else (text,)
    return words[0] if words else ""


def _tables(text: str, name: str, origin: Origin) -> Iterator[Named]:
    kind, rest = split_table(text)
    if kind == "proxy":
        yield from _tables(rest, name, origin)
    elif kind in LISTED_TYPES:
        try:
            inner = split_items(rest.removeprefix("{").removesuffix("}"))
        except ConfigError:
            return
        for part in inner:
            yield from _tables(part, name, origin)
    elif kind in TABLE_TYPES:
        yield Named(kind, rest, name, origin)
