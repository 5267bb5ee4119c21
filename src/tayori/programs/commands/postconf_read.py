"""main.cf and master.cf as postconf(1) reads them: whatever can be shown is shown, with Postfix's warnings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tayori.config import maincf, masterentry
from tayori.config.maincf import Assignment
from tayori.config.masterentry import Entry
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.commands.postconf_options import Options, pair

Warn = Callable[[str], None]


@dataclass(slots=True)
class Configuration:
    """`settings` hold main.cf and the -o of the command line; `lines` where each name stands in main.cf."""

    settings: Settings
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)


def read(options: Options, warn: Warn, defaults: bool = False) -> Configuration:
    """Read both files; main.cf not for `defaults`. Raises ConfigError."""
    assignments = [] if defaults else main(options.main, warn)
    every = [*assignments, *options.overrides]
    return Configuration(
        settings=Settings(options.directory, every, probe()),
        values={a.name: a.value for a in every},
        lines={a.name: a.origin.line for a in every if a.origin.line},
        entries=master(options.master, warn, must=options.mode != "p"),
    )


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            raw = file.read(maincf.MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"open {path}: {error.strerror}") from error
    if len(raw) > maincf.MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than 16 MiB", None, "is this the right file?")
    return raw.decode("utf-8", "surrogateescape")


def main(path: str, warn: Warn) -> list[Assignment]:
    """The assignments of main.cf. Raises ConfigError for a line that is none."""
    found: list[Assignment] = []
    last: dict[str, str] = {}
    for pieces in maincf.logical_lines(_text(path)):
        joined = "".join(piece.text for piece in pieces)
        if joined[:1].isspace():
            warn(f'{path}: logical line must not start with whitespace: "{pieces[0].text}"')
            continue
        try:
            name, value = pair(joined)
        except ConfigError as error:
            raise ConfigError(f"{path}, line {pieces[0].line}: {error.message}") from None
        if last.get(name, value) != value:
            warn(f"{path}, line {pieces[0].line}: overriding earlier entry: {name}={last[name]}")
        last[name] = value
        found.append(Assignment(name, value, Origin(path, pieces[0].line), pieces))
    return found


def master(path: str, warn: Warn, must: bool) -> list[Entry]:
    """Every service of master.cf. Without the file: a warning, or an error where it `must` be there."""
    if not Path(path).exists() and not must:
        warn(f"open {path}: No such file or directory")
        return []
    found: list[Entry] = []
    for pieces in maincf.logical_lines(_text(path)):
        if pieces[0].text[:1].isspace():
            warn(f'{path}: logical line must not start with whitespace: "{pieces[0].text}"')
            continue
        text = " ".join(piece.text.strip() for piece in pieces)
        found.append(masterentry.parse(text, f"file {path}: line {pieces[-1].line}: bad field count"))
    return found
