"""The language of what tayori tells people: English, which the sources are written in, or a catalogue in `locale/`.

Catalogues are gettext .po files, read as they are (no msgfmt anywhere). The language comes from --lang, else from
LC_ALL, LC_MESSAGES or LANG, as gettext does it. A text without a translation is shown in English.
"""

from __future__ import annotations

import ast
import os
import unicodedata
from collections.abc import Iterator, Mapping
from importlib import resources

from tayori.config.lint.finding import Finding, Phrase

NEVER_FIRST = frozenset("、。」』）,.)")
VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def N_(text: str) -> str:
    """Marks a text that is translated later, where it is shown."""
    return text


class Language:
    """Call it with an English template and its fields."""

    def __init__(self, code: str, texts: Mapping[str, str]) -> None:
        self.code = code
        self._texts = texts

    def __call__(self, text: str, /, **fields: object) -> str:
        """The template in this language, its `{fields}` filled in; a Phrase among them is translated too."""
        template = self._texts.get(text, text)
        if not fields:
            return template
        return template.format(**{name: self.phrase(value) for name, value in fields.items()})

    def phrase(self, value: object) -> object:
        """A Phrase in this language; anything else as it is."""
        return self(value.template, **value.fields) if isinstance(value, Phrase) else value

    @staticmethod
    def wrap(text: str, width: int, first: str) -> list[str]:
        """Lines of at most `width` columns; `first` stands before the first, as many blanks before the others.

        Wide characters take two columns, and a line may end behind any of them, but never begins with 、 or 。.
        """
        lines: list[str] = []
        line, used, gap = first, len(first), ""
        for word, wide in _words(text):
            size = len(word) * (2 if wide else 1)
            if used > len(first) and used + len(gap) + size > width and word not in NEVER_FIRST:
                lines.append(line)
                line, used, gap = " " * len(first), len(first), ""
            line += gap + word if used > len(first) else word
            used += len(gap) + size
            gap = ""
            if word == " ":
                line, used, gap = line[:-1], used - 1, " "
        return [*lines, line]

    def finding(self, finding: Finding) -> tuple[str, str, str]:
        """Title, meaning and mend of a finding of `check`."""
        message = finding.message
        if message is None:
            return finding.title, finding.meaning, finding.mend
        fields = dict(finding.fields)
        title, meaning, mend = (
            self(text, **fields) if fields else self(text).format()
            for text in (message.title, message.meaning, message.mend)
        )
        return title, meaning, mend


ENGLISH = Language("en", {})


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Words, blanks and single wide characters."""
    word = ""
    for letter in text:
        wide = unicodedata.east_asian_width(letter) in ("W", "F")
        if wide or letter.isspace():
            if word:
                yield word, False
            yield (letter if wide else " "), wide
            word = ""
        else:
            word += letter
    if word:
        yield word, False


def choose(wanted: str = "") -> Language:
    """By --lang, else by the locale; English when there is no catalogue."""
    if not wanted:
        wanted = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "")
    code = wanted.replace("-", "_").partition(".")[0].partition("_")[0].lower()
    found = resources.files("tayori").joinpath("locale", f"{code}.po") if code.isalpha() else None
    if found is None or not found.is_file():
        return ENGLISH
    return Language(code, catalogue(found.read_text("utf-8")))


def catalogue(text: str) -> dict[str, str]:
    """The translated messages of a .po file; fuzzy and empty ones are left out. Raises ValueError."""
    return {source: target for source, target, fuzzy in entries(text) if source and target and not fuzzy}


def entries(text: str) -> Iterator[tuple[str, str, bool]]:
    """(msgid, msgstr, fuzzy) in order; the header has an empty msgid. Raises ValueError."""
    parts: dict[str, list[str]] = {}
    current = ""
    fuzzy = False
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        word, _, rest = line.partition(" ")
        if line.startswith("#"):
            fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
        elif word in ("msgid", "msgstr"):
            current = word
            parts[current] = [_unquoted(rest, number)]
        elif line.startswith('"') and current:
            parts[current].append(_unquoted(line, number))
        elif not line.strip():
            if "msgid" in parts:
                yield "".join(parts["msgid"]), "".join(parts.get("msgstr", [])), fuzzy
            parts, current, fuzzy = {}, "", False
        else:
            raise ValueError(f"line {number}: {line!r}")


def _unquoted(text: str, number: int) -> str:
    try:
        value = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, str):
        raise ValueError(f"line {number}: not a quoted text: {text!r}")
    return value
