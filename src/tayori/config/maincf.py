"""Reading main.cf: logical lines, assignments, and where each physical line stands.

postconf(5), "main.cf file format": `#` in the first non-blank column is a comment; a line that begins
with white space continues the logical line above it, across blank lines and comments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tayori.config.origin import ConfigError, Origin

BLANKS = " \t\r\n\v\f"
"""What parts words: of ASCII alone, as Postfix does it; U+00A0 is a letter."""

MAX_FILE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """One physical line of a logical line: its number (from 1) and its text without the line end."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """`name = value` as it stands in the file; `value` is unexpanded, its pieces joined by single blanks."""

    name: str
    value: str
    origin: Origin
    pieces: tuple[Piece, ...]

    def line_of(self, word: str) -> Origin:
        """The line in which `word` of the value stands (the assignment's own line when not found)."""
        for piece in self.pieces:
            if word in piece.text:
                return Origin(self.origin.file, piece.line)
        return self.origin


def logical_lines(text: str) -> Iterator[tuple[Piece, ...]]:
    """Split into logical lines. Comments and blank lines end nothing and belong to nothing."""
    pieces: list[Piece] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        stripped = line.lstrip(" \t\v\f")
        if not stripped or stripped.startswith("#"):
            continue
        if line[0] in " \t\v\f" and pieces:
            pieces.append(Piece(number, line))
        else:
            if pieces:
                yield tuple(pieces)
            pieces = [Piece(number, line)]
    if pieces:
        yield tuple(pieces)


def assignment_of(pieces: tuple[Piece, ...], file: str) -> Assignment:
    """One logical line. Raises ConfigError for one without `=` or without a name, as Postfix does."""
    origin = Origin(file, pieces[0].line)
    joined = " ".join(piece.text.strip(BLANKS) for piece in pieces)
    name, equals, value = joined.partition("=")
    name = name.strip(BLANKS)
    if not equals:
        raise ConfigError(
            f'"{joined[:60]}" has no "="', origin, "write name = value; a note must begin with # in its own line"
        )
    if not name:
        raise ConfigError("the name before = is missing", origin, "write name = value")
    if " " in name or "\t" in name:
        raise ConfigError(f'"{name}" has a blank in it and cannot be a parameter name', origin, "write name = value")
    return Assignment(name, value.strip(BLANKS), origin, pieces)


def parse_all(text: str, file: str) -> tuple[list[Assignment], list[ConfigError]]:
    """Every assignment that can be understood, and the errors of the other lines: for `check`."""
    found: list[Assignment] = []
    errors: list[ConfigError] = []
    for pieces in logical_lines(text):
        try:
            found.append(assignment_of(pieces, file))
        except ConfigError as error:
            errors.append(error)
    return found, errors


def parse(text: str, file: str) -> list[Assignment]:
    """All assignments in file order; a later one of the same name wins (the caller decides).

    Raises ConfigError for a logical line without `=` or without a name, as Postfix does.
    """
    return [assignment_of(pieces, file) for pieces in logical_lines(text)]


def read(path: Path) -> list[Assignment]:
    """Parse a main.cf file.

    Raises ConfigError when it cannot be read, is larger than MAX_FILE_BYTES, or holds a bad line.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", Origin(str(path)), "check that the file exists and its mode"
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError("is larger than 16 MiB", Origin(str(path)), "is this the right file?")
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise ConfigError("holds a NUL byte", Origin(str(path), line), "save it as plain text")
    return parse(raw.decode("utf-8", "surrogateescape"), str(path))
