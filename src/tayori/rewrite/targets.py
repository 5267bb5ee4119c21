"""The right-hand side of an alias, parsed: aliases(5), also the lines of :include: and .forward files.

Destinations are parted by commas (or blanks): an address, `\\name` (sendmail's way to name a user), `|command` or
`"|command with blanks"`, `/file/name`, `:include:/file/name`. Comments in parentheses and phrases before
`<address>` are dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPECIAL = re.compile(r'\s*"?[|/:]')


@dataclass(frozen=True, slots=True)
class Destination:
    """`kind` is "address", "user" (`\\name`), "command", "file" or "include"; `text` without its mark."""

    kind: str
    text: str


def parse_destinations(text: str) -> tuple[Destination, ...]:
    """All destinations of one value, in order. An empty value has none."""
    return tuple(found for word in _words(text) if (found := _destination(word)) is not None)


def _words(text: str) -> list[str]:
    """Split at commas, and at blanks outside quotes where no `<…>` follows."""
    words: list[str] = []
    for part in _split(text, ","):
        if "<" in part and not _SPECIAL.match(part):
            start = part.index("<")
            end = part.find(">", start)
            words.append(part[start + 1 : end] if end > 0 else part[start + 1 :])
        else:
            words.extend(_split(part, " \t\n\r"))
    return words


def _split(text: str, separators: str) -> list[str]:
    found: list[str] = []
    word: list[str] = []
    quoted = False
    depth = 0
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            word.append(text[at : at + 2])
            at += 2
            continue
        if char == '"' and not depth:
            quoted = not quoted
        elif char == "(" and not quoted:
            depth += 1
        elif char == ")" and depth:
            depth -= 1
            at += 1
            continue
        if depth:
            pass
        elif char in separators and not quoted:
            found.append("".join(word))
            word = []
        else:
            word.append(char)
        at += 1
    found.append("".join(word))
    return [item.strip() for item in found if item.strip()]


def _destination(word: str) -> Destination | None:
    if len(word) >= 2 and word[0] == word[-1] == '"':
        word = _unquote(word[1:-1])
    elif word.startswith("\\") and not word.startswith('\\"'):
        return Destination("user", word[1:])
    elif '"' in word and word[0] not in "|/:":
        word = _unquote(word.replace('"', ""))
    if not word:
        return None
    if word[0] == "|":
        return Destination("command", word[1:].strip())
    if word[0] == "/" and "@" not in word:
        return Destination("file", word)
    if word[:9].lower() == ":include:":
        return Destination("include", word[9:].strip().strip('"'))
    return Destination("address", word)


def _unquote(text: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        out.append(text[at])
        at += 1
    return "".join(out)
