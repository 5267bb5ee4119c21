"""Every text of the sources that a catalogue must translate: `say("…")`, `N_("…")`, `Phrase("…")`, the Messages of
config/lint and the reasons of config/params; and what errors and verdicts say, f-strings too, which Language.told
knows by their shape. Used by the test that holds the catalogues complete.

usage: python -m tayori.programs.msgids [CATALOGUE.po]    prints what the catalogue lacks (without one: everything)
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import tayori
from tayori.config.params import PARAMETERS
from tayori.config.phrase import Phrase
from tayori.delivery.mx import BAD_HOP
from tayori.delivery.pipe import EXITS, OUTPUT
from tayori.programs.language import LEAST_LETTERS, REPLY, Language, catalogue
from tayori.protocol.smtp_client_values import COMMAND_NAMES, Stage

CALLS = {"say": 1, "N_": 1, "Phrase": 1}
"""Functions whose first argument is a text."""
SHAPED: dict[str, tuple[int, ...]] = {
    "ConfigError": (0, 2), "Failed": (0,), "ServerDown": (0,), "Wrong": (0,), "Refused": (0,), "TryLater": (0,),
    "Failure": (0,), "Trouble": (0,), "SasldbError": (0,), "PamError": (0,), "Unreadable": (0,), "TempFail": (0,),
    "Lost": (0,), "Unreachable": (0,), "_breaks": (0,), "Removed": (2,), "Broken": (0,), "Problem": (1,),
}  # fmt: skip
"""Errors and verdicts, and which of their arguments are said to a person."""
SHAPED_NAMES = ("mend", "complaint", "why")
"""Names that such texts go by before they are raised."""
SHAPED_FUNCTIONS = ("_why_not", "_nobody", "_mend", "how_to_stop", "probe", "trouble")
"""Functions that give such texts back."""
OUTCOMES: dict[str, tuple[int, ...]] = {
    "Delivered": (0,), "DeferredDelivery": (0,), "BouncedDelivery": (0,), "Result": (3,),
}  # fmt: skip
"""What becomes of a recipient: English in the log and in reports, told by `trace` and `explain`."""
DELIVERY = re.compile(r"delivery/|programs/daemons/(dispatch/|special|pipes|rounds)")
"""The modules that give such outcomes."""
VALUES = "tables/"
"""The folder of modules whose ValueErrors are said to a person."""
PEERS = re.compile(
    r"programs/commands/(post|mailq|maildrop|newaliases|sendmail|sasl|testsasl|pluginviewer)|programs/daemons/saslauthd"
    r"|config/(edit|masterentry)\.py|delivery/smtp_(handshake|texts)|programs/daemons/(smtpd/auth|dispatch|special)"
    r"|policy/(backup|verification)|delivery/pipe\.py|explain/"
)
"""The tools that speak English as their peers do, what they alone use, and what says replies and lines of the log."""
REPLIES = ("reply.text",)
"""Expressions that hold another server's own words."""
NOUNS = ("user name", "authorisation name", "OAuth message", "SCRAM message")
"""What the functions utf8 and name of sasl/mechanisms/base.py complain of."""
WORDS = (
    *(stage.value for stage in Stage),
    *COMMAND_NAMES.values(),
    *(words for _, words in EXITS.values()),
    BAD_HOP,
    OUTPUT,
    *NOUNS,
)
"""What stands in the fields of outcomes."""
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


def shaped(text: str, more: tuple[str, ...] = ()) -> Iterator[tuple[int, str]]:
    """(line, msgid) of the errors and verdicts of one module; `more` are other errors that it raises."""
    for node in ast.walk(ast.parse(text)):
        found: list[ast.expr] = []
        name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and name in (*SHAPED, *more):
            found = [node.args[at] for at in SHAPED.get(name, (0,)) if at < len(node.args)]
            found += [each.value for each in node.keywords if each.arg in SHAPED_NAMES]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found = [node.value] if node.targets[0].id in SHAPED_NAMES else []
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in SHAPED_FUNCTIONS:
            found = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
        for expression in found:
            for template in templates(expression):
                if re.search(r"[a-z]{2}", re.sub(r"\{\w+\}", "", template)):
                    yield expression.lineno, template


def outcomes(text: str) -> Iterator[tuple[int, str]]:
    """(line, template) of what one module says became of a recipient."""
    for node in ast.walk(ast.parse(text)):
        found: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            found = [node.args[at] for at in OUTCOMES.get(name, ()) if at < len(node.args)]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found = [node.value] if node.targets[0].id in ("text", "why") else []
        for expression in found:
            for template in templates(expression):
                if len(re.findall(r"[a-z]", re.sub(r"\{\w+\}", "", template))) >= LEAST_LETTERS:
                    yield expression.lineno, template


def templates(expression: ast.expr) -> Iterator[str]:
    """The texts that an expression may be: literals, f-strings, and either side of `if` and `or`."""
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        yield expression.value
    elif isinstance(expression, ast.JoinedStr):
        yield template(expression)
    elif isinstance(expression, ast.BinOp) and isinstance(expression.left, ast.Constant):
        yield f"{expression.left.value!s}{{value}}"  # "known are: " + …
    elif isinstance(expression, ast.IfExp):
        yield from templates(expression.body)
        yield from templates(expression.orelse)
    elif isinstance(expression, ast.BoolOp | ast.Tuple):
        for each in expression.values if isinstance(expression, ast.BoolOp) else expression.elts:
            yield from templates(each)


def template(text: ast.JoinedStr) -> str:
    """An f-string with plain names in its braces."""
    made, taken = "", set()
    for piece in text.values:
        if isinstance(piece, ast.Constant):
            made += str(piece.value).replace("{", "{{").replace("}", "}}")
            continue
        assert isinstance(piece, ast.FormattedValue)
        value = piece.value
        name = (
            REPLY
            if ast.unparse(value) in REPLIES
            else value.id
            if isinstance(value, ast.Name)
            else value.attr
            if isinstance(value, ast.Attribute)
            else "value"
        )
        name = name.strip("_").lower()
        while name in taken:
            name += "_"
        taken.add(name)
        made += f"{{{name}}}"
    return made


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
    for msgid in WORDS:
        found.setdefault(msgid, "delivery/")
    said = Language("all", dict.fromkeys(found, ""))
    for path in sorted(root().rglob("*.py")):
        name = str(path.relative_to(root()))
        if not PEERS.match(name):
            more = ("ValueError",) if name.startswith(VALUES) else ()
            for line, msgid in shaped(path.read_text("utf-8"), more):
                if not said.knows(example(msgid)):
                    found.setdefault(msgid, f"{name}:{line}")
        if DELIVERY.match(name):
            for line, msgid in outcomes(path.read_text("utf-8")):
                if not said.knows(example(msgid)):
                    found.setdefault(msgid, f"{name}:{line}")
    return found


def example(template: str) -> str:
    """A template filled in with anything."""
    return re.sub(r"(?<![${])\{\w+\}", "x", template).replace("{{", "{").replace("}}", "}")


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
