"""The command `tayori`, and Postfix's tools under their own names when linked so.

Each subcommand is `module:function` with `function(argv) -> exit status`; a module is imported only when its
command runs, so that `sendmail` starts fast.
"""

from __future__ import annotations

import importlib
import os
import sys

from tayori import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "start": ("start:start", "serve in the foreground until SIGTERM"),
    "stop": ("start:stop", "stop the running server"),
    "reload": ("start:reload", "read the configuration again"),
    "status": ("start:status", "say whether it runs"),
    "check": ("check:main", "find mistakes in a configuration"),
    "explain": ("explain:main", "say what would happen to a mail, and why"),
    "trace": ("trace:main", "say what happened to a mail or with an address"),
    "find": ("find:main", "find mails and refusals in the history"),
    "why": ("why:main", "say why a mail was refused, and what would help"),
    "rehearse": ("rehearse:main", "try an edited configuration on the mail of the last days"),
    "init": ("init:main", "write a first configuration"),
    "test-mail": ("test_mail:main", "send a mail through the running server and look where it went"),
    "home-server": ("home_server:main", "try a home server in a folder of its own (what make run does)"),
    "user": ("user:main", "add, change, list and delete accounts"),
    "sendmail": ("sendmail:main", "hand in mail, as Postfix's sendmail"),
    "mailq": ("mailq:main", "list the queue"),
    "postqueue": ("postqueue:main", "list and flush the queue"),
    "postsuper": ("postsuper:main", "delete, hold and release queued mail"),
    "postcat": ("postcat:main", "show a queued message"),
    "postconf": ("postconf:main", "show and edit parameters"),
    "postmap": ("postmap:main", "ask and check lookup tables"),
    "postalias": ("postalias:main", "ask and check alias tables"),
    "newaliases": ("newaliases:main", "check the alias files"),
    "saslauthd": ("saslauthd:main", "check passwords for other programs, as Cyrus saslauthd"),
    "testsaslauthd": ("testsaslauthd:main", "try a login with a saslauthd"),
    "saslpasswd2": ("saslpasswd2:main", "set passwords in a sasldb"),
    "sasldblistusers2": ("sasldblistusers2:main", "list the users of a sasldb"),
    "pluginviewer": ("pluginviewer:main", "list mechanisms and password back ends"),
    "explain-login": ("explain_login:main", "say why a login fails"),
}
LINKED = {
    "sendmail", "mailq", "newaliases", "postconf", "postmap", "postalias", "postqueue", "postsuper", "postcat",
    "saslauthd", "testsaslauthd", "saslpasswd2", "sasldblistusers2", "pluginviewer",
}  # fmt: skip


def usage() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["usage: tayori COMMAND [options]", "", *rows, "", "tayori COMMAND --help says more."])


def run(name: str, argv: list[str]) -> int:
    """Run one command; the exit status."""
    module, _, function = COMMANDS[name][0].partition(":")
    found = getattr(importlib.import_module(f"tayori.programs.commands.{module}"), function)
    return int(found(argv))


def main() -> None:
    """Entry point."""
    called = os.path.basename(sys.argv[0])
    if called in LINKED:
        sys.exit(run(called, sys.argv[1:]))
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        sys.exit(0 if arguments else 64)
    if arguments[0] in ("--version", "-V"):
        print(f"tayori {__version__}")
        sys.exit(0)
    name = arguments[0]
    if name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, 1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        print(f'tayori: there is no command "{name}"{hint}', file=sys.stderr)
        sys.exit(64)
    try:
        sys.exit(run(name, arguments[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
