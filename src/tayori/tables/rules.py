"""What cidr, regexp and pcre tables share: rule lines, if/endif nesting, inline rules, and re-reading.

A rule table is a file of logical lines (`type:/file`) or a list in the name itself (`type:{ { rule }, { rule } }`,
Postfix 3.7). A line that cannot be used is left out with a warning at the first reading; a later reading with
such a line is refused (watched.py).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tayori.config.expand import closing
from tayori.config.origin import ConfigError
from tayori.tables.lines import BLANKS, Problem, logical_lines
from tayori.tables.spec import Spec
from tayori.tables.watched import Loaded, Watched

log = logging.getLogger("tayori.tables")

T = TypeVar("T")
MAX_DEPTH = 50
_WORD = re.compile(r"(?i)(if|endif)(?![A-Za-z0-9])")


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One logical line and where it begins."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """`if condition` … `endif`; `body` holds RuleLines and Blocks in order."""

    line: int
    condition: str
    body: tuple[RuleLine | Block, ...]


def rule_lines(raw: bytes) -> tuple[list[RuleLine], list[Problem]]:
    """The logical lines of a rule file."""
    lines: list[RuleLine] = []
    problems: list[Problem] = []
    for number, text in logical_lines(raw.split(b"\n")):
        if text[0] in BLANKS:
            problems.append(Problem(number, "the first rule must not begin with white space"))
            continue
        try:
            lines.append(RuleLine(number, text.rstrip(BLANKS).decode()))
        except UnicodeDecodeError:
            problems.append(Problem(number, "is not valid UTF-8: save the file as UTF-8"))
    return lines, problems


def inline_items(text: str) -> list[str]:
    """The items of `{ a, { b c }, … }`: outer braces checked, inner ones taken off. Raises ConfigError."""
    stripped = text.strip()
    if not stripped.startswith("{") or closing(stripped, 0) != len(stripped) - 1:
        raise ConfigError(f'"{text[:60]}" must stand in braces', None, "write { … } around it")
    body = stripped[1:-1]
    items: list[str] = []
    at = 0
    while at < len(body):
        if body[at] in " ,\t\r\n":
            at += 1
            continue
        start = at
        if body[at] == "{":
            at = closing(body, at) + 1
            items.append(body[start + 1 : at - 1].strip())
            continue
        while at < len(body) and body[at] not in " ,\t\r\n":
            at = closing(body, at) + 1 if body[at] == "{" else at + 1
        items.append(body[start:at])
    return items


def nest(lines: Sequence[RuleLine]) -> tuple[tuple[RuleLine | Block, ...], list[Problem]]:
    """Build the if/endif tree. An `if` that is never closed runs to the end of the file, with a problem."""
    problems: list[Problem] = []
    stack: list[tuple[int, str, list[RuleLine | Block]]] = [(0, "", [])]
    for rule in lines:
        word = _WORD.match(rule.text)
        if word and word.group(1).lower() == "if" and len(stack) <= MAX_DEPTH:
            stack.append((rule.line, rule.text[2:].strip(), []))
        elif word and word.group(1).lower() == "endif":
            if rule.text.strip().lower() != "endif":
                problems.append(Problem(rule.line, 'there is text after "endif"'))
            if len(stack) == 1:
                problems.append(Problem(rule.line, '"endif" without "if"'))
                continue
            line, condition, body = stack.pop()
            stack[-1][2].append(Block(line, condition, tuple(body)))
        else:
            stack[-1][2].append(rule)
    while len(stack) > 1:
        line, condition, body = stack.pop()
        problems.append(Problem(line, '"if" without "endif"'))
        stack[-1][2].append(Block(line, condition, tuple(body)))
    return tuple(stack[0][2]), problems


Compiler = Callable[[tuple["RuleLine | Block", ...], list[Problem]], T]


class RuleSource(Generic[T]):
    """The compiled rules of a table, from a file (watched) or from its own name (fixed)."""

    def __init__(self, spec: Spec, compile_rules: Compiler[T]) -> None:
        self._compile = compile_rules
        self._watched: Watched[T] | None = None
        self._fixed: T | None = None
        self._problems: tuple[Problem, ...] = ()
        self.file = spec.rest
        if spec.rest.lstrip().startswith("{"):
            self._from_name(spec)
            return
        self._watched = Watched(spec.rest, self._load, spec.clock)
        if self._watched.why:
            place = f"{spec.origin}: " if spec.origin else ""
            log.warning('%s%s; look-ups answer "try later"', place, self._watched.why)

    def _from_name(self, spec: Spec) -> None:
        try:
            items = inline_items(spec.rest)
        except ConfigError as error:
            raise spec.bad(error.message, error.mend) from None
        lines = [RuleLine(number, text) for number, text in enumerate(items, start=1) if text]
        tree, problems = nest(lines)
        self._fixed = self._compile(tree, problems)
        if problems:
            raise spec.bad(f"rule {problems[0].line}: {problems[0].why}")
        self.file = f"{spec.kind}:{{…}}"

    def _load(self, path: str) -> Loaded[T]:
        with open(path, "rb") as file:
            lines, problems = rule_lines(file.read())
        tree, unbalanced = nest(lines)
        problems.extend(unbalanced)
        compiled = self._compile(tree, problems)
        return Loaded(compiled, tuple(sorted(problems, key=lambda problem: problem.line)))

    def current(self) -> T | None:
        """The rules to use now; None while the file has never been readable."""
        return self._fixed if self._watched is None else self._watched.current()

    @property
    def why(self) -> str:
        """Why there are no rules; empty when there are."""
        return "" if self._watched is None else self._watched.why

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The bad lines of the version read last."""
        return () if self._watched is None else self._watched.problems
