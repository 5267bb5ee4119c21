"""Lines that became part of the value above them, notes behind values, indented first lines."""

from __future__ import annotations

from collections.abc import Iterator

from tayori.config.lint.finding import Edit, Finding, Message
from tayori.config.lint.notes import LISTS, SINGLE, Kept, swallowed, tail
from tayori.config.lint.source import Source
from tayori.config.maincf import Assignment
from tayori.config.origin import Origin
from tayori.config.params import Kind, row_of

NOTE = Message(
    "warning",
    "swallowed-note",
    'this note became part of "{name}"',
    "A line that begins with a blank goes on with the line above it, so the words of this note are read as part "
    "of the value of {name} (line {first}). Only # at the start of a line begins a note; {sign} does not.",
    "Put # at the very start of the line.",
)
SETTING = Message(
    "error",
    "swallowed-setting",
    'this setting became part of "{name}"',
    "A line that begins with a blank goes on with the line above it, so this is not a setting of its own: its "
    "words are read as part of the value of {name} (line {first}).",
    "Remove the blanks at the start of the line, or put # there if it is a note.",
)
BEHIND = Message(
    "warning",
    "note-behind-value",
    'the note "{note}" is read as part of the value of "{name}"',
    "A note cannot stand behind a value: everything after = belongs to the value, # and ; included.",
    "Move the note to a line of its own that begins with #.",
)
INDENTED = Message(
    "warning",
    "indented-first-line",
    "the first setting begins with a blank",
    "A line that begins with a blank goes on with the line above it, and there is none. It is read as a setting "
    "all the same, but a line added above it would swallow it.",
    "Remove the blanks at the start of the line.",
)
ACROSS = Message(
    "note",
    "continued-across-comment",
    'this line goes on with "{name}" in line {first}, across the comment between them',
    "A comment does not end a value: after it, a line that begins with a blank still belongs to {name}.",
    "If that is meant, all is well; else remove the blanks at the start of the line.",
)


# One word each: with a note in it mail would go to a wrong place, so it is an error.
ONE_WORD = frozenset(
    (
        "compatibility_level",
        "default_privs",
        "home_mailbox",
        "mail_owner",
        "mydomain",
        "myhostname",
        "myorigin",
        "relayhost",
    )
)


def check(source: Source) -> Iterator[Finding]:
    """Walk every assignment of main.cf."""
    for index, assignment in enumerate(source.settings.assignments):
        first = assignment.pieces[0]
        if index == 0 and first.text[:1] in " \t" and assignment.origin.file == source.main:
            yield INDENTED.at(assignment.origin, Edit(source.main, first.line, (first.text.lstrip(),)))
        yield from lines(source, assignment)


def severity(assignment: Assignment) -> str:
    """Extra words are an error where they make the value useless, a warning where they are merely extra."""
    row = row_of(assignment.name)
    broken = row and (row.kind in SINGLE or row.kind is Kind.RESTRICTIONS or row.name in ONE_WORD)
    return "error" if broken else "warning"


def lines(source: Source, assignment: Assignment) -> Iterator[Finding]:
    """What went wrong inside one value, line by line."""
    file, name, first = assignment.origin.file, assignment.name, assignment.origin.line
    lost = {piece.line: kept for piece, kept in swallowed(assignment)}
    before = first
    for piece in assignment.pieces:
        origin = Origin(file, piece.line)
        kept = lost.get(piece.line)
        text = piece.text.strip()
        if kept is Kept.NOTE:
            note = text.lstrip(";/ \t")
            sign = text[0] if text[0] in ";/" else "prose"
            sign = {";": "a ;", "/": "//"}.get(sign, "a blank")
            yield NOTE.at(
                origin,
                Edit(file, piece.line, (f"# {note}",)),
                severity(assignment),
                name=name,
                first=first,
                sign=sign,
            )
        elif kept is Kept.SETTING:
            yield SETTING.at(origin, name=name, first=first)
        else:
            note = tail(assignment, piece)
            row = row_of(name)
            if (
                note
                and row
                and (row.kind in SINGLE or row.kind in LISTS or row.kind is not Kind.TEXT or note[1:2] == " ")
            ):
                value = piece.text[: -len(note)].rstrip()
                fixed = (f"# {note.lstrip('#; ')}", value)
                # Above a continuation line the note would be fine as well: comments end nothing.
                yield BEHIND.at(origin, Edit(file, piece.line, fixed), severity(assignment), name=name, note=note)
            between = source.lines(file)[before : piece.line - 1]
            if piece.line != first and any(line.lstrip().startswith("#") for line in between):
                yield ACROSS.at(origin, name=name, first=first)
        before = piece.line
