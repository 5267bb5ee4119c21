"""Changing main.cf and master.cf in place, postconf(1) -e, -# and -X: comments and everything else stay as they are.

Both files are gone through line by line. Comments and blank lines are always kept, also between the lines of an entry
that is changed or removed; a continuation line goes the way of the entry that it continues. Nothing is said about
lines that cannot be understood: they stay, so that a broken file can be mended with the same command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tayori.config import masterentry
from tayori.config.masterentry import Entry
from tayori.config.origin import ConfigError

BLANKS = " \t\r\v\f"
_NAME = re.compile(r"[^\s=]*")


@dataclass(slots=True)
class Edited:
    """The new text, and the names that were set more than once."""

    text: str
    repeated: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Block:
    """A logical line: its physical lines, each with the comments and blank lines that follow it."""

    number: int = 0
    lines: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    """As written, comments included."""

    def text(self) -> str:
        return " ".join(line.strip() for line in self.lines)

    def comments(self) -> list[str]:
        return [line for line in self.inside if _is_comment(line)]

    def commented_out(self) -> list[str]:
        return [line if _is_comment(line) else f"#{line}" for line in self.inside]


def _is_comment(line: str) -> bool:
    text = line.lstrip(BLANKS)
    return not text or text[0] == "#"


def _blocks(text: str) -> Iterator[_Block]:
    """Everything in file order. What stands before the first logical line is a block without lines."""
    block = _Block()
    rows = text.split("\n")
    if rows[-1] == "":
        rows.pop()
    for number, line in enumerate(rows, start=1):
        if not _is_comment(line) and line[0] not in BLANKS:
            yield block
            block = _Block(number)
            block.lines.append(line)
        elif not _is_comment(line) and block.lines:
            block.lines.append(line)
        block.inside.append(line)
    yield block


def _joined(rows: list[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def _each(text: str, names: Sequence[str], change: Callable[[_Block, str], list[str]]) -> Edited:
    """Change the entries of main.cf with these names."""
    rows: list[str] = []
    seen: dict[str, int] = dict.fromkeys(names, 0)
    for block in _blocks(text):
        match = _NAME.match(block.lines[0]) if block.lines else None
        name = match.group() if match else ""
        if name in seen:
            seen[name] += 1
            rows += change(block, name)
        else:
            rows += block.inside
    return Edited(_joined(rows), [name for name, count in seen.items() if count > 1])


def assign(text: str, values: Mapping[str, str]) -> Edited:
    """Set each name: every entry of it is replaced, as Postfix does; a new one is added at the end."""
    found: set[str] = set()

    def change(block: _Block, name: str) -> list[str]:
        found.add(name)
        return [f"{name} = {values[name]}", *block.comments()]

    edited = _each(text, tuple(values), change)
    edited.text += _joined([f"{name} = {value}" for name, value in values.items() if name not in found])
    return edited


def comment_out(text: str, names: Sequence[str]) -> Edited:
    """Put # before every line of each name."""
    return _each(text, names, lambda block, _name: block.commented_out())


def remove(text: str, names: Sequence[str]) -> Edited:
    """Take every line of each name away."""
    return _each(text, names, lambda block, _name: block.comments())


@dataclass(slots=True)
class Request:
    """What to do with the services that `name/kind` (each may be `*`) fits. One of:

    `entry` replaces them (the first, others go; a new one is added at the end), `remove` or `comment` true,
    or `change` changes the entry. `matched` counts the services that it fitted.
    """

    name: str
    kind: str
    entry: Entry | None = None
    remove: bool = False
    comment: bool = False
    change: Callable[[Entry], None] | None = None
    matched: int = 0

    def fits(self, name: str, kind: str) -> bool:
        """Whether a service is meant."""
        return self.name in ("*", name) and self.kind in ("*", kind)


def services(text: str, requests: Sequence[Request], file: str) -> str:
    """Change master.cf. Raises ConfigError for a line that a request cannot change, or without a name and type."""
    rows: list[str] = []
    for block in _blocks(text):
        words = block.lines[0].split(None, 2) if block.lines else []
        if len(words) == 1:
            place = f"file {file}: line {block.number}: "
            raise ConfigError(f"{place}specify service name and type on the same line")
        asked = [request for request in requests if request.fits(*words[:2])] if words else []
        for request in asked:
            request.matched += 1
        rows += _changed(block, asked, file) if asked else block.inside
    rows += [r.entry.folded() for r in requests if r.entry is not None and not r.matched]
    return _joined(rows)


def _changed(block: _Block, asked: list[Request], file: str) -> list[str]:
    last = asked[-1]
    if last.entry is not None:
        return [*([last.entry.folded()] if last.matched == 1 else []), *block.comments()]
    if last.remove:
        return block.comments()
    if last.comment:
        return block.commented_out()
    entry = masterentry.parse(block.text(), f"file {file}: line {block.number}: bad field count")
    for request in asked:
        assert request.change is not None
        request.change(entry)
    return [*block.comments(), entry.folded()]
