"""What regexp and pcre tables share: `/pattern/flags result` lines, substitution, and fast search in many patterns.

regexp_table(5), pcre_table(5): `!/pattern/flags result`, `if /pattern/flags` … `endif`, `$1 ${1} $(1) $$`.

Neighbouring simple patterns are also joined into one guard, which says in one search that none of them fits, or
which of them fits furthest to the left. A rule above that one may fit further right and then comes first, so the
rules above are asked too, again joined. Two hundred patterns so cost little more than one, found or not.

A pattern that needs more steps than the engine's limit allows fails the look-up with TempFail, naming the line
(Postfix logs it and goes on with the next rule): a rule that could be dodged by a crafted text protects nobody.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tayori.config.origin import Origin
from tayori.tables.lines import Problem
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, TempFail
from tayori.tables.rules import Block, RuleLine, RuleSource
from tayori.tables.spec import Spec

log = logging.getLogger("tayori.tables")

Search = Callable[[str], Any]
CHUNK, RUN = 16, 256
RECENT, RECENT_LENGTH = 256, 320
"""So many answers are remembered, of texts no longer than an address."""


class TooHard(Exception):
    """The engine gave up on a pattern."""

    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(f"line {line}: the pattern needs too many steps for this text")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A pattern ready to search: `search(text)` gives a match object or None; `groups` counts its ( ) groups.

    `joinable` is the pattern as it may stand in an alternation of a guard, or empty.
    """

    search: Search
    groups: int
    joinable: str = ""


@dataclass(frozen=True, slots=True)
class Engine:
    """How one table type compiles. `compile(pattern, flags)` raises ValueError; `join(patterns)` makes a guard or
    gives None; `failure` is what its search raises when it gives up."""

    compile: Callable[[str, str], Compiled]
    join: Callable[[list[str]], Search | None]
    failure: type[Exception]


_REFERENCE = re.compile(r"\$(?:(\$)|([0-9]+)(?![A-Za-z0-9_])|\{([0-9]+)\}|\(([0-9]+)\)|(.?))", re.DOTALL)


def template(text: str, groups: int, negated: bool) -> tuple[str | int, ...]:
    """Split a result into texts and group numbers. Raises ValueError for a `$` that means nothing."""
    parts: list[str | int] = []
    at = 0
    for found in _REFERENCE.finditer(text):
        parts.append(text[at : found.start()])
        at = found.end()
        if found.group(1):
            parts.append("$")
            continue
        number = found.group(2) or found.group(3) or found.group(4)
        if number is None:
            raise ValueError(f'"{text[found.start() : found.start() + 10]}" is no $number; write $$ for a plain $')
        if negated:
            raise ValueError(f'"{found.group()}" cannot stand in the result of a negated pattern')
        if not 0 < int(number) <= groups:
            raise ValueError(f'"{found.group()}" but the pattern has {groups} groups in ( )')
        parts.append(int(number))
    parts.append(text[at:])
    return tuple(part for part in parts if part != "")


def parse_rule(text: str) -> tuple[bool, str, str, str]:
    """(negated, pattern, flags, result) of a rule line. Raises ValueError."""
    rest = text
    negated = False
    while rest.startswith("!"):
        negated = not negated
        rest = rest[1:].lstrip()
    if not rest or rest[0].isalnum() or rest[0] == "\\":
        raise ValueError("expected /pattern/flags: a pattern stands between two equal characters that are no letters")
    delimiter = rest[0]
    at = 1
    while at < len(rest) and rest[at] != delimiter:
        at += 2 if rest[at] == "\\" else 1
    if at >= len(rest):
        raise ValueError(f'the closing "{delimiter}" is missing')
    pattern = rest[1:at]
    flags, _, result = rest[at + 1 :].partition(" ")
    words = rest[at + 1 :].split(None, 1)
    if rest[at + 1 : at + 2].isspace() or not words:
        flags, result = "", rest[at + 1 :].strip()
    else:
        flags, result = words[0], words[1].strip() if len(words) == 2 else ""
    return negated, pattern, flags, result


class _Rule:
    __slots__ = ("body", "compiled", "found", "line", "negated", "parts")

    def __init__(self, line: int, compiled: Compiled, negated: bool) -> None:
        self.line = line
        self.compiled = compiled
        self.negated = negated
        self.parts: tuple[str | int, ...] = ()
        self.found: Found | None = None
        self.body: PatternRules | None = None


class _Guard:
    """An alternation of patterns, each followed by a mark that tells which of them it was."""

    __slots__ = ("search",)

    def __init__(self, engine: Engine, rules: Sequence[_Rule]) -> None:
        marked = [f"{rule.compiled.joinable}(*MARK:{position})" for position, rule in enumerate(rules)]
        self.search = engine.join(marked) if rules else _nothing

    def first(self, text: str) -> int | None:
        """A rule that fits, -1 for none, None for "cannot tell". May raise the engine's failure."""
        if self.search is None:
            return None
        match = self.search(text)
        return -1 if match is None else int(match.expand("${*MARK}"))


def _nothing(text: str) -> None:
    """The guard of no rules."""


