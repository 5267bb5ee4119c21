"""Command lines whose help and errors are in the reader's language: argparse, its texts looked up when it parses."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from tayori.programs.language import ENGLISH, N_, Language, choose

USAGE = N_("usage: ")
OWN = (N_("positional arguments"), N_("options"), N_("show this help message and exit"))
"""Texts that argparse brings itself."""
ERRORS = (
    N_("the following arguments are required: {names}"),
    N_("unrecognized arguments: {names}"),
    N_("argument {name}: expected one argument"),
    N_("argument {name}: invalid {kind} value: {value}"),
)


def wanted(argv: Sequence[str]) -> str:
    """What --lang says, before anything is parsed; "" for nothing."""
    for at, word in enumerate(argv):
        if word.startswith("--lang="):
            return word.partition("=")[2]
        if word == "--lang" and at + 1 < len(argv):
            return argv[at + 1]
    return ""


class Arguments(argparse.ArgumentParser):
    """As ArgumentParser; the texts given to it are msgids."""

    said: Language = ENGLISH

    def read(self, argv: list[str]) -> argparse.Namespace:
        """As parse_args. Raises SystemExit, as that does."""
        say = self.said = choose(wanted(argv))
        self.description = say(self.description or "")
        for action in self._actions:
            if action.help:
                action.help = say(action.help)
        for group in self._action_groups:
            if group.title in OWN:
                group.title = say(group.title)
        return self.parse_args(argv)

    def format_usage(self) -> str:
        """The usage line."""
        return self._said_usage(super().format_usage())

    def format_help(self) -> str:
        """The whole help."""
        return self._said_usage(super().format_help())

    def _said_usage(self, text: str) -> str:
        return self.said(USAGE) + text.removeprefix("usage: ")

    def error(self, message: str) -> NoReturn:
        """Usage and what is wrong, exit code 2."""
        self.print_usage(sys.stderr)
        for template in ERRORS:
            shape = re.escape(template)
            for name in re.findall(r"\{(\w+)\}", template):
                shape = shape.replace(re.escape("{" + name + "}"), f"(?P<{name}>.+)")
            found = re.fullmatch(shape, message)
            if found:
                message = self.said(template, **found.groupdict())
                break
        self.exit(2, f"{self.prog}: {message}\n")
