"""What cleanup made of a given message: which header fields changed, which checks fitted, the limits it met."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from tayori.programs.explain.stage import Play
from tayori.programs.explain.values import Changed, Content, Lookup
from tayori.programs.explain.watch import CONTENT
from tayori.protocol.headers import Field, fields, header_end

SHOWN = 300


def content(play: Play, rewriting: tuple[Lookup, ...], reply: str) -> Content:
    """The Content of a play whose question had one."""
    sent = play.question.content.replace(b"\r\n", b"\n")
    cleaned = play.intake.cleaned
    limit = play.session.options.size_limit
    checks = tuple(one for one in rewriting if one.parameter in CONTENT)
    if cleaned is None:
        return Content(len(sent) + sent.count(b"\n"), limit, reply)
    before, after = header_end(sent), header_end(cleaned.content)
    return Content(
        size=len(sent) + sent.count(b"\n"),
        limit=limit,
        reply=reply,
        checks=checks,
        changes=tuple(changes(fields(sent[:before]), fields(cleaned.content[:after]))) if cleaned.content else (),
        body_changed=bool(cleaned.content) and _body(sent, before) != _body(cleaned.content, after),
        hold=cleaned.hold,
        discard=cleaned.discard,
        filter=cleaned.filter,
    )


def changes(before: list[Field], after: list[Field]) -> Iterator[Changed]:
    """Fields added, removed and altered, in the order of the message."""
    old, new = [one.raw for one in before], [one.raw for one in after]
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        gone, come = before[a:b], after[c:d]
        for one in gone:
            twin = next((at for at, other in enumerate(come) if other.name == one.name), None)
            yield Changed(_text(one), _text(come.pop(twin)) if twin is not None else "")
        for one in come:
            yield Changed("", _text(one))


def _text(field: Field) -> str:
    return field.raw.decode("utf-8", "backslashreplace").rstrip("\n")[:SHOWN]


def _body(text: bytes, end: int) -> bytes:
    return text[end:].removeprefix(b"\n").rstrip(b"\n")
