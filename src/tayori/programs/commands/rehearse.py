"""`tayori rehearse`: tries an edited configuration on the mail of the last days, and lists only what would differ.

usage: tayori rehearse NEWDIR [-c DIR] [--since TIME] [-n MOST] [--json] [--lang LANG]

DIR is the running configuration, whose history is read; NEWDIR holds the edited one. Each recorded session is
judged again with the facts of then: client, names, HELO, login, TLS, sender, recipients, size. Header checks see
the headers that tayori_history_headers kept; header and body checks see mail that waits in the running server's
queue. The last lines say what could not be rehearsed. DNS lists and policy services answer as they do now.
Exit code: 0 nothing differs, 1 something does, 64 usage, 66 no history, 78 an unusable configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import time
from collections.abc import Iterator

import msgspec

from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.commands.control import Failed, connect, content, demand, queue
from tayori.programs.commands.explain import objects
from tayori.programs.commands.history_options import EX_NONE, EX_OK, parser, run
from tayori.programs.explain.text import shorten
from tayori.programs.explain.walk import Explainer
from tayori.programs.explain.watch import CONTENT
from tayori.programs.history.query import moment
from tayori.programs.history.record import Asked, Record
from tayori.programs.history.rehearse import Difference, Rehearsal, Rehearsed
from tayori.programs.history.store import Reader
from tayori.programs.history.tell import clock
from tayori.programs.language import N_, Language
from tayori.protocol.headers import fields, header_end


def main(argv: list[str]) -> int:
    """Run the command; the exit code."""
    command = parser("rehearse", N_("Try an edited configuration on the mail of the last days."))
    command.add_argument("new", metavar="NEWDIR", help=N_("the folder of the edited main.cf"))
    command.add_argument("--since", default="yesterday", metavar="TIME", help=N_("since when (%(default)s)"))
    command.add_argument("-n", dest="most", type=int, default=10000, metavar="MOST", help=N_("at most (%(default)s)"))
    return run("rehearse", command, argv, act)


def act(options: argparse.Namespace, settings: Settings, reader: Reader, say: Language) -> int:
    """Rehearse and print. Raises ConfigError and BadQuery."""
    since = moment(options.since, time.time())
    edited = Settings.read(os.path.abspath(options.new), probe())
    with Waiting.of(settings, edited) as waiting:
        found = asyncio.run(_rehearse(edited, reader, since, options.most, waiting))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(objects(found)).decode(), indent=2))
    else:
        print(shorten("\n".join(text(found, say, bool(edited.items("smtpd_milters")))), edited.directory))
    return EX_NONE if found.differences else EX_OK


async def _rehearse(edited: Settings, reader: Reader, since: float, most: int, waiting: Waiting) -> Rehearsed:
    explainer = Explainer(edited)
    try:
        return await Rehearsal(explainer, waiting.content).run(reader.each(since), most)
    finally:
        explainer.close()


class Waiting:
    """The contents of mail that the running server still has; nothing where no server runs or no check would look."""

    def __init__(self, sock: socket.socket | None) -> None:
        self._sock = sock
        self._ids = set(self._waiting(sock)) if sock is not None else set()

    @classmethod
    def of(cls, *configurations: Settings) -> Waiting:
        """Of the first configuration's server, if any of them has header or body checks."""
        if not any(one.items(name) for one in configurations for name in CONTENT):
            return cls(None)
        try:
            return cls(connect(configurations[0]))
        except Failed:
            return cls(None)

    @staticmethod
    def _waiting(sock: socket.socket) -> Iterator[str]:
        for message in queue(sock):
            yield str(message.get("id"))

    def content(self, record: Record) -> bytes:
        """The message without the Received field that this server had put on top; b"" when it is gone."""
        if self._sock is None or record.queue_id not in self._ids:
            return b""
        try:
            demand(self._sock, {"op": "content", "id": record.queue_id})
            text = b"".join(content(self._sock))
        except Failed:
            return b""
        first = next(iter(fields(text[: header_end(text)])), None)
        return text[len(first.raw) :] if first is not None and first.name == "received" else text

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        if self._sock is not None:
            self._sock.close()


def text(found: Rehearsed, say: Language, milters: bool = False) -> list[str]:
    """The differences, a line of numbers, and what was not rehearsed."""
    lines: list[str] = []
    for one in found.differences:
        lines += _difference(one, say)
    lines.append(say("mails judged again: {mails}, differences: {count}", mails=found.mails,
                     count=len(found.differences)))  # fmt: skip
    if found.left_out:
        lines.append(say("{count} mails left out: the edited configuration has no service on their port",
                         count=found.left_out))  # fmt: skip
    if found.unseen:
        lines.append(say("not rehearsed: header and body checks of {count} mails whose content is gone "
                         "(tayori_history_headers keeps headers)", count=found.unseen))  # fmt: skip
    if found.headers:
        lines.append(say("not rehearsed: body checks of {count} mails of which only the header was kept",
                         count=found.headers))  # fmt: skip
    if milters:
        lines.append(say("not rehearsed: what the milters (smtpd_milters) would say"))
    return lines


def _difference(one: Difference, say: Language) -> list[str]:
    times = say("  ({count} times)", count=one.count) if one.count > 1 else ""
    whom = f"<{one.recipient}>" if one.recipient else say("the message itself")
    return [
        f"{clock(one.when)}  {one.client}  <{one.sender}> → {whom}{times}",
        f"  {say('was')}: {one.before or say('accepted')}{_by(one.before_by)}",
        f"  {say('would be')}: {say('accepted') if one.after[:1] == '2' else one.after}{_by(one.after_by)}",
        "",
    ]


def _by(by: Asked | None) -> str:
    if by is None:
        return ""
    rule = f"{by.restriction} {by.argument}".strip()
    return f"  ({rule}{f', {by.place}' if by.place else ''})"
