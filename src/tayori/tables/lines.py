"""Table sources as text: logical lines with their numbers, and what was wrong with a line.

postmap(1) INPUT FILE FORMAT: empty lines and lines whose first non-white character is `#` are skipped; a line
that begins with white space continues the logical line above it. White space is ASCII only, as in Postfix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

BLANKS = b" \t\r\v\f\n"


@dataclass(frozen=True, slots=True)
class Problem:
    """A line of a table that cannot be used, and why. `line` counts from 1, 0 is the whole file."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key value` pair; `line` is where the logical line begins."""

    key: str
    value: str
    line: int


def logical_lines(raw: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Join continuation lines: (number of the first physical line, text without line ends)."""
    first = 0
    held: list[bytes] = []
    for number, line in enumerate(raw, start=1):
        text = line.rstrip(b"\r\n")
        stripped = text.lstrip(BLANKS)
        if not stripped or stripped[0] == 35:  # "#"
            continue
        if held and text[0] in BLANKS:
            held.append(text)
            continue
        if held:
            yield first, held[0] if len(held) == 1 else b"".join(held)
        first, held = number, [text]
    if held:
        yield first, held[0] if len(held) == 1 else b"".join(held)


def fold(key: str) -> str:
    """Case folding of keys, as Postfix does with smtputf8_enable: ASCII lower case, Unicode case folding beyond."""
    return key.lower() if key.isascii() else key.casefold()


def plain(key: str) -> str:
    """The key as it is: postmap -f."""
    return key


FOLDS: dict[str, Callable[[str], str]] = {"fold": fold, "plain": plain}


def key_end(text: bytes) -> int:
    """Where the first white space outside double quotes stands (or the end); -1 when a quote is not closed."""
    inside = False
    at = 0
    while at < len(text):
        char = text[at]
        if char == 92:  # "\\"
            at += 1
        elif char == 34:
            inside = not inside
        elif char in BLANKS and not inside:
            return at
        at += 1
    return -1 if inside else len(text)
