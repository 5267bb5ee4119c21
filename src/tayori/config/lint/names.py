"""Parameter names: unknown, misspelt, a restriction in a parameter's place, set twice, old, without effect."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tayori.config.lint.finding import Edit, Finding, Message, Phrase
from tayori.config.lint.notes import Kept, swallowed
from tayori.config.lint.source import Source, references
from tayori.config.lint.vocabulary import OLD_RESTRICTIONS, RESTRICTIONS, close_to
from tayori.config.maincf import Assignment
from tayori.config.origin import Origin
from tayori.config.params import PARAMETERS, TEMPLATES, Status, row_of

MISSPELT = Message(
    "warning",
    "misspelt-parameter",
    'there is no parameter "{name}"; did you mean "{meant}"?',
    "The line has no effect: {meant} keeps its {kept}.",
    'Write "{meant}" instead of "{name}".',
)
UNKNOWN = Message(
    "warning",
    "unknown-parameter",
    'there is no parameter "{name}"',
    "The line has no effect: Postfix has no such parameter and no other setting refers to ${name}.",
    "Delete the line, or look the name up in docs/parameters.md.",
)
RESTRICTION = Message(
    "warning",
    "restriction-as-parameter",
    '"{name}" is a rule, not a parameter',
    "The line has no effect: a rule works only inside a list of rules.",
    "Write it into a list, for example: smtpd_recipient_restrictions = …, {name}",
)
DUPLICATE = Message(
    "warning",
    "set-twice",
    '"{name}" is set again in line {last}',
    "Only the last line counts; this one has no effect.",
    "Keep one of the two lines.",
)
UNDEFINED = Message(
    "warning",
    "undefined-name",
    "nothing defines ${name}{hint}",
    "In {where} it stands for nothing: the value is read as if it were not there.",
    "Correct the name, or set {name} = … in main.cf.",
)
HOOK = re.compile(r"mua_\w+_restrictions", re.ASCII)
"""Postfix's own master.cf refers to these for those who want them; undefined they are empty, as is meant."""
REFERENCE = re.compile(r"\$(?:(\w+)|\{\s*(\w+)\s*\}|\(\s*(\w+)\s*\))", re.ASCII)
OLD = Message(
    "note",
    "old-parameter",
    '"{name}" is an old name; today it is "{instead}"',
    "It is understood for the sake of old configurations.",
    "Use {instead}.",
)
OLD_IGNORED = Message(
    "note",
    "old-parameter",
    '"{name}" is an old name and is not read; today it is "{instead}"',
    "{doc} {why}",
    "Delete the line, or look {instead} up in docs/parameters.md.",
)
NO_EFFECT = Message(
    "note",
    "no-effect",
    '"{name}" is accepted, but has no effect here',
    "{doc} {why}",
    "Nothing needs to be done; the line may stay.",
)
PARTLY = Message(
    "note",
    "partly",
    '"{name}" works in part',
    "{doc} {why}",
    "Nothing needs to be done, if you can do without what is missing.",
)
PLANNED = Message(
    "note",
    "not-yet",
    '"{name}" does not work yet',
    "{doc} {why}",
    "Do not rely on it for now.",
)
STATES = {Status.ACCEPTED: NO_EFFECT, Status.PARTLY: PARTLY, Status.PLANNED: PLANNED}


def user_names(source: Source) -> set[str]:
    """Names of the user's own that are used: as $name, as restriction classes, as `ldap:name` prefixes."""
    found: set[str] = set()
    every = (*source.settings.assignments, *(a for s in source.services for a in s.overrides))
    for assignment in every:
        found.update(references(assignment.value))
        if assignment.name == "smtpd_restriction_classes":
            found.update(assignment.value.replace(",", " ").split())
    for service in source.services:
        for word in service.words:
            found.update(references(word))
    return found


def prefixes(source: Source) -> tuple[str, ...]:
    """`ldap:name` with the table's settings in main.cf as name_host, name_query …; and names of transports."""
    found: set[str] = set()
    for assignment in source.settings.assignments:
        for item in assignment.value.replace(",", " ").split():
            kind, colon, name = item.removeprefix("proxy:").partition(":")
            if colon and kind in ("ldap", "mysql", "pgsql", "sqlite", "memcache", "mongodb") and name.isidentifier():
                found.add(f"{name}_")
    return tuple(found)


def known(name: str, source: Source) -> bool:
    """Whether main.cf may set this name: a parameter, or a per-transport name of a service in master.cf."""
    if name in PARAMETERS:
        return True
    template = next((suffix for suffix in TEMPLATES if name.endswith(suffix) and len(name) > len(suffix)), None)
    if template is None:
        return False
    service = name[: -len(template)]
    return service in PARAMETERS or service in {s.name for s in source.services} | {"smtp", "lmtp", "relay"}


