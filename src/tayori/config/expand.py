"""`$name` expansion, postconf(5) "main.cf file format".

`$name`, `${name}`, `$(name)`, `${name?value}`, `${name:value}`, `${name?{a}:{b}}`,
`${{left} == {right} ? {a} : {b}}` with == != < <= >= > and their `level` forms,
`${domain_to_ascii{name}}`, and `$$`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import idna

from tayori.config.origin import ConfigError

Lookup = Callable[[str], str | None]
MAX_DEPTH = 100
_NAME = re.compile(r"[A-Za-z0-9_]+")
_OPERATOR = re.compile(r"\s*(==|!=|<=level|>=level|<level|>level|==level|!=level|<=|>=|<|>)\s*")


class _Parser:
    def __init__(self, lookup: Lookup, depth: int) -> None:
        self.lookup = lookup
        self.depth = depth

    def expand(self, text: str) -> str:
        if "$" not in text:
            return text
        if self.depth > MAX_DEPTH:
            raise ConfigError("$name expansion goes round in a circle", None, "break the circle of references")
        out: list[str] = []
        at = 0
        while True:
            dollar = text.find("$", at)
            if dollar < 0:
                out.append(text[at:])
                return "".join(out)
            out.append(text[at:dollar])
            following = text[dollar + 1 : dollar + 2]
            if following == "$":
                out.append("$")
                at = dollar + 2
            elif following in ("{", "("):
                end = closing(text, dollar + 1)
                out.append(self.braced(text[dollar + 2 : end]))
                at = end + 1
            else:
                name = _NAME.match(text, dollar + 1)
                if name is None:
                    raise ConfigError(f'"{text[dollar : dollar + 12]}" is no $name', None, "write $$ for a plain $")
                out.append(self.value(name.group()))
                at = name.end()

    def value(self, name: str) -> str:
        raw = self.lookup(name)
        return "" if raw is None else _Parser(self.lookup, self.depth + 1).expand(raw)

    def braced(self, body: str) -> str:
        body = body.strip()
        if body.startswith("{"):
            return self.comparison(body)
        name = _NAME.match(body)
        if name is None:
            raise ConfigError(f'"${{{body}}}" names no parameter', None, "write ${name}")
        rest = body[name.end() :].lstrip()
        if not rest:
            return self.value(name.group())
        if rest[0] == "{" and name.group() == "domain_to_ascii":
            return ascii_domain(self.expand(rest[1 : closing(rest, 0)].strip()))
        if rest[0] not in "?:":
            raise ConfigError(
                f'"${{{body}}}": "{rest[0]}" is not ? or :', None, "write ${name?value} or ${name:value}"
            )
        # As Postfix: what counts is the value as written, so that a parameter may ask for itself.
        present = (self.lookup(name.group()) or "") != ""
        return self.choose(present, rest[0], rest[1:])

    def choose(self, truth: bool, operator: str, rest: str) -> str:
        rest_stripped = rest.strip()
        if not rest_stripped.startswith("{"):
            return self.expand(rest) if truth == (operator == "?") else ""
        end = closing(rest_stripped, 0)
        first = rest_stripped[1:end].strip()
        tail = rest_stripped[end + 1 :].strip()
        other = ""
        if operator == "?" and tail[:1] == ":":
            other, tail = tail[1:].strip(), ""
            if other.startswith("{"):
                end = closing(other, 0)
                other, tail = other[1:end].strip(), other[end + 1 :].strip()
        if tail:
            raise ConfigError(f'"{rest_stripped}": "{tail}" is too much', None, "write ${name?{value}:{other}}")
        return self.expand(first if truth == (operator == "?") else other)

    def comparison(self, body: str) -> str:
        end = closing(body, 0)
        left = self.expand(body[1:end].strip())
        operator = _OPERATOR.match(body, end + 1)
        if operator is None or not body[operator.end() :].startswith("{"):
            raise ConfigError(f'"${{{body}}}" is no comparison', None, "write ${{a} == {b} ? {x} : {y}}")
        end = closing(body, operator.end())
        right = self.expand(body[operator.end() + 1 : end].strip())
        truth = compare(left, operator.group(1), right)
        rest = body[end + 1 :].strip()
        if not rest:
            return "bogus" if truth else ""
        if rest[0] not in "?:":
            raise ConfigError(f'"${{{body}}}": "{rest[0]}" is not ? or :', None, "write ${{a} == {b} ? {x} : {y}}")
        return self.choose(truth, rest[0], rest[1:])


def ascii_domain(text: str) -> str:
    """`${domain_to_ascii{…}}` of Postfix 3.11: the xn-- form; a name that has none stays as it is."""
    try:
        return text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError:
        return text


def closing(text: str, start: int) -> int:
    """Index of the bracket that closes the one at `start`. Raises ConfigError when there is none."""
    opener = text[start]
    closer = {"{": "}", "(": ")"}[opener]
    depth = 0
    for index in range(start, len(text)):
        if text[index] == opener:
            depth += 1
        elif text[index] == closer:
            depth -= 1
            if depth == 0:
                return index
    raise ConfigError(f'"{text[:40]}" lacks a closing "{closer}"', None, "close the bracket")


def level(text: str) -> tuple[int, int, int]:
    """A compatibility level, `major.minor.patch` (COMPATIBILITY_README). Raises ConfigError."""
    parts = text.split(".")
    if not 1 <= len(parts) <= 3 or not all(part.isdigit() for part in parts):
        raise ConfigError(f'compatibility level "{text}" is not a version number', None, "write for example 3.6")
    numbers = [int(part) for part in parts] + [0, 0]
    return numbers[0], numbers[1], numbers[2]


def compare(left: str, operator: str, right: str) -> bool:
    """Numbers when both sides are numbers, else strings; `level` forms compare versions."""
    a: object
    b: object
    if operator.endswith("level"):
        a, b = level(left), level(right)
        operator = operator.removesuffix("level")
    elif left.isdigit() and right.isdigit():
        a, b = int(left), int(right)
    else:
        a, b = left, right
    order = (a > b) - (a < b)  # type: ignore[operator]
    return {
        "==": order == 0,
        "!=": order != 0,
        "<": order < 0,
        "<=": order <= 0,
        ">": order > 0,
        ">=": order >= 0,
    }[operator]


def expand(text: str, lookup: Lookup) -> str:
    """Expand every reference in `text`. `lookup(name)` gives a raw value or None.

    Raises ConfigError (without origin: the caller knows the place) for bad syntax or a circle.
    """
    return _Parser(lookup, 0).expand(text)
