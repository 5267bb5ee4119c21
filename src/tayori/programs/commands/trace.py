"""`tayori trace`: everything that happened to one mail, or with one address.

usage: tayori trace [-c DIR] [-n MOST] [--json] [--lang LANG] QUEUE-ID | ADDRESS

Session, decisions with the lines that decided, and what became of each recipient; reports and forwarded copies too.
Exit code: 0 found, 1 nothing found, 64 usage, 66 no history.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import msgspec

from tayori.config.settings import Settings
from tayori.programs.commands.explain import objects
from tayori.programs.commands.history_options import EX_NONE, EX_OK, parser, run
from tayori.programs.explain.text import shorten
from tayori.programs.history.query import BadQuery, anybody
from tayori.programs.history.record import Outcome, Record
from tayori.programs.history.store import Reader
from tayori.programs.history.tell import ended, story
from tayori.programs.language import N_, Language

BORN = ("forward", "notice")
MOST_BORN = 50


def main(argv: list[str]) -> int:
    """Run the command; the exit code."""
    command = parser("trace", N_("What happened to a mail, or with an address."))
    command.add_argument("-n", dest="most", type=int, default=10, metavar="MOST", help=N_("at most (%(default)s)"))
    command.add_argument("what", metavar="QUEUE-ID|ADDRESS", help=N_("the mail, or whose"))
    return run("trace", command, argv, trace)


def number_of(text: str) -> int:
    """The queue number of a queue id; 0 when it is none."""
    return int(text, 16) if re.fullmatch(r"[0-9A-Fa-f]{5,16}", text) else 0


def chosen(reader: Reader, what: str, most: int) -> list[Record]:
    """The records for a queue id or an address. Raises BadQuery."""
    number = number_of(what)
    if number:
        return reader.records("number = ?", (number,))
    if "@" not in what:
        raise BadQuery(what)
    where, values = anybody(what)
    return reader.records(where, values, most)


def trace(options: argparse.Namespace, settings: Settings, reader: Reader, say: Language) -> int:
    """Print the stories."""
    records = chosen(reader, options.what, options.most)
    number = number_of(options.what)
    loose = reader.outcomes(number) if number and not records else []
    if options.json:
        rows = [{"record": objects(r), "outcomes": objects(reader.outcomes(r.number))} for r in records]
        rows += [{"record": None, "outcomes": objects(loose)}] if loose else []
        print(msgspec.json.format(msgspec.json.encode(rows).decode(), indent=2))
        return EX_OK if rows else EX_NONE
    lines: list[str] = []
    for record in records:
        outcomes = reader.outcomes(record.number) if record.number else []
        head = [record.queue_id or say("(no queue id)")]
        lines += [*head, *story(record, outcomes, say), *_born(reader, outcomes, say, {record.number}), ""]
    if loose:
        lines += [
            options.what.upper(),
            *(f"  {ended(one, say)}" for one in loose),
            *_born(reader, loose, say, {number}),
        ]
    print(shorten("\n".join(lines).rstrip() or say("nothing found"), settings.directory))
    return EX_OK if lines else EX_NONE


def _born(reader: Reader, outcomes: list[Outcome], say: Language, seen: set[int]) -> Iterator[str]:
    """What became of the messages that were born of this one."""
    for outcome in outcomes:
        number = number_of(outcome.text) if outcome.status in BORN else 0
        if not number or number in seen or len(seen) > MOST_BORN:
            continue
        seen.add(number)
        children = reader.outcomes(number)
        yield f"  {outcome.text}"
        for child in children:
            yield f"    {ended(child, say)}"
        yield from _born(reader, children, say, seen)
