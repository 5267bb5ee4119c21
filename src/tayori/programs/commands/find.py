"""`tayori find`: mails and refusals in the history, one a line, the newest last.

usage: tayori find [-c DIR] [-n MOST] [--json] [--lang LANG] [WORD …]

Words, all of which must fit: from:TEXT to:TEXT client:TEXT login:TEXT since:TIME until:TIME, an address (sender or
recipient), refused, accepted, bounced, deferred, sent. TIME: today, yesterday, 2h, 3d, 2026-11-24, 2026-11-24T10:00.
Exit code: 0 found, 1 nothing found, 64 usage, 66 no history.
"""

from __future__ import annotations

import argparse
import time

import msgspec

from tayori.config.settings import Settings
from tayori.programs.commands.explain import objects
from tayori.programs.commands.history_options import EX_NONE, EX_OK, parser, run
from tayori.programs.history.query import query
from tayori.programs.history.store import Reader
from tayori.programs.history.tell import line
from tayori.programs.language import N_, Language


def main(argv: list[str]) -> int:
    """Run the command; the exit code."""
    command = parser("find", N_("Find mails and refusals in the history."))
    command.add_argument("-n", dest="most", type=int, default=50, metavar="MOST", help=N_("at most (%(default)s)"))
    words = N_(
        "what must all fit: from:TEXT to:TEXT client:TEXT login:TEXT since:TIME until:TIME ADDRESS refused accepted "
        "bounced deferred sent"
    )
    command.add_argument("words", nargs="*", metavar="WORD", help=words)
    return run("find", command, argv, find)


def find(options: argparse.Namespace, settings: Settings, reader: Reader, say: Language) -> int:
    """Print what fits."""
    asked = query(options.words, time.time())
    found = reader.records(asked.where, asked.values, options.most)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(objects(found)).decode(), indent=2))
        return EX_OK if found else EX_NONE
    for record in found:
        print(line(record, say))
    if not found:
        print(say("nothing found"))
    elif len(found) == options.most:
        print(say("(only the newest {count}; -n shows more)", count=options.most))
    return EX_OK if found else EX_NONE
