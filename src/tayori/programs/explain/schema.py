"""The shapes of what `--json` prints, as Markdown made from the values themselves: a part of docs/reasons.md.

usage: python -m tayori.programs.explain.schema [docs/reasons.md]    prints them (or puts them into the page)
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tayori.programs.explain.values import Explanation, Remedy
from tayori.programs.history.record import Outcome, Record
from tayori.programs.history.rehearse import Rehearsed

ROOTS: tuple[type[msgspec.Struct], ...] = (Explanation, Record, Outcome, Remedy, Rehearsed)
"""What the answers of explain, find, trace, why and rehearse are made of."""
WIDTH = 118
BEGIN, END = "<!-- made by python -m tayori.programs.explain.schema -->", "<!-- end -->"


def shapes() -> list[type[msgspec.Struct]]:
    """The roots and every value inside them, each once, a value before what it is made of."""
    found: list[type[msgspec.Struct]] = list(ROOTS)
    for shape in found:
        for hint in typing.get_type_hints(shape).values():
            found += [one for one in _structs(hint) if one not in found]
    return found


def _structs(hint: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for part in typing.get_args(hint):
        yield from _structs(part)


def named(hint: object) -> str:
    """A type in the words of JSON."""
    if hint is type(None):
        return "null"
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(named(part) for part in parts)
    if origin in (tuple, list):
        return f"list of {named(parts[0])}"
    words = {str: "text", bytes: "text", int: "number", float: "number", bool: "true/false"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))  # type: ignore[call-overload, no-any-return]


def markdown() -> Iterator[str]:
    """The lines."""
    for shape in shapes():
        words = " ".join(inspect.cleandoc(shape.__doc__ or "").split())
        yield from textwrap.wrap(f"**{shape.__name__}**: {words}", WIDTH, break_on_hyphens=False)
        yield ""
        hints = typing.get_type_hints(shape)
        fields = ", ".join(f"`{name}` {named(hints[name])}" for name in shape.__struct_fields__)
        yield from textwrap.wrap(f"{fields}.", WIDTH, break_on_hyphens=False)
        yield ""


def page(text: str) -> str:
    """The page with the part made anew. Raises ValueError when it has no such part."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"no {BEGIN} … {END}")
    made = "\n".join((BEGIN, "", *markdown(), END))
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: made, text, flags=re.DOTALL)


def main(argv: list[str]) -> int:
    """Print, or renew the page named."""
    if argv:
        path = Path(argv[0])
        path.write_text(page(path.read_text("utf-8")), "utf-8")
    else:
        print("\n".join(markdown()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
