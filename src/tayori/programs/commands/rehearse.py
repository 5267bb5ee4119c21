"""`tayori rehearse`: tries an edited configuration on the mail of the last days, and lists only what would differ.

usage: tayori rehearse NEWDIR [-c DIR] [--since TIME] [-n MOST] [--json] [--lang LANG]

DIR is the running configuration, whose history is read; NEWDIR holds the edited one. Each recorded session is
judged again with the facts of then: client, names, HELO, login, TLS, sender, recipients. Contents are not
recorded, so header and body checks are not rehearsed. DNS lists and policy services are asked as they are now.
Exit code: 0 nothing differs, 1 something does, 64 usage, 66 no history, 78 an unusable configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time

import msgspec

from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.commands.explain import objects
from tayori.programs.commands.history_options import EX_NONE, EX_OK, parser, run
from tayori.programs.explain.text import shorten
from tayori.programs.explain.walk import Explainer
from tayori.programs.history.query import moment
from tayori.programs.history.record import Asked
from tayori.programs.history.rehearse import Difference, Rehearsal, rehearse
from tayori.programs.history.store import Reader
from tayori.programs.history.tell import clock
from tayori.programs.language import Language


def main(argv: list[str]) -> int:
    """Run the command; the exit code."""
    command = parser("rehearse", "Try an edited configuration on the mail of the last days.")
    command.add_argument("new", metavar="NEWDIR", help="the folder of the edited main.cf")
    command.add_argument("--since", default="yesterday", metavar="TIME", help="(%(default)s)")
    command.add_argument("-n", dest="most", type=int, default=10000, metavar="MOST", help="at most (%(default)s)")
    return run("rehearse", command, argv, act)


def act(options: argparse.Namespace, settings: Settings, reader: Reader, say: Language) -> int:
    """Rehearse and print. Raises ConfigError and BadQuery."""
    since = moment(options.since, time.time())
    edited = Settings.read(os.path.abspath(options.new), probe())
    found = asyncio.run(_rehearse(edited, reader, since, options.most))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(objects(tuple(found.differences))).decode(), indent=2))
    else:
        print(shorten("\n".join(text(found, say)), edited.directory))
    return EX_NONE if found.differences else EX_OK


async def _rehearse(edited: Settings, reader: Reader, since: float, most: int) -> Rehearsal:
    explainer = Explainer(edited)
    try:
        return await rehearse(explainer, reader.each(since), most)
    finally:
        explainer.close()


def text(found: Rehearsal, say: Language) -> list[str]:
    """The differences, then a line of numbers."""
    lines: list[str] = []
    for one in found.differences:
        lines += _difference(one, say)
    lines.append(say("{mails} mails judged again, {count} differences", mails=found.mails,
                     count=len(found.differences)))  # fmt: skip
    if found.left_out:
        lines.append(say("{count} mails left out: the edited configuration has no service on their port",
                         count=found.left_out))  # fmt: skip
    return lines


def _difference(one: Difference, say: Language) -> list[str]:
    times = say("  ({count} times)", count=one.count) if one.count > 1 else ""
    return [
        f"{clock(one.when)}  {one.client}  <{one.sender}> → <{one.recipient}>{times}",
        f"  {say('was')}: {one.before or say('accepted')}{_by(one.before_by)}",
        f"  {say('would be')}: {say('accepted') if one.after[:1] == '2' else one.after}{_by(one.after_by)}",
        "",
    ]


def _by(by: Asked | None) -> str:
    if by is None:
        return ""
    rule = f"{by.restriction} {by.argument}".strip()
    return f"  ({rule}{f', {by.place}' if by.place else ''})"
