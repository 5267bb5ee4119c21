"""Command lines whose help and errors are in the reader's language: argparse, its texts looked up when it parses."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

from tayori.programs.language import ENGLISH, N_, Language, choose

EX_USAGE = 64
USAGE = N_("usage: ")
OWN = (N_("positional arguments"), N_("options"), N_("show this help message and exit"))
"""Texts that argparse brings itself."""
ERRORS = (
    N_("the following arguments are required: {names}"),
    N_("unrecognized arguments: {names}"),
    N_("argument {name}: expected one argument"),
    N_("argument {name}: expected at least one argument"),
    N_("argument {name}: invalid int value: {value}"),
    N_("argument {name}: invalid float value: {value}"),
    N_("argument {name}: invalid choice: {value} (choose from {choices})"),
    N_("argument {name}: not allowed with argument {other}"),
    N_("argument {name}: ignored explicit argument {value}"),
    N_("ambiguous option: {name} could match {choices}"),
)
"""What it complains of: known by its shape (Language.told)."""


def wanted(argv: Sequence[str]) -> str:
    """What --lang says, before anything is parsed; "" for nothing."""
    for at, word in enumerate(argv):
        if word.startswith("--lang="):
            return word.partition("=")[2]
        if word == "--lang" and at + 1 < len(argv):
            return argv[at + 1]
    return ""


def hush() -> None:
    """Keep what tables and back ends note for the server's log off the terminal: the command says it itself."""
    logging.getLogger("tayori").addHandler(logging.NullHandler())


class Arguments(argparse.ArgumentParser):
    """As ArgumentParser, with --lang; the texts given to it are msgids."""

    said: Language = ENGLISH

    def __init__(self, prog: str = "", **how: object) -> None:
        """As ArgumentParser."""
        super().__init__(prog, **how)  # type: ignore[arg-type]
        self.add_argument("--lang", default="", metavar="LANG", help=N_("the language: en, ja"))

    def read(self, argv: list[str]) -> argparse.Namespace:
        """As parse_args. Raises SystemExit, as that does."""
        self.speak(choose(wanted(argv)))
        return self.parse_args(argv)

    def speak(self, say: Language) -> None:
        """Say help and errors in this language, here and in the parsers of the subcommands."""
        self.said = say
        self.description = say(self.description or "")
        for action in self._actions:
            if action.help:
                action.help = say(action.help)
            if isinstance(action, argparse._SubParsersAction):
                for choice in action.choices.values():
                    choice.speak(say)
                for row in action._choices_actions:
                    row.help = say(row.help or "")
        for group in self._action_groups:
            if group.title in OWN:
                group.title = say(group.title)

    def format_usage(self) -> str:
        """The usage line."""
        return self._said_usage(super().format_usage())

    def format_help(self) -> str:
        """The whole help."""
        return self._said_usage(super().format_help())

    def _said_usage(self, text: str) -> str:
        return self.said(USAGE) + text.removeprefix("usage: ")

    def error(self, message: str) -> NoReturn:
        """Usage and what is wrong, exit code 64 (EX_USAGE)."""
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {self.said.told(message)}\n")
