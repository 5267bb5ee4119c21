"""The restriction lists: unknown and misspelt rules, old spellings, missing arguments, rules never reached."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tayori.config.lint.finding import Edit, Finding, Message, Phrase
from tayori.config.lint.source import Source, meant_items, place
from tayori.config.lint.vocabulary import (
    DOMAIN,
    NONE,
    OLD_RESTRICTIONS,
    OLD_WITH_ARGUMENT,
    RESTRICTION,
    RESTRICTIONS,
    TABLE,
    TABLE_TYPES,
    close_to,
    split_table,
)
from tayori.config.origin import ConfigError, Origin
from tayori.config.params import PARAMETERS, Kind
from tayori.config.settings import Settings

UNKNOWN = Message(
    "error",
    "unknown-restriction",
    'there is no rule "{word}"{hint}',
    "Every mail that comes to this rule in {name} would be refused with 451 Server configuration error.",
    "{mend}",
)
MISSING = Message(
    "error",
    "restriction-argument",
    '"{word}" in {name} needs a {what} behind it',
    "Without it, every mail that comes to this rule would be refused with 451 Server configuration error.",
    "Write for example: {word} {example}",
)
OLD = Message(
    "note",
    "old-restriction",
    '"{word}" is an old spelling; today it is "{instead}"',
    "It is understood for the sake of old configurations.",
    'Write "{instead}".',
)
UNREACHABLE = Message(
    "warning",
    "unreachable-rule",
    '"{word}" in {name} is never reached',
    '"{before}" stands before it and always decides, so nothing behind it is asked.',
    'Move "{word}" before "{before}", or remove it.',
)
TOO_LATE = Message(
    "warning",
    "permit-too-late",
    '"{word}" stands behind "{before}" in {name}',
    '"{before}" has already refused mail for other domains, so these clients cannot send to the outside.',
    'Move "{word}" before "{before}".',
)
DECIDES = ("permit", "reject", "defer")
EXAMPLES = {
    TABLE: "hash:/etc/postfix/access",
    DOMAIN: "zen.spamhaus.org",
    "service": "unix:private/policy",
    "number": "1",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a list: its word, its argument, its line, and whether warn_if_reject stands before it."""

    word: str
    argument: str
    origin: Origin
    warn_only: bool = False


def classes(settings: Settings) -> tuple[str, ...]:
    """The user's own names for groups of rules."""
    return meant_items(settings, "smtpd_restriction_classes")


def argument_of(word: str) -> str:
    """What must follow this word."""
    return RESTRICTIONS.get(word) or OLD_WITH_ARGUMENT.get(word, NONE)


def rules(settings: Settings, name: str, fallback: str) -> list[Rule]:
    """The rules of one list, in order. Raises ConfigError for a value that cannot be split."""
    items = meant_items(settings, name)
    found: list[Rule] = []
    at, warn = 0, False
    while at < len(items):
        word = items[at]
        lower = word if split_table(word)[0] else word.lower()
        kind = argument_of(lower)
        at += 1
        if kind == RESTRICTION:
            warn = True
            continue
        argument = ""
        if kind != NONE and at < len(items):
            argument = items[at]
            at += 1
        found.append(Rule(lower, argument, place(settings, name, word, fallback), warn))
        warn = False
    return found


def lists(source: Source) -> Iterator[tuple[str, Settings]]:
    """Every list of rules that some file sets, with the settings it is seen in."""
    names = [row.name for row in PARAMETERS.values() if row.kind is Kind.RESTRICTIONS]
    try:
        names.extend(classes(source.settings))
    except ConfigError:
        pass  # the value has its own finding
    for name in names:
        if source.settings.is_set(name):
            yield name, source.settings
    for service in source.services:
        seen = service.settings(source.settings)
        for override in service.overrides:
            if override.name in names:
                yield override.name, seen


def check(source: Source) -> Iterator[Finding]:
    """Every list, once."""
    for name, settings in lists(source):
        try:
            found = rules(settings, name, source.main)
            own = classes(settings)
        except ConfigError:
            continue  # the value has its own finding
        for rule in found:
            yield from word(source, name, rule, own)
        yield from order(name, found)


def word(source: Source, name: str, rule: Rule, own: tuple[str, ...]) -> Iterator[Finding]:
    """One word of a list."""
    if rule.word in own or is_access_table(rule.word):
        return
    if rule.word in RESTRICTIONS or rule.word in OLD_RESTRICTIONS:
        if rule.word in OLD_RESTRICTIONS:
            instead = OLD_RESTRICTIONS[rule.word]
            yield OLD.at(rule.origin, word=rule.word, instead=instead)
        kind = argument_of(rule.word)
        bad = kind == TABLE and rule.argument and not split_table(rule.argument)[0]
        if kind != NONE and (not rule.argument or bad):
            yield MISSING.at(rule.origin, word=rule.word, name=name, what=kind, example=EXAMPLES.get(kind, ""))
        return
    near = close_to(rule.word, (*RESTRICTIONS, *OLD_RESTRICTIONS, *own), 0.75)
    line = source.line(rule.origin)
    fix = None
    alone = re.compile(rf"(?<![\w-]){re.escape(rule.word)}(?![\w-])")
    if near and len(alone.findall(line)) == 1:
        fix = Edit(rule.origin.file, rule.origin.line, (alone.sub(near, line),))
    hint = Phrase('; did you mean "{near}"?', near=near) if near else ""
    own_word = Phrase("Correct it, or list it in smtpd_restriction_classes if it is your own.")
    if not rule.word.isascii():
        own_word = Phrase("If it is a note: put # at the very beginning of its line; there are none behind values.")
    mend = Phrase('Write "{name}".', name=near) if near else own_word
    yield UNKNOWN.at(rule.origin, fix, word=rule.word, name=name, hint=hint, mend=mend)


def is_access_table(text: str) -> bool:
    """A bare `type:name` is an access table (access(5) in a list without check_…)."""
    return split_table(text)[0] in TABLE_TYPES


def order(name: str, found: list[Rule]) -> Iterator[Finding]:
    """Rules behind one that always decides; permits behind the relay refusal."""
    decided: Rule | None = None
    refused: Rule | None = None
    before: set[str] = set()
    for rule in found:
        if decided is not None:
            yield UNREACHABLE.at(rule.origin, word=rule.word, name=name, before=decided.word)
            return
        late = rule.word in ("permit_mynetworks", "permit_sasl_authenticated") and rule.word not in before
        if refused is not None and late:
            yield TOO_LATE.at(rule.origin, word=rule.word, name=name, before=refused.word)
        before.add(rule.word)
        if rule.warn_only:
            continue
        if rule.word in DECIDES:
            decided = rule
        elif rule.word in ("reject_unauth_destination", "defer_unauth_destination"):
            refused = refused or rule
