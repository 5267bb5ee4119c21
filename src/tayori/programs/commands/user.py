"""tayori user: the accounts that may log in, in the configuration's own account file (DIR/accounts).

    tayori user add|passwd [--stdin] [--scram] [-c DIR] NAME
    tayori user list [-c DIR]
    tayori user delete [-c DIR] NAME

The password is asked for twice at a terminal, else (or with --stdin) it is the first line of standard input.
`--scram` also stores keys for SCRAM-SHA-256 and SCRAM-SHA-1, which are cheaper to guess from than argon2id if the
file is ever stolen. Exit codes: 0, 64 usage, 65 refused, 73 or 77 for files, as in sysexits.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from pathlib import Path

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.programs.commands.arguments import Arguments, wanted
from tayori.programs.commands.control import default_directory
from tayori.programs.language import ENGLISH, N_, Language, choose
from tayori.sasl.accounts import FILE_NAME, AccountFile

EX_USAGE, EX_DATAERR = 64, 65
_LONGEST = 1024


def account_file(directory: str | Path) -> AccountFile:
    """The account file of a configuration directory. Raises ConfigError when the directory does not exist."""
    folder = Path(directory)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a directory", mend="name the configuration directory with -c")
    owner = Settings.read(folder).text("mail_owner") if (folder / "main.cf").exists() else ""
    return AccountFile(folder / FILE_NAME, owner)


def ask_password(name: str, from_stdin: bool, say: Language = ENGLISH) -> str:
    """The new password. Raises ConfigError when the two do not agree or nothing came."""
    if not from_stdin and sys.stdin.isatty():
        first = getpass.getpass(say("Password for {name}: ", name=name))
        if first != getpass.getpass(say("Again: ")):
            raise ConfigError("the two passwords are not the same; nothing was changed")
    else:
        first = sys.stdin.readline(_LONGEST + 2).rstrip("\r\n")
    if not first:
        raise ConfigError("no password was given; nothing was changed")
    if len(first) > _LONGEST or "\0" in first:
        raise ConfigError(f"a password has at most {_LONGEST} characters and no NUL")
    return first


def _add(file: AccountFile, options: argparse.Namespace, say: Language) -> str:
    file.add(options.name, ask_password(options.name, options.stdin, say), scram=options.scram)
    return say("{name} may log in now.", name=options.name)


def _passwd(file: AccountFile, options: argparse.Namespace, say: Language) -> str:
    password = ask_password(options.name, options.stdin, say)
    file.set_password(options.name, password, scram=True if options.scram else None)
    return say("{name} has a new password.", name=options.name)


def _list(file: AccountFile, options: argparse.Namespace, say: Language) -> str:
    return "\n".join(file.names())


def _delete(file: AccountFile, options: argparse.Namespace, say: Language) -> str:
    file.delete(options.name)
    return say("{name} may no longer log in; mail already delivered stays where it is.", name=options.name)


ACTIONS: dict[str, Callable[[AccountFile, argparse.Namespace, Language], str]] = {
    "add": _add,
    "passwd": _passwd,
    "list": _list,
    "delete": _delete,
}


HELP = {
    "add": N_("let somebody log in"),
    "passwd": N_("give an account another password"),
    "list": N_("list the accounts"),
    "delete": N_("delete an account"),
}


def parser() -> Arguments:
    """The command line."""
    made = Arguments("tayori user", description=N_("accounts that may log in"))
    actions = made.add_subparsers(dest="action", required=True, metavar="add|passwd|list|delete")
    for action in ACTIONS:
        sub = actions.add_parser(action, help=HELP[action])
        sub.add_argument(
            "-c", dest="directory", default=default_directory(), metavar="DIR", help=N_("the folder of main.cf")
        )
        if action != "list":
            sub.add_argument("name", metavar="NAME", help=N_("the name to log in with"))
        if action in ("add", "passwd"):
            sub.add_argument(
                "--stdin", action="store_true", help=N_("the password is the first line of standard input")
            )
            sub.add_argument("--scram", action="store_true", help=N_("store SCRAM keys as well"))
    return made


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    try:
        options = parser().read(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    say = choose(wanted(argv))
    try:
        said = ACTIONS[options.action](account_file(options.directory), options, say)
    except ConfigError as error:
        print(f"tayori user: {say.error(error)}", file=sys.stderr)
        return EX_DATAERR
    except (KeyboardInterrupt, EOFError):
        print(f"tayori user: {say('stopped; nothing was changed')}", file=sys.stderr)
        return EX_DATAERR
    if said:
        print(said)
    return 0
