"""What postconf(1) prints of main.cf and, with -M, -F and -P, of master.cf."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from tayori.config.lint.names import nearest
from tayori.config.maincf import Assignment, Piece
from tayori.config.masterentry import FIELDS, INDENT, Entry
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.programs.commands import postconf_read
from tayori.programs.commands.postconf_names import Names, builtin
from tayori.programs.commands.postconf_options import Options

Warn = Callable[[str], None]
WIDTH = 80
"""Where Postfix folds a value of main.cf."""
_FORMS = {
    "M": (2, "-M option requires service_name[/type]"),
    "F": (3, "-F option requires service_name[/type[/field]]"),
    "P": (3, "-P option requires service_name[/type[/parameter]]"),
}


def squeezed(text: str) -> str:
    """Runs of blanks as one, as Postfix shows a continued value."""
    return " ".join(text.split())


def labelled(letters: set[str], name: str, value: str) -> str:
    """`name = value`, or one of both; folded with -f."""
    if "H" in letters:
        return name
    words = value.split() if "h" in letters else [f"{name} =", *value.split()]
    return "\n".join(fold(words)) if "f" in letters else " ".join(words)


def fold(words: Iterable[str]) -> Iterator[str]:
    """Words as lines of at most 80 characters."""
    line = ""
    for word in words:
        if not line:
            line = word
        elif len(line) + 1 + len(word) > WIDTH:
            yield line
            line = INDENT + word
        else:
            line = f"{line} {word}"
    yield line


def as_json(**values: str) -> str:
    """One object in a line."""
    return json.dumps(values, ensure_ascii=False)


def main(options: Options, warn: Warn) -> Iterator[str]:
    """`name = value` lines of main.cf. Raises ConfigError."""
    letters = options.letters
    defaults = "d" in letters
    found = postconf_read.read(options, warn, defaults)
    names = Names(found.values, found.entries)
    check_references(found.settings, names)
    for name in options.operands or _every(options, names):
        known = names.is_known(name)
        if not known:
            meant = nearest(name)
            warn(f"{name}: unknown parameter" + (f'; did you mean "{meant}"?' if meant else ""))
        elif "n" not in letters or name == "config_directory" or found.settings.is_set(name):
            value = found.settings.raw(name) or ""
            if "x" in letters:
                value = found.settings.expand(value)
            shown = squeezed(value)
            yield as_json(name=name, value=shown) if "j" in letters else labelled(letters, name, shown)
    if not defaults:
        for text in (
            *names.undefined(options.main, options.master),
            *names.malformed(options.main, options.master),
            *names.unused_tables(),
            *names.unused_main(options.main, found.lines),
            *names.unused_master(options.master),
        ):
            warn(text)


def check_references(settings: Settings, names: Names) -> None:
    """Postfix stops at a `$` that is no reference and at a wrong level, whatever is asked. Raises ConfigError."""
    for assignment in {assignment.name: assignment for assignment in settings.assignments}.values():
        if names.is_builtin(assignment.name) and "$" in assignment.value:
            try:
                settings.expand(assignment.value)
            except ConfigError as error:
                where = assignment.origin if assignment.origin.line else None
                raise ConfigError(f"{assignment.name}: {error.message}", where, error.mend) from None
    settings.compatibility_level()


def _every(options: Options, names: Names) -> list[str]:
    wanted: set[str] = set()
    if "builtin" in options.classes:
        wanted.update(builtin())
    if "service" in options.classes:
        wanted.update(names.services)
    if "user" in options.classes and "d" not in options.letters:
        wanted.update(name for name in names.values if names.is_user(name) and not names.is_builtin(name))
    return sorted(wanted)


def master(options: Options, warn: Warn) -> Iterator[str]:
    """-M, -F and -P, all services or those that the operands name. Raises ConfigError."""
    found = postconf_read.read(options, warn)
    names = Names(found.values, found.entries)
    check_references(found.settings, names)
    patterns = [_pattern(options, operand) for operand in options.operands] or [["*", "*", "*"]]
    matched = [False] * len(patterns)
    for entry in found.entries:
        for number, (name, kind, title) in enumerate(patterns):
            if name in ("*", entry.name) and kind in ("*", entry.kind):
                for line in _entry(options, found.settings, entry, title):
                    matched[number] = True
                    yield line
    if options.operands:
        for operand, hit in zip(options.operands, matched, strict=True):
            if not hit:
                warn(f'unmatched request: "{operand}"')
    warnings = (
        *names.undefined(options.main, options.master),
        *names.malformed(options.main, options.master),
        *names.unused_tables(),
        *names.unused_master(options.master),
    )
    for text in warnings:
        warn(text)


def _pattern(options: Options, operand: str) -> list[str]:
    most, form = _FORMS[options.mode]
    parts = operand.split("/")
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    if len(parts) > most or not all(parts):
        raise ConfigError(form)
    if options.mode == "F" and len(parts) == most and parts[2] not in ("*", *FIELDS):
        raise ConfigError(f'invalid service attribute name: "{parts[2]}"')
    return [*parts, "*", "*", "*"][:3]


def _entry(options: Options, settings: Settings, entry: Entry, title: str) -> Iterator[str]:
    letters = options.letters
    if "x" in letters:
        entry = _expanded(settings, entry)
    where = {"service": entry.name, "type": entry.kind}
    prefix = f"{entry.name}/{entry.kind}/"
    if options.mode == "M":
        if "j" in letters:
            yield as_json(**{field: entry.value(field) for field in FIELDS})
        else:
            yield entry.folded() if "f" in letters else entry.line()
    elif options.mode == "F":
        for field in FIELDS:
            if title not in ("*", field):
                continue
            value = entry.value(field)
            if "j" in letters:
                yield as_json(**where, field=field, value=value)
            elif "H" in letters:
                yield prefix + field
            else:
                label = "" if "h" in letters else f"{prefix}{field} = "
                folded = field == "command" and "f" in letters
                yield entry.folded(label) if folded else label + value
    else:
        for name, value in sorted(entry.settings().items()):
            if title in ("*", name):
                shown = squeezed(value)
                if "j" in letters:
                    yield as_json(**where, parameter=name, value=shown)
                else:
                    yield labelled(letters, prefix + name, shown)


def _expanded(settings: Settings, entry: Entry) -> Entry:
    """The same with the $names of its -o settings filled in, as this service sees them."""
    overrides = [
        Assignment(name, value, Origin("-o"), (Piece(0, value),)) for name, value in entry.settings().items()
    ]
    seen = settings.with_overrides(overrides)
    options = [
        (letter, f"{text.partition('=')[0]}={seen.expand(text.partition('=')[2])}" if "=" in text else text)
        for letter, text in entry.options
    ]
    return Entry(entry.columns, entry.command, options, entry.arguments)