class _Run:
    """Neighbouring joinable rules, at most RUN, with a guard over all and guards over what comes before one."""

    __slots__ = ("_above", "_engine", "_near", "guard", "rules")

    def __init__(self, engine: Engine, rules: tuple[_Rule, ...]) -> None:
        self.rules = rules
        self.guard = _Guard(engine, rules)
        self._engine = engine
        self._above: dict[int, _Guard] = {}
        self._near: dict[int, _Guard] = {}

    def first(self, text: str) -> int | None:
        """The position of the first rule that fits; -1 for none, None for "cannot tell"."""
        try:
            found = self.guard.first(text)
            while found is not None and found > 0:
                higher = self._higher(found, text)
                if higher == -1:
                    return found
                found = higher
        except self._engine.failure:
            return None
        return found

    def _higher(self, position: int, text: str) -> int | None:
        """A rule above `position` that fits; guards over whole chunks above, then over its neighbours.

        Guards are made when they are first needed: a rule that never fits needs none.
        """
        start = position - position % CHUNK
        if start:
            above = self._above.get(start)
            if above is None:
                above = self._above[start] = _Guard(self._engine, self.rules[:start])
            found = above.first(text)
            if found != -1:
                return found
        near = self._near.get(position)
        if near is None:
            near = self._near[position] = _Guard(self._engine, self.rules[start:position])
        found = near.first(text)
        return found if found is None or found < 0 else start + found


class PatternRules:
    """The rules of one file or one if block, in order. `file` is for the origin of results."""

    def __init__(self, engine: Engine, tree: Iterable[RuleLine | Block], problems: list[Problem], file: str) -> None:
        self._failure = engine.failure
        self._file = file
        rules: list[_Rule] = []
        for item in tree:
            try:
                rules.append(self._rule(engine, item, problems))
            except ValueError as error:
                problems.append(Problem(item.line, str(error)))
        self._steps = tuple(_steps(engine, rules))

    def _rule(self, engine: Engine, item: RuleLine | Block, problems: list[Problem]) -> _Rule:
        negated, pattern, flags, result = parse_rule(item.condition if isinstance(item, Block) else item.text)
        compiled = engine.compile(pattern, flags)
        rule = _Rule(item.line, compiled, negated)
        if isinstance(item, Block):
            if result:
                problems.append(Problem(item.line, 'there is text after the pattern of "if"'))
            rule.body = PatternRules(engine, item.body, problems, self._file)
            return rule
        if not result:
            raise ValueError("the result after the pattern is missing")
        rule.parts = template(result, compiled.groups, negated)
        if all(isinstance(part, str) for part in rule.parts):
            rule.found = Found("".join(map(str, rule.parts)), Origin(self._file, item.line))
        return rule

    def find(self, text: str) -> Found | None:
        """The result of the first rule that fits. Raises TooHard."""
        for step in self._steps:
            found = self._run(step, text) if isinstance(step, _Run) else self._ask(step, text)
            if found is not None:
                return found
        return None

    def _run(self, run: _Run, text: str) -> Found | None:
        first = run.first(text)
        if first == -1:
            return None
        if first is not None:
            return run.rules[first].found or self._ask(run.rules[first], text)
        for rule in run.rules:
            found = self._ask(rule, text)
            if found is not None:
                return found
        return None

    def _ask(self, rule: _Rule, text: str) -> Found | None:
        try:
            match = rule.compiled.search(text)
        except self._failure:
            raise TooHard(rule.line) from None
        if (match is None) != rule.negated:
            return None
        if rule.body is not None:
            return rule.body.find(text)
        if rule.found is not None:
            return rule.found
        value = "".join(part if isinstance(part, str) else match.group(part) or "" for part in rule.parts)
        return Found(value, Origin(self._file, rule.line))


def _steps(engine: Engine, rules: list[_Rule]) -> Iterable[_Rule | _Run]:
    held: list[_Rule] = []
    for rule in [*rules, None]:
        joinable = rule is not None and rule.compiled.joinable and not rule.negated and rule.body is None
        if not joinable or len(held) == RUN:
            if len(held) < 3:
                yield from held
            else:
                yield _Run(engine, tuple(held))
            held = []
        if rule is None:
            continue
        if joinable:
            held.append(rule)
        else:
            yield rule


class PatternTable:
    """A regexp or pcre table. Keys are asked whole and not folded."""

    partial = False

    def __init__(self, spec: Spec, engine: Engine) -> None:
        self.name = spec.name
        file = f"{spec.kind}:{{…}}" if spec.rest.lstrip().startswith("{") else spec.rest
        self.source: RuleSource[PatternRules] = RuleSource(
            spec, lambda tree, problems: PatternRules(engine, tree, problems, file)
        )
        self._told: set[int] = set()
        self._recent: dict[str, Outcome] = {}
        self._recent_of: PatternRules | None = None

    async def lookup(self, key: str) -> Outcome:
        """Ask with the whole text."""
        rules = self.source.current()
        if rules is None:
            return TempFail(f"{self.name}: {self.source.why}")
        if rules is not self._recent_of:
            self._recent_of = rules
            self._recent.clear()
        known = self._recent.get(key)
        if known is not None:
            return known
        try:
            found = rules.find(key)
        except TooHard as error:
            if error.line not in self._told:
                self._told.add(error.line)
                log.warning("%s:%d: the pattern needs too many steps for some texts", self.source.file, error.line)
            return TempFail(f"{self.name}: {error}")
        except UnicodeEncodeError:
            return await self.lookup(key.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        answer: Outcome = NOT_FOUND if found is None else found
        if len(key) <= RECENT_LENGTH:
            if len(self._recent) >= RECENT:
                self._recent.clear()
            self._recent[key] = answer
        return answer

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The bad lines of the version read last."""
        return self.source.problems

    @property
    def why(self) -> str:
        """Why the table cannot be read; empty when it can."""
        return self.source.why

    def close(self) -> None:
        """Nothing to release."""
