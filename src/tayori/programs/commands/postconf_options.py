"""The command line of postconf(1): which options go together, and what the operands make of it."""

from __future__ import annotations

import getopt
from collections.abc import Iterable
from dataclasses import dataclass, field

from tayori.config.maincf import Assignment, Piece
from tayori.config.origin import ConfigError, Origin
from tayori.programs.commands.control import default_directory

CLASSES = ("builtin", "service", "user", "all")
TLS_MODES = ("compile-version", "run-version", "public-key-algorithms")
MODES = "aAbFlmMpPtT"
"""Each shows or changes something else; `p`, main.cf, is what no mode means."""
EXCLUSIVE = (MODES, "denX#", "efX#", "ehHX#", "exX#", "deoX#")
"""Of each group one at most."""
# What an option cannot be used with, in the order in which Postfix names them.
CONFLICTS: dict[str, str] = {
    **dict.fromkeys("aAblmtT", "defhHnoxX#"),
    "M": "dhHn",
    "F": "dnX#",
    "P": "dn#",
}
USAGE = (
    "usage: postconf [-aAbeEfFhHjlmMnpPtvxX#] [-c config_dir] [-C class,...] [-d] [-o name=value] "
    "[-T compile-version|run-version|public-key-algorithms] [name...]"
)


@dataclass(slots=True)
class Options:
    """What the command line asked for: the letters given, the folder, classes, -o settings, the operands."""

    letters: set[str] = field(default_factory=set)
    directory: str = ""
    classes: frozenset[str] = frozenset(CLASSES)
    overrides: list[Assignment] = field(default_factory=list)
    tls: str = ""
    operands: list[str] = field(default_factory=list)

    @property
    def mode(self) -> str:
        """One of MODES."""
        return next((letter for letter in MODES if letter in self.letters), "p")

    @property
    def main(self) -> str:
        """main.cf by name."""
        return f"{self.directory}/main.cf"

    @property
    def master(self) -> str:
        """master.cf by name."""
        return f"{self.directory}/master.cf"


def parse(argv: list[str]) -> Options:
    """Raises ConfigError for what cannot be meant."""
    try:
        given, operands = getopt.getopt(argv, "aAbc:C:deEfFhHjlmMno:pPtT:vxX#")
    except getopt.GetoptError as error:
        raise ConfigError(f"{error.msg}\n{USAGE}") from None
    options = Options(directory=default_directory(), operands=operands)
    for letter, value in given:
        match letter:
            case "-c":
                options.directory = value
            case "-C":
                options.classes = classes(value)
            case "-o":
                options.overrides.append(override(value))
            case "-T":
                options.tls = value
        if letter not in ("-c", "-C", "-v"):
            options.letters.add(letter[1:])
    if "b" in options.letters and "t" in options.letters:
        raise ConfigError("specify one of -b and -t")
    if options.mode in "pMFP" and operands and "=" in operands[0]:
        options.letters.add("e")  # as in Postfix, NAME=VALUE alone means -e
    vet(options.letters)
    if "e" in options.letters and not operands:
        raise ConfigError("-e requires name=value argument")
    if options.letters & {"X", "#"} and not operands:
        raise ConfigError("missing service argument")
    return options


def vet(letters: Iterable[str]) -> None:
    """Raises ConfigError for options that exclude one another."""
    for group in EXCLUSIVE:
        both = [letter for letter in group if letter in letters]
        if len(both) > 1:
            raise ConfigError(f"specify one of {' '.join(f'-{letter}' for letter in both)}")
    for letter, others in CONFLICTS.items():
        wrong = [f"-{other}" for other in others if other in letters] if letter in letters else []
        if wrong:
            raise ConfigError(f"with option -{letter}, do not specify {' '.join(wrong)}")


def classes(text: str) -> frozenset[str]:
    """-C. Raises ConfigError for an unknown class."""
    found = text.replace(",", " ").split()
    for name in found:
        if name not in CLASSES:
            raise ConfigError(f'unknown -C option value "{name}" in "{text}"')
    return frozenset(CLASSES if "all" in found else found)


def override(text: str) -> Assignment:
    """-o NAME=VALUE. Raises ConfigError."""
    try:
        name, value = pair(text)
    except ConfigError as error:
        raise ConfigError(f"invalid parameter override: {error.message.replace(chr(34), '')}") from None
    return Assignment(name, value, Origin("-o"), (Piece(0, text),))


def pair(text: str) -> tuple[str, str]:
    """NAME=VALUE, blanks round both removed. Raises ConfigError."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or len(name.split()) > 1:
        raise ConfigError(f"missing '=' after attribute name: \"{text}\"")
    if not name:
        raise ConfigError(f'missing attribute name: "{text}"')
    return name, value.strip()
