"""Everything that `check` looks at, as one value: settings, services, smtpd.conf, the files' text, file states."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tayori.config import maincf, mastercf, smtpdconf
from tayori.config.lint.notes import meant
from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings, split_items
from tayori.config.smtpdconf import SmtpdConf
from tayori.config.system import System

MAX_TABLE_BYTES = 1024 * 1024


def file_state(path: str) -> str:
    """ "" for a file that can be read, else why not."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.strerror or "cannot be looked at"
    if stat.S_ISREG(mode) and not os.access(path, os.R_OK):
        return "Permission denied"
    return ""


def file_text(path: str) -> str:
    """The text of a small table file; empty when it is large or cannot be read."""
    try:
        if os.path.getsize(path) > MAX_TABLE_BYTES:
            return ""
        return Path(path).read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


@dataclass(frozen=True)
class Source:
    """`errors` are the lines of main.cf, master.cf and smtpd.conf that could not be understood.

    `texts` maps each file's name to its text. `state` and `table_text` look at other files: tests replace them.
    """

    settings: Settings
    services: tuple[Service, ...]
    smtpd_conf: SmtpdConf = field(default_factory=SmtpdConf)
    texts: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[ConfigError, ...] = ()
    state: Callable[[str], str] = file_state
    table_text: Callable[[str], str] = file_text

    @property
    def main(self) -> str:
        """The name of main.cf."""
        return str(Path(self.settings.directory) / "main.cf")

    @property
    def master(self) -> str:
        """The name of master.cf."""
        return str(Path(self.settings.directory) / "master.cf")

    @cached_property
    def smtpd_views(self) -> tuple[tuple[Service, Settings], ...]:
        """Each smtpd service with the settings it sees."""
        return tuple((s, s.settings(self.settings)) for s in self.services if s.command in ("smtpd", "postscreen"))

    def lines(self, file: str) -> list[str]:
        """The physical lines of a file."""
        return self.texts.get(file, "").split("\n")

    def line(self, origin: Origin) -> str:
        """One physical line; empty when there is none."""
        lines = self.lines(origin.file)
        return lines[origin.line - 1] if 0 < origin.line <= len(lines) else ""


def meant_items(settings: Settings, name: str) -> tuple[str, ...]:
    """The items of a list as its author meant them: without notes that slipped in. Raises ConfigError."""
    assignment = settings.assignment(name)
    if assignment is None:
        return settings.items(name)
    return split_items(settings.expand(meant(assignment)))


def place(settings: Settings, name: str, word: str, fallback: str) -> Origin:
    """The line in which `word` of `name` stands, through `$name` references where need be."""
    seen: set[str] = set()
    whole = re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w.-])")

    def look(parameter: str) -> Origin | None:
        if parameter in seen:
            return None
        seen.add(parameter)
        assignment = settings.assignment(parameter)
        if assignment is None:
            return None
        for piece in assignment.pieces:
            if whole.search(piece.text):
                return Origin(assignment.origin.file, piece.line)
        for reference in references(assignment.value):
            found = look(reference)
            if found:
                return found
        return None

    return look(name) or settings.origin(name) or Origin(fallback)


def references(text: str) -> Iterator[str]:
    """The names that `text` refers to as $name, ${name…} or $(name)."""
    at = text.find("$")
    while at >= 0:
        rest = text[at + 1 :].lstrip("{( ")
        end = 0
        while end < len(rest) and (rest[end].isalnum() or rest[end] == "_"):
            end += 1
        if end:
            yield rest[:end]
        at = text.find("$", at + 1)


def read_source(
    directory: str, system: System | None = None, sasl_folders: tuple[str, ...] = smtpdconf.SYSTEM_FOLDERS
) -> Source:
    """Read a configuration directory leniently: what cannot be understood becomes `errors`.

    `sasl_folders` are the machine's own places for smtpd.conf. Raises ConfigError when main.cf itself cannot be read.
    """
    texts: dict[str, str] = {}
    main = Path(directory) / "main.cf"
    try:
        texts[str(main)] = main.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", Origin(str(main)), "check that the file exists and its mode"
        ) from error
    assignments, errors = maincf.parse_all(texts[str(main)], str(main))
    settings = Settings(directory, assignments, system)
    problems: list[ConfigError] = list(errors)
    services = mastercf.default_services(directory)
    master = Path(directory) / "master.cf"
    try:
        texts[str(master)] = master.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        pass
    except OSError as error:
        problems.append(ConfigError(f"cannot be read: {error.strerror}", Origin(str(master)), "check its mode"))
    else:
        services, service_errors = mastercf.parse_all(texts[str(master)], str(master))
        problems.extend(service_errors)
    conf = SmtpdConf()
    try:
        path = smtpdconf.locate(settings, sasl_folders)
    except ConfigError:
        path = None
    if path is not None:
        try:
            texts[str(path)] = path.read_text("utf-8", "surrogateescape")
        except OSError as error:
            problems.append(ConfigError(f"cannot be read: {error.strerror}", Origin(str(path)), "check its mode"))
        else:
            conf, conf_errors = smtpdconf.parse_all(texts[str(path)], str(path))
            problems.extend(conf_errors)
    return Source(settings, services, conf, texts, tuple(problems))
