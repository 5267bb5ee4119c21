"""What `trace`, `find`, `why` and `rehearse` share: options, opening the history, exit codes."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Callable

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.commands.arguments import Arguments, hush
from tayori.programs.commands.control import default_directory, no_configuration
from tayori.programs.daemons.layout import Layout
from tayori.programs.history.query import BadQuery
from tayori.programs.history.store import FILE_NAME, Reader
from tayori.programs.language import N_, Language, choose

EX_OK, EX_NONE, EX_USAGE, EX_NOINPUT, EX_CONFIG = 0, 1, 64, 66, 78

UNREADABLE = N_("the history cannot be read (are you root or the mail owner?): {why}")

Act = Callable[[argparse.Namespace, Settings, Reader, Language], int]


def parser(name: str, description: str) -> Arguments:
    """-c, --json and --lang."""
    command = Arguments(f"tayori {name}", description=description)
    directory = default_directory()
    command.add_argument("-c", dest="directory", default=directory, metavar="DIR", help=N_("the folder of main.cf"))
    command.add_argument("--json", action="store_true", help=N_("as JSON"))
    return command


def run(name: str, command: Arguments, argv: list[str], act: Act) -> int:
    """Parse, open the history and act; the exit code."""
    try:
        options = command.read(argv)
    except SystemExit as error:
        return EX_USAGE if error.code else 0
    say = choose(options.lang, options.json)
    hush()
    try:
        settings = Settings.read(os.path.abspath(options.directory), probe())
        if not settings.number("tayori_history_days"):
            return _fail(name, say("no history is kept: tayori_history_days = 0"), EX_NONE)
        reader = Reader(Layout.of(settings).queue / FILE_NAME)
    except ConfigError as error:
        return _fail(name, no_configuration(options.directory, say) or say.error(error), EX_CONFIG)
    except FileNotFoundError as error:
        return _fail(name, say("there is no history yet: {path} does not exist", path=error), EX_NOINPUT)
    except (sqlite3.Error, PermissionError) as error:
        return _fail(name, say(UNREADABLE, why=say.told(str(error))), EX_NOINPUT)
    try:
        return act(options, settings, reader, say)
    except BadQuery as error:
        text = say('"{word}" is not understood; try tayori {command} --help', word=error.word, command=name)
        return _fail(name, text, EX_USAGE)
    except sqlite3.Error as error:
        return _fail(name, say(UNREADABLE, why=say.told(str(error))), EX_NOINPUT)
    except ConfigError as error:
        return _fail(name, say.error(error), EX_CONFIG)
    finally:
        reader.close()


def _fail(name: str, text: str, code: int) -> int:
    print(f"tayori {name}: {text}", file=sys.stderr)
    return code
