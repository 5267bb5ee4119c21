"""`tayori why`: why a mail was refused, in words, and what would help.

usage: tayori why [-c DIR] [--json] [--lang LANG] CODE | last | QUEUE-ID | ADDRESS

CODE is the short code at the end of a refusal (tayori_refusal_codes = yes), or the one that `find` and `trace` show.
The causes are judged by the configuration as it is now. Exit code: 0 found, 1 nothing found, 64 usage, 66 no history.
"""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.programs.commands.explain import objects
from tayori.programs.commands.history_options import EX_NONE, EX_OK, parser, run
from tayori.programs.commands.trace import number_of
from tayori.programs.explain import causes
from tayori.programs.explain.text import shorten, why
from tayori.programs.explain.values import Remedy
from tayori.programs.explain.walk import Explainer
from tayori.programs.history.query import BadQuery, anybody
from tayori.programs.history.record import Decision, Record, code_of
from tayori.programs.history.replay import facts, situation
from tayori.programs.history.store import JUDGED, REFUSED, Reader
from tayori.programs.history.tell import story
from tayori.programs.language import Language


def main(argv: list[str]) -> int:
    """Run the command; the exit code."""
    command = parser("why", "Why a mail was refused, and what would help.")
    command.add_argument("what", metavar="CODE|last|QUEUE-ID|ADDRESS")
    return run("why", command, argv, tell)


def refusal(reader: Reader, what: str) -> tuple[Record, Decision] | None:
    """The newest refusal that is meant. Raises BadQuery."""
    code = code_of(what)
    found = reader.by_code(code) if code else []
    if not found:
        code = ""
        if what == "last":
            found = reader.records(f"ok & {JUDGED}", (), 1) or reader.records(f"ok & {REFUSED}", (), 1)
        elif number_of(what):
            found = reader.records("number = ?", (number_of(what),))
        elif "@" in what:
            where, values = anybody(what)
            found = reader.records(f"ok & {REFUSED} AND ({where})", values, 1)
        elif not code_of(what):
            raise BadQuery(what)
    for record in reversed(found):
        wanted = [one for one in record.refusals if one.code == code or not code]
        named = [one for one in wanted if one.about.lower() == what.lower()]
        judged = [one for one in wanted if one.by is not None]
        for some in (named, judged, wanted):
            if some:
                return record, some[-1]
    return None


async def reasons(
    settings: Settings, record: Record, decision: Decision, say: Language
) -> tuple[tuple[str, ...], tuple[Remedy, ...]]:
    """Causes and remedies, by the configuration as it is now. Raises ConfigError."""
    explainer = Explainer(settings)
    try:
        await explainer.start()
        built = explainer.service("", record.server_port)
        known = situation(record)
        services = explainer.services
        return (
            causes.causes(decision, known, built, services, say),
            await causes.remedies(decision, facts(record, decision), known, built, services, say),
        )
    finally:
        explainer.close()


def tell(options: argparse.Namespace, settings: Settings, reader: Reader, say: Language) -> int:
    """Print the story of the refusal, the causes and the remedies."""
    found = refusal(reader, options.what)
    if found is None:
        print("null" if options.json else say("nothing found"))
        return EX_NONE
    record, decision = found
    trouble = ""
    try:
        why_so, remedies = asyncio.run(reasons(settings, record, decision, say))
    except ConfigError as error:
        why_so, remedies, trouble = (), (), str(error)
    if options.json:
        answer = {"record": record, "refusal": decision, "causes": why_so, "remedies": remedies}
        rows = {name: objects(value) for name, value in answer.items()}
        print(msgspec.json.format(msgspec.json.encode(rows).decode(), indent=2))
        return EX_OK
    only = msgspec.structs.replace(record, decisions=(decision,), more=0)
    lines = [*story(only, (), say), *why(why_so, remedies, say)]
    if trouble:
        lines.append(say("The configuration cannot be used now, so the causes are not known: {why}", why=trouble))
    print(shorten("\n".join(lines), settings.directory))
    return EX_OK
