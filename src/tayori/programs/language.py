"""The language of what tayori tells people: English, which the sources are written in, or a catalogue in `locale/`.

Catalogues are gettext .po files, read as they are (no msgfmt anywhere). The language comes from --lang, else from
LC_ALL, LC_MESSAGES or LANG, as gettext does it; the locale does not touch what machines read. A text without a
translation is shown in English.
"""

from __future__ import annotations

import ast
import os
import re
import string
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import resources

from tayori.config.lint.finding import Finding, Phrase
from tayori.config.origin import ConfigError
from tayori.config.phrase import Told

NEVER_FIRST = frozenset("、。」』）,.)ーっゃゅょッャュョァィゥェォ")
VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
LEAST_LETTERS = 5
"""A template with fewer letters of its own would fit any text."""
REPLY = "reply"
VERBATIM = (REPLY, "output")
"""The fields that hold another server's or a command's own words, which stay as they are."""
NESTED = 4
"""How deep a text may hold others, as an error holds the reason that the system gave."""


def N_(text: str) -> str:
    """Marks a text that is translated later, where it is shown."""
    return text


SYSTEM = (
    N_("No such file or directory"), N_("Permission denied"), N_("Address already in use"), N_("File exists"),
    N_("Operation not permitted"), N_("Not a directory"), N_("Is a directory"), N_("Connection refused"),
    N_("Connection reset by peer"), N_("Connection timed out"), N_("Broken pipe"), N_("No space left on device"),
    N_("Read-only file system"), N_("Cannot assign requested address"), N_("Network is unreachable"),
    N_("No route to host"), N_("Too many open files"), N_("Input/output error"), N_("Directory not empty"),
    N_("timed out"), N_("File name too long"), N_("Too many levels of symbolic links"),
    N_("Name or service not known"), N_("Temporary failure in name resolution"),
    N_("Connect call failed ({where})"),
    N_("[Errno {number}] {why}: '{path}'"), N_("[Errno {number}] {why}"), N_("unable to open database file"),
    N_("file is not a database"), N_("database is locked"), N_("attempt to write a readonly database"),
)  # fmt: skip
"""What the system says (strerror) and how Python puts it; known by their shape."""

WITH_MEND = N_("{what} ({mend})")


class Shape:
    """A template turned round: from the filled-in text to the fields."""

    def __init__(self, template: str, pieces: list[tuple[str, str]]) -> None:
        """`pieces`: (literal text, name of the field behind it)."""
        self.template = template
        self._pieces = pieces
        self._literals = [literal for literal, _ in pieces if literal]
        self.letters = sum(letter.isalpha() for literal in self._literals for letter in literal)

    @classmethod
    def of(cls, template: str) -> Shape | None:
        """None where there are no fields, or hardly anything else."""
        try:
            pieces = [(literal, name or "") for literal, name, _, _ in string.Formatter().parse(template)]
        except ValueError:
            return None
        names = [name for _, name in pieces if name]
        made = cls(template, pieces)
        plain = names and all(re.fullmatch(r"[a-z_]\w*", name) for name in names)
        return made if plain and made.letters >= LEAST_LETTERS else None

    def fields(self, text: str) -> dict[str, str] | None:
        """The fields of a text of this shape; None for others."""
        if not all(literal in text for literal in self._literals):
            return None
        pattern, seen = "", set()
        for literal, name in self._pieces:
            pattern += re.escape(literal)
            if name:
                pattern += f"(?P={name})" if name in seen else f"(?P<{name}>.*?)"
                seen.add(name)
        found = re.fullmatch(pattern, text)
        return found.groupdict() if found else None


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
        """A Phrase and what the system says in this language; anything else as it is."""
        if isinstance(value, Phrase):
            return self(value.template, **value.fields)
        if isinstance(value, Told):
            return self.told(value)
        return self(value) if isinstance(value, str) and value in SYSTEM else value

    def told(self, text: str, depth: int = NESTED) -> str:
        """What came in English from code without a catalogue, or from another process: known by its shape."""
        if isinstance(text, Phrase):
            return self(text.template, **text.fields)
        if not self._texts or depth == 0:
            return text
        if "\n" in text:
            return "\n".join(self.told(line, depth) for line in text.split("\n"))
        either = (text, text[:1].upper() + text[1:])  # as it is, and as the beginning of a sentence
        for one in either:
            if one in self._texts:
                return self._texts[one]
        for one in either:
            if shape := self._shape(one):
                found = shape.fields(one) or {}
                # one word is a name or a value, though it may be an English one
                fields = {
                    n: self.told(value, depth - 1) if " " in value and n not in VERBATIM else value
                    for n, value in found.items()
                }
                return self._texts[shape.template].format(**fields)
        return self._pieces(text, depth)

    def knows(self, text: str) -> bool:
        """Whether `told` has a translation of every word of the text that is not `x`, which stands for a field."""
        for one in (text, text[:1].upper() + text[1:]):
            shape = self._shape(one)
            found = shape.fields(one) if shape else None
            if one in self._texts or (
                found is not None and not any(re.search(r"[^\W\dx]", v) for v in found.values())
            ):
                return True
        return False

    def _shape(self, text: str) -> Shape | None:
        return next((shape for shape in self._shapes if shape.fields(text) is not None), None)

    def _pieces(self, text: str, depth: int) -> str:
        """Each piece of `place: what (what to do)` by itself."""
        for gap in re.finditer(r" \(", text if text.endswith(")") else ""):
            what, mend = text[: gap.start()], text[gap.end() : -1]
            said = self.told(what, depth - 1), self.told(mend, depth - 1)
            if what != said[0] and (mend != said[1] or " " not in mend):
                return self(WITH_MEND, what=said[0], mend=said[1])
        head, colon, rest = text.partition(": ")
        return f"{head}: {self.told(rest, depth)}" if colon and " " in rest else text

    @cached_property
    def _shapes(self) -> list[Shape]:
        """The templates, those with most letters first."""
        found = [shape for template in self._texts if (shape := Shape.of(template)) is not None]
        return sorted(found, key=lambda shape: -shape.letters)

    def error(self, error: ConfigError) -> str:
        """As its str(), in this language."""
        place = f"{error.origin}: " if error.origin else ""
        what = self.told(error.message)
        return f"{place}{self(WITH_MEND, what=what, mend=self.told(error.mend)) if error.mend else what}"

    def trouble(self, error: OSError) -> str:
        """What the system says, with the file's name."""
        why = self.told(error.strerror or str(error))
        return f"{error.filename}: {why}" if error.filename else why

    @staticmethod
    def wrap(text: str, width: int, first: str) -> list[str]:
        """Lines of at most `width` columns; `first` stands before the first, as many blanks before the others.

        Wide characters take two columns, and a line may end behind any of them, but never begins with 、 or 。 or ー.
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


def columns(text: str) -> int:
    """How wide a text is on a terminal."""
    return sum(2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1 for letter in text)


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


class _Asked:
    """What `tayori --lang` before the command's name asked for."""

    lang = ""


def prefer(lang: str) -> None:
    """Take this language where a command names none."""
    _Asked.lang = lang


def choose(wanted: str = "", machine: bool = False) -> Language:
    """By --lang, else by the locale, which says nothing of what a `machine` reads; English without a catalogue."""
    wanted = wanted or _Asked.lang
    if machine and not wanted:
        return ENGLISH
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
