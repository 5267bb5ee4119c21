"""`tayori why`: why a mail was refused, in words, and what would help.

usage: tayori why [-c DIR] [--json] [--lang LANG] CODE | last | QUEUE-ID | ADDRESS

CODE is the short code at the end of a refusal (tayori_refusal_codes = yes), or the one that `find` and `trace` show.
The causes are judged by the configuration as it is now; if it was changed since, that is said, and the deciding line
is shown as it was. Exit code: 0 found, 1 nothing found, 64 usage, 66 no history.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator

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
from tayori.programs.history.config_text import ConfigText
from tayori.programs.history.query import BadQuery, anybody
from tayori.programs.history.record import Decision, Record, code_of
from tayori.programs.history.replay import facts, situation
from tayori.programs.history.store import JUDGED, REFUSED, Reader
from tayori.programs.history.tell import story
from tayori.programs.language import N_, Language


def main(argv: list[str]) -> int:
    """Run the command; the exit code."""
    command = parser("why", N_("Why a mail was refused, and what would help."))
    command.add_argument("what", metavar="CODE|last|QUEUE-ID|ADDRESS", help=N_("the refusal"))
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
        then = facts(record, decision)
        return await causes.reasons(decision, then, situation(record), built, explainer.services, say)
    finally:
        explainer.close()


class Change(msgspec.Struct, frozen=True):
    """The configuration is another than at the refusal. `place`: the deciding line of then, which read `then`; now it
    reads `now`. `moved`: where the same line stands now. All are empty where the rule stood in no line."""

    place: str = ""
    then: str = ""
    now: str = ""
    moved: str = ""


def change(record: Record, decision: Decision, now: ConfigText) -> Change | None:
    """What changed since; None when nothing did, or the record does not tell."""
    if not record.config or record.config == now.digest:
        return None
    by = decision.by
    if by is None or not by.source:
        return Change()
    present = now.line(by.file, by.line)
    places = now.places(by.file, by.source) if present.strip() != by.source.strip() else []
    return Change(by.place, by.source, present, f"{by.file}:{places[0]}" if places else "")


def _changed(found: Change | None, say: Language) -> Iterator[str]:
    if found is None:
        return
    yield "  " + say("The configuration was changed since then; the causes below are those of now.")
    if not found.then:
        return
    if found.then.strip() == found.now.strip():
        yield "    " + say("The deciding line is still the same.")
        return
    yield "    " + say("{place} then: {text}", place=found.place, text=found.then.strip())
    if found.moved:
        yield "    " + say("The same line stands now at {place}.", place=found.moved)
    else:
        yield "    " + say("{place} now: {text}", place=found.place, text=found.now.strip() or "-")


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
        why_so, remedies, trouble = (), (), say.error(error)
    changed = change(record, decision, ConfigText.read(settings.directory))
    if options.json:
        answer = {"record": record, "refusal": decision, "causes": why_so, "remedies": remedies, "change": changed}
        rows = {name: objects(value) for name, value in answer.items()}
        print(msgspec.json.format(msgspec.json.encode(rows).decode(), indent=2))
        return EX_OK
    only = msgspec.structs.replace(record, decisions=(decision,), more=0)
    lines = [*story(only, (), say), *_changed(changed, say), *why(why_so, remedies, say)]
    if trouble:
        lines.append(say("The configuration cannot be used now, so the causes are not known: {why}", why=trouble))
    print(shorten("\n".join(lines), settings.directory))
    return EX_OK
