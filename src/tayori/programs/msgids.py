"""Every text of the sources that a catalogue must translate: `say("…")`, `N_("…")`, `Phrase("…")`, the Messages of
config/lint and the reasons of config/params. Used by the test that holds the catalogues complete.

usage: python -m tayori.programs.msgids [CATALOGUE.po]    prints what the catalogue lacks (without one: everything)
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import tayori
from tayori.config.params import PARAMETERS
from tayori.config.phrase import Phrase
from tayori.programs.language import catalogue

CALLS = {"say": 1, "N_": 1, "Phrase": 1}
"""Functions whose first argument is a text."""
MESSAGE_TEXTS = ("title", "meaning", "mend")


def root() -> Path:
    """The package's folder."""
    return Path(tayori.__file__).parent


def in_source(text: str) -> Iterator[tuple[int, str]]:
    """(line, msgid) of one module."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in CALLS:
            texts = node.args[: CALLS[name]]
        elif name == "Message":
            texts = [*node.args[2:5], *(k.value for k in node.keywords if k.arg in MESSAGE_TEXTS)]
        else:
            continue
        for argument in texts:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and argument.value:
                yield argument.lineno, argument.value


def msgids() -> dict[str, str]:
    """Every msgid with the first place it stands in (`config/lint/relay.py:24`)."""
    found: dict[str, str] = {}
    for path in sorted(root().rglob("*.py")):
        text = path.read_text("utf-8")
        if any(f"{word}(" in text for word in (*CALLS, "Message")):
            for line, msgid in in_source(text):
                found.setdefault(msgid, f"{path.relative_to(root())}:{line}")
    for msgid in of_parameters():
        found.setdefault(msgid, "config/params")
    return found


def of_parameters() -> Iterator[str]:
    """What `check` says of the parameters that do not work, or not wholly."""
    for row in PARAMETERS.values():
        if row.why:
            for text in (row.doc, row.why):
                yield text.template if isinstance(text, Phrase) else text


def main(argv: list[str]) -> int:
    """Print what is missing, as .po entries."""
    known = catalogue(Path(argv[0]).read_text("utf-8")) if argv else {}
    missing = {msgid: place for msgid, place in msgids().items() if msgid not in known}
    for msgid, place in missing.items():
        print(f"#: {place}\nmsgid {quoted(msgid)}\nmsgstr {quoted('')}\n")
    return 1 if missing else 0


def quoted(text: str) -> str:
    """A .po string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
