"""One line of master.cf as text, for postconf(1) -M, -F and -P: read leniently, written back in Postfix's form.

`config/mastercf.py` reads the same lines for the server, and refuses what it cannot run; here a setting without `=`
or an open brace is kept and shown, so that it can be looked at and mended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tayori.config.mastercf import word_end
from tayori.config.origin import ConfigError

FIELDS = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")
"""Names of the fields, postconf(1) -F."""

# master(5): what each column may hold.
COLUMNS: dict[str, re.Pattern[str]] = {
    "type": re.compile(r"inet|unix|fifo|pass|unix-dgram"),
    "private": re.compile(r"[yn-]"),
    "unprivileged": re.compile(r"[yn-]"),
    "chroot": re.compile(r"[yn-]"),
    "wakeup": re.compile(r"-|[0-9]+\??"),
    "process_limit": re.compile(r"-|[0-9]+"),
}
_STOPS = (11, 17, 25, 33, 41, 49, 57)
WIDTH = 79
"""Where Postfix folds a line of master.cf."""
INDENT = "    "


@dataclass(slots=True)
class Entry:
    """`columns` are the seven before the command. `options` are the leading words with a dash: `-v`, or
    `-o NAME=VALUE` as ("-o", text without outer braces). `arguments` follow, without outer braces too.
    """

    columns: list[str]
    command: str
    options: list[tuple[str, str]] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The service's name."""
        return self.columns[0]

    @property
    def kind(self) -> str:
        """The service's type."""
        return self.columns[1]

    def settings(self) -> dict[str, str]:
        """The `-o NAME=VALUE` settings, blanks round both removed; the last of one name counts."""
        return dict(pair for letter, text in self.options if letter == "-o" and (pair := setting(text)))

    def assign(self, name: str, value: str) -> None:
        """Set `-o name=value`, in place of the first of that name; others of it go."""
        at = next((n for n, option in enumerate(self.options) if _names(option, name)), len(self.options))
        self.remove(name)
        self.options.insert(at, ("-o", f"{name}={value}"))

    def remove(self, name: str) -> None:
        """Take every `-o name=…` away."""
        self.options = [option for option in self.options if not _names(option, name)]

    def value(self, title: str) -> str:
        """A field as `postconf -F` shows it."""
        if title == "command":
            return " ".join([self.command, *self.words()])
        return self.columns[FIELDS.index(title)]

    def set_value(self, title: str, text: str) -> None:
        """Change a field. Raises ConfigError for a value that master(5) does not allow."""
        if title == "command":
            command, *words = split(text)
            self.command = command
            self.options, self.arguments = parted(words)
            return
        column(title, text, text)
        self.columns[FIELDS.index(title)] = text

    def words(self) -> Iterator[str]:
        """What follows the command, an `-o` with its setting as one word."""
        for letter, text in self.options:
            yield f"{letter} {braced(text)}" if letter == "-o" else letter
        for argument in self.arguments:
            yield braced(argument)

    def aligned(self) -> str:
        """The columns at their places, and the command."""
        line = ""
        for text, stop in zip(self.columns, _STOPS, strict=True):
            line += text
            line = line.ljust(stop) if len(line) < stop else f"{line} "
        return line + self.command

    def line(self) -> str:
        """`postconf -M`."""
        return " ".join([self.aligned(), *self.words()])

    def folded(self, start: str = "") -> str:
        """`postconf -Mf`: each -o in its own line, other words folded. `start` stands for the columns."""
        lines = [f"{start}{self.command}" if start else self.aligned()]
        broken = False
        for word in self.words():
            setting = word.startswith("-o ")
            if setting or broken:
                lines.append(INDENT + word)
            else:
                _add(lines, word)
            broken = setting
        return "\n".join(lines)


def _add(lines: list[str], word: str) -> None:
    if len(lines[-1]) + 1 + len(word) > WIDTH:
        lines.append(INDENT + word)
    else:
        lines[-1] += f" {word}"


def _names(option: tuple[str, str], name: str) -> bool:
    pair = setting(option[1]) if option[0] == "-o" else None
    return pair is not None and pair[0] == name


def setting(text: str) -> tuple[str, str] | None:
    """NAME and VALUE of `NAME=VALUE`; None where there is no `=` or no name."""
    name, equals, value = text.partition("=")
    return (name.strip(), value.strip()) if equals and name.strip() else None


def braced(text: str) -> str:
    """An argument as it is written: in braces when it holds blanks or is empty."""
    return text if text and not any(char.isspace() for char in text) else f"{{{text}}}"


def column(title: str, text: str, context: str) -> None:
    """Raises ConfigError when `text` cannot stand in this column."""
    allowed = COLUMNS.get(title)
    if allowed is not None and text and not allowed.fullmatch(text):
        raise ConfigError(f'invalid {title} field "{text}" in "{context}"')


def split(text: str) -> list[str]:
    """Words at blanks; one that begins with `{` runs to its closing brace, or to the end when there is none."""
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start = at
        try:
            at = word_end(text, start)
        except ConfigError:
            at = len(text)
        found.append(text[start:at])
    return found


def bare(word: str) -> str:
    """A word without outer braces, and without those that were never closed."""
    if not word.startswith("{"):
        return word
    inside = word[1:]
    if inside.endswith("}"):
        inside = inside[:-1]
    text = inside.strip()
    name, equals, value = text.partition("=")
    return f"{name.strip()}={value.strip()}" if equals and name.strip() else text


def parted(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Options and arguments, as getopt(3) tells them apart: the first word without a dash ends the options."""
    options: list[tuple[str, str]] = []
    pending = list(words)
    while pending:
        word = bare(pending[0])
        if not word.startswith("-") or word in ("-", "--"):
            break
        pending.pop(0)
        letters, o, rest = word.partition("o")
        if not o:
            options.append((word, ""))
            continue
        if letters != "-":
            options.append((letters, ""))
        if rest:
            options.append(("-o", bare(rest)))
        elif pending:
            following = pending.pop(0)
            options.append(("-o", bare(following) if following.startswith("{") else following))
        else:
            options.append(("-o", ""))
    return options, [_argument(word) for word in pending]


def _argument(word: str) -> str:
    return word[1:-1].strip() if word.startswith("{") and word.endswith("}") else word


def parse(text: str, short: str) -> Entry:
    """One logical line. Raises ConfigError with the words `short` for too few columns, or for a bad column."""
    words = split(text)
    if len(words) < len(FIELDS):
        raise ConfigError(short)
    for title, word in zip(FIELDS[:7], words, strict=False):
        column(title, word, text.strip())
    options, arguments = parted(words[8:])
    return Entry(words[:7], words[7], options, arguments)
