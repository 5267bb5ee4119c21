"""What copying from a web page leaves behind: blanks that are none, a byte order mark; `-o` lines below a service
that is a comment.

postconf(5) and master(5) part words at ASCII blanks only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tayori.config.lint.finding import Edit, Finding, Message
from tayori.config.lint.source import Source
from tayori.config.mastercf import Service
from tayori.config.origin import Origin

BLANK = Message(
    "warning",
    "invisible-letter",
    "the line holds the invisible letter {letter}",
    "It looks like a blank or like nothing, but is read as a letter of the word beside it (web pages and word "
    "processors put it in).",
    "Replace it by an ordinary blank, or delete it.",
)
COMMENTED = Message(
    "warning",
    "options-of-a-comment",
    'these options belong to the service "{name}" in line {first}',
    "The service in line {above} is a comment, and a comment ends nothing: the lines below it that begin with a "
    'blank go on with "{name}".',
    "Remove the # in line {above}, or put # before its options too.",
)
WIDTHLESS = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
LETTER = re.compile(f"[\u00a0\u1680\u2000-\u200a\u202f\u205f{WIDTHLESS}]")
SERVICE = re.compile(r"#\s*\S+\s+(?:inet|unix|fifo|pass|unix-dgram)(?:\s+[yn-]){3}\s+\S+\s+\S+\s+\S+")


def check(source: Source) -> Iterator[Finding]:
    """Every line of main.cf and master.cf that is no comment."""
    for file in (source.main, source.master):
        for number, line in enumerate(source.lines(file), start=1):
            found = LETTER.search(line)
            if found and not line.lstrip(" \t\ufeff").startswith("#"):
                fix = Edit(file, number, (LETTER.sub(_ordinary, line),))
                yield BLANK.at(Origin(file, number), fix, letter=f"U+{ord(found.group()):04X}")
    yield from commented(source)


def _ordinary(found: re.Match[str]) -> str:
    return "" if found.group() in WIDTHLESS else " "


def commented(source: Source) -> Iterator[Finding]:
    """The first option below each service that was made a comment."""
    above = 0
    for number, line in enumerate(source.lines(source.master), start=1):
        if not line.strip():
            continue
        if line.lstrip().startswith("#"):
            above = number if SERVICE.match(line.strip()) else above
            continue
        if above and line[0] in " \t":
            owner = _owner(source, number)
            if owner:
                yield COMMENTED.at(
                    Origin(source.master, number), name=owner.name, first=owner.origin.line, above=above
                )
        above = 0


def _owner(source: Source, number: int) -> Service | None:
    before = [service for service in source.services if service.origin.line < number]
    return max(before, key=lambda service: service.origin.line, default=None)
