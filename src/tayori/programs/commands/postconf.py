"""postconf: show and change parameters, with the options and the output of postconf(1).

usage: postconf [-c DIR] [-dnhxfjp] [NAME…]          parameters: main.cf over defaults (-n: set ones, -d: defaults)
       postconf [-c DIR] -e NAME=VALUE…               set
       postconf [-c DIR] -# NAME… | -X NAME…          comment out, remove
       postconf [-c DIR] -M|-F|-P [-fx] [SERVICE/TYPE[/NAME]…]   master.cf: lines, columns, -o settings
       postconf -m | -a | -A                          table types, SASL server and client types

Exit code: 0, 1 for anything that cannot be done. Warnings go to standard error.
"""

from __future__ import annotations

import getopt
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tayori.config import edit, maincf
from tayori.config.lint.names import known, nearest, prefixes, user_names
from tayori.config.lint.source import Source
from tayori.config.lint.vocabulary import TABLE_TYPES
from tayori.config.mastercf import COLUMNS, Service, read_services
from tayori.config.origin import ConfigError
from tayori.config.params import PARAMETERS, TEMPLATES
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.commands.check import replace_file
from tayori.programs.commands.control import default_directory

SASL_SERVER = ("cyrus", "dovecot")
SASL_CLIENT = ("cyrus",)
_STOPS = (11, 17, 25, 33, 41, 49, 57)
# Where Postfix folds: a value after 80 columns, a master.cf line after 78.
_WIDTH = 80
_SERVICE_WIDTH = 78
_AGENTS = ("local", "virtual", "smtp", "lmtp", "pipe", "error")


@dataclass(slots=True)
class Options:
    """What the command line asked for: the letters given, the folder, the operands."""

    letters: set[str] = field(default_factory=set)
    directory: str = ""
    operands: list[str] = field(default_factory=list)


def parse(argv: list[str]) -> Options:
    """Raises getopt.GetoptError."""
    given, operands = getopt.gnu_getopt(argv, "aAc:dD:eEfFhHjlmMnopPtvxX#C:b")
    options = Options(directory=default_directory(), operands=operands)
    for letter, value in given:
        if letter == "-c":
            options.directory = value
        else:
            options.letters.add(letter[1:])
    return options


def warn(text: str) -> None:
    """A warning in Postfix's form."""
    print(f"postconf: warning: {text}", file=sys.stderr)


def squeezed(text: str) -> str:
    """Runs of blanks as one, as Postfix shows a continued value."""
    return " ".join(text.split())


def transport_names(services: Iterable[Service]) -> list[str]:
    """The per-transport parameters of the delivery services in master.cf."""
    found = []
    for service in services:
        if service.kind == "unix" and service.command in _AGENTS:
            found += [
                service.name + suffix
                for suffix in TEMPLATES
                if service.command == "pipe" or not suffix.endswith("_time_limit")
            ]
    return found


class Show:
    """`name = value` lines. One object per run: settings, services and the options."""

    def __init__(self, settings: Settings, services: tuple[Service, ...], options: Options) -> None:
        self.settings = settings
        self.services = services
        self.options = options
        self.own = user_names(Source(settings, services))

    def names(self) -> list[str]:
        """The names asked for, or all."""
        if self.options.operands:
            return self.options.operands
        if "n" in self.options.letters:
            found = [a.name for a in self.settings.assignments if self.is_known(a.name)]
            return sorted({*found, "config_directory"})
        every = [
            name for name, row in PARAMETERS.items() if not name.startswith("transport_") or name == "transport_maps"
        ]
        return sorted({*every, "transport_retry_time", *transport_names(self.services), *self.user_set()})

    def user_set(self) -> list[str]:
        """Names of the user's own that are set and used."""
        if "d" in self.options.letters:
            return []
        return [a.name for a in self.settings.assignments if a.name in self.own]

    def is_known(self, name: str) -> bool:
        """A parameter, or a name of the user's own that something refers to."""
        return known(name, Source(self.settings, self.services)) or name in self.own

    def value(self, name: str) -> str | None:
        """The value to print; None for an unknown name."""
        letters = self.options.letters
        if "n" in letters and name != "config_directory" and not self.settings.is_set(name):
            return None
        raw = self.settings.raw(name)
        if raw is None:
            return None
        if "x" in letters:
            raw = self.settings.expand(raw)
        return squeezed(raw)

    def lines(self) -> Iterator[str]:
        """The output."""
        for name in self.names():
            value = self.value(name)
            if value is None:
                if not self.is_known(name):
                    meant = nearest(name)
                    hint = f'; did you mean "{meant}"?' if meant else ""
                    warn(f"{name}: unknown parameter{hint}")
                continue
            yield self.line(name, value)

    def line(self, name: str, value: str) -> str:
        """One parameter."""
        letters = self.options.letters
        if "j" in letters:
            return json.dumps({"name": name, "value": value}, ensure_ascii=False)
        text = value if "h" in letters else f"{name} = {value}".rstrip()
        return "\n".join(fold(text.split(" "), "    ")) if "f" in letters else text

    def unused(self) -> None:
        """Warn of every line that has no effect."""
        source = Source(self.settings, self.services)
        own_prefixes = prefixes(source)
        for assignment in self.settings.assignments:
            name = assignment.name
            if not self.is_known(name) and not (own_prefixes and name.startswith(own_prefixes)):
                meant = nearest(name)
                hint = f' (line {assignment.origin.line}; did you mean "{meant}"?)' if meant else ""
                warn(f"{assignment.origin.file}: unused parameter: {name}={squeezed(assignment.value)}{hint}")