def undefined(source: Source) -> Iterator[Finding]:
    """$names that nothing defines; `${name?…}` and `${name:…}` ask whether it is defined."""
    settings = source.settings
    counted = [a for a in settings.assignments if settings.assignment(a.name) is a]
    counted += [override for service in source.services for override in service.overrides]
    defined = {assignment.name for assignment in counted}
    for assignment in counted:
        row = row_of(assignment.name)
        if row is not None and row.raw:
            continue
        for name in dict.fromkeys(plain_references(assignment.value)):
            if name in defined or known(name, source) or row_of(name) is not None or HOOK.fullmatch(name):
                continue
            near = close_to(name, (*PARAMETERS, *defined), 0.75)
            hint = Phrase('; did you mean "${near}"?', near=near) if near else ""
            yield UNDEFINED.at(line_of(assignment, name), name=name, hint=hint, where=assignment.name)


def line_of(assignment: Assignment, name: str) -> Origin:
    """The line with $name in one of its three forms."""
    for piece in assignment.pieces:
        if name in plain_references(piece.text):
            return Origin(assignment.origin.file, piece.line)
    return assignment.origin


def plain_references(text: str) -> Iterator[str]:
    """$name, ${name} and $(name); $$ is a dollar sign."""
    for found in REFERENCE.finditer(text.replace("$$", "")):
        yield next(filter(None, found.groups()))


def check(source: Source) -> Iterator[Finding]:
    """main.cf and every -o of master.cf."""
    own = user_names(source)
    own_prefixes = prefixes(source)
    for assignment in source.settings.assignments:
        yield from name_findings(source, assignment, own, own_prefixes)
        yield from state(assignment)
    for service in source.services:
        for override in service.overrides:
            yield from name_findings(source, override, own, own_prefixes)
            yield from state(override)
    yield from duplicates(source)
    yield from undefined(source)
    yield from in_swallowed(source, own, own_prefixes)


def name_findings(
    source: Source, assignment: Assignment, own: set[str], own_prefixes: tuple[str, ...]
) -> Iterator[Finding]:
    """Unknown names."""
    name = assignment.name
    if known(name, source) or name in own or (own_prefixes and name.startswith(own_prefixes)):
        return
    if name in RESTRICTIONS or name in OLD_RESTRICTIONS:
        yield RESTRICTION.at(assignment.origin, name=name)
        return
    meant = nearest(name)
    if not meant:
        yield UNKNOWN.at(assignment.origin, name=name)
        return
    here = source.settings.assignment(meant)
    kept = Phrase("value of line {line}", line=here.origin.line) if here else Phrase("default value")
    yield MISSPELT.at(assignment.origin, rename(source, assignment, meant), name=name, meant=meant, kept=kept)


def nearest(name: str) -> str:
    """The likeliest meant parameter: one letter more or less counts most."""
    for other in (f"{name}s", name.removesuffix("s"), name.lower(), name.replace("-", "_")):
        if other in PARAMETERS:
            return other
    return close_to(name, PARAMETERS, 0.84)


def rename(source: Source, assignment: Assignment, meant: str) -> Edit | None:
    """The mend, when it is certain: the meant name is not set elsewhere in main.cf, or in the service."""
    if assignment.origin.file == source.main:
        others = source.settings.is_set(meant)
    else:
        owner = next((s for s in source.services if any(o is assignment for o in s.overrides)), None)
        others = owner is None or any(override.name == meant for override in owner.overrides)
    if others:
        return None
    line = source.line(assignment.origin)
    if line.count(assignment.name) != 1 and not line.startswith(assignment.name):
        return None
    return Edit(assignment.origin.file, assignment.origin.line, (line.replace(assignment.name, meant, 1),))


def state(assignment: Assignment) -> Iterator[Finding]:
    """Old names, those without effect, and those that work in part."""
    row = row_of(assignment.name)
    if row is None or row.status is Status.IMPLEMENTED:
        return
    if row.whole and set(assignment.value.lower().replace(",", " ").split()) <= set(row.whole):
        return
    doc, why = (text if isinstance(text, Phrase) else Phrase(text) for text in (row.doc, row.why))
    if row.status is not Status.TRANSLATED:
        yield STATES[row.status].at(assignment.origin, name=assignment.name, doc=doc, why=why)
    elif why:
        yield OLD_IGNORED.at(assignment.origin, name=row.name, instead=row.instead, doc=doc, why=why)
    else:
        yield OLD.at(assignment.origin, name=row.name, instead=row.instead)


def duplicates(source: Source) -> Iterator[Finding]:
    """Of two lines with one name the last counts; the same value twice is harmless and said nothing about."""
    last: dict[str, Assignment] = {a.name: a for a in source.settings.assignments}
    for assignment in source.settings.assignments:
        winner = last[assignment.name]
        if winner is not assignment and winner.value != assignment.value:
            yield DUPLICATE.at(assignment.origin, name=assignment.name, last=winner.origin.line)


def in_swallowed(source: Source, own: set[str], own_prefixes: tuple[str, ...]) -> Iterator[Finding]:
    """A swallowed setting may be misspelt as well: said at once, so that one mend is enough."""
    for assignment in source.settings.assignments:
        for piece, kept in swallowed(assignment):
            if kept is Kept.SETTING:
                name = piece.text.partition("=")[0].strip()
                inner = Assignment(name, "", Origin(assignment.origin.file, piece.line), (piece,))
                if row_of(name) is None:
                    yield from name_findings(source, inner, own, own_prefixes)