def fold(words: Iterable[str], indent: str, start: str = "") -> Iterator[str]:
    """Words as lines of at most 80 characters."""
    line = start
    for word in words:
        if not line:
            line = word
        elif len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = indent + word
        else:
            line = f"{line} {word}"
    yield line


def columns(service: Service) -> str:
    """The eight columns of a master.cf line, aligned as Postfix does."""
    line = ""
    for text, stop in zip(service.columns, _STOPS, strict=True):
        line += text
        line = line.ljust(stop) if len(line) < stop else line + " "
    return line + service.command


def words(service: Service) -> list[str]:
    """The arguments, an -o and its setting as one word; blanks round the = of a { } setting go."""
    found: list[str] = []
    pending = list(service.words)
    while pending:
        word = pending.pop(0)
        if word == "-o" and pending:
            setting = pending.pop(0)
            if setting.startswith("{"):
                name, _, value = setting[1:-1].partition("=")
                setting = f"{{{name.strip()}={squeezed(value)}}}"
            word = f"-o {setting}"
        found.append(word)
    return found


def service_line(service: Service, folded: bool) -> Iterator[str]:
    """`postconf -M`."""
    line, rest = columns(service), words(service)
    if not folded:
        yield " ".join([line, *rest])
        return
    for word in rest:
        if word.startswith("-o ") or len(line) + 1 + len(word) > _SERVICE_WIDTH:
            yield line
            line = f"    {word}"
        else:
            line = f"{line} {word}"
    yield line


def master(settings: Settings, services: tuple[Service, ...], options: Options) -> Iterator[str]:
    """-M, -F and -P, all services or those that the operands name."""
    wanted = [operand.split("/") for operand in options.operands] or [[]]
    for pattern in wanted:
        for service in services:
            name, kind, *rest = [*pattern, "*", "*", "*"][:3]
            if name not in ("*", service.name) or kind not in ("*", service.kind):
                continue
            if "M" in options.letters:
                yield from service_line(service, "f" in options.letters)
            elif "F" in options.letters:
                yield from fields(service, rest[0])
            else:
                yield from overrides(settings, service, rest[0], options)


def fields(service: Service, wanted: str) -> Iterator[str]:
    """`postconf -F`."""
    values = (*service.columns, " ".join([service.command, *words(service)]))
    for title, value in zip((*COLUMNS, "command"), values, strict=True):
        if wanted in ("*", title):
            yield f"{service.name}/{service.kind}/{title} = {value}"


def overrides(settings: Settings, service: Service, wanted: str, options: Options) -> Iterator[str]:
    """`postconf -P`."""
    for override in sorted(service.overrides, key=lambda a: a.name):
        if wanted in ("*", override.name):
            value = squeezed(override.value)
            if "x" in options.letters:
                value = service.settings(settings).expand(value)
            yield f"{service.name}/{service.kind}/{override.name} = {value}"


def change(options: Options) -> None:
    """-e, -# and -X. Raises ConfigError for bad operands, OSError when the file cannot be written."""
    path = Path(options.directory) / "main.cf"
    text = path.read_text("utf-8", "surrogateescape")
    if "e" in options.letters:
        values: dict[str, str] = {}
        for operand in options.operands:
            name, equals, value = operand.partition("=")
            if not equals or not name.strip() or "\n" in operand or "\r" in operand:
                raise ConfigError(f'"{operand}" is not NAME=VALUE', mend="write one NAME=VALUE in quotes")
            values[name.strip()] = value.strip()
        text = edit.assign(text, values)
    elif "#" in options.letters:
        text = edit.comment_out(text, tuple(options.operands))
    else:
        text = edit.remove(text, tuple(options.operands))
    maincf.parse(text, str(path))
    replace_file(path, text)


LISTS: dict[str, Callable[[], Iterable[str]]] = {
    "m": lambda: sorted(kind for kind, why in TABLE_TYPES.items() if not why),
    "a": lambda: SASL_SERVER,
    "A": lambda: SASL_CLIENT,
}


def run(options: Options) -> Iterator[str]:
    """The lines to print. Raises ConfigError, OSError."""
    letters = options.letters
    for letter, listing in LISTS.items():
        if letter in letters:
            yield from listing()
            return
    # As in Postfix, NAME=VALUE alone means -e.
    if not letters & {"M", "F", "P", "d"} and any("=" in operand for operand in options.operands):
        letters.add("e")
    if letters & {"M", "F", "P"}:
        if letters & {"e", "#", "X"}:
            raise ConfigError("master.cf cannot be edited with postconf here", mend="edit the file itself")
        settings = Settings.read(options.directory, probe())
        yield from master(settings, read_services(settings), options)
        return
    if letters & {"e", "#", "X"}:
        change(options)
        return
    settings = Settings.read(options.directory, probe())
    services = read_services(settings)
    if "d" in letters:
        settings = Settings(options.directory, (), settings.system)
    show = Show(settings, services, options)
    yield from show.lines()
    if "d" not in letters:
        show.unused()


def main(argv: list[str]) -> int:
    """Run the command; answers the exit code."""
    try:
        options = parse(argv)
        for line in run(options):
            print(line)
    except (ConfigError, getopt.GetoptError) as error:
        print(f"postconf: fatal: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"postconf: fatal: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0
