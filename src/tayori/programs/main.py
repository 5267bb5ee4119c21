"""The command `tayori`, and Postfix's tools under their own names when linked so.

Each subcommand is `module:function` with `function(argv) -> exit status`; a module is imported only when its
command runs, so that `sendmail` starts fast.
"""

from __future__ import annotations

import importlib
import os
import sys

from tayori import __version__
from tayori.programs.language import N_, choose, prefer

COMMANDS: dict[str, tuple[str, str]] = {
    "start": ("start:start", N_("serve in the foreground until SIGTERM")),
    "stop": ("start:stop", N_("stop the running server")),
    "reload": ("start:reload", N_("read the configuration again")),
    "status": ("start:status", N_("say whether it runs")),
    "check": ("check:main", N_("find mistakes in a configuration")),
    "explain": ("explain:main", N_("say what would happen to a mail, and why")),
    "trace": ("trace:main", N_("say what happened to a mail or with an address")),
    "find": ("find:main", N_("find mails and refusals in the history")),
    "why": ("why:main", N_("say why a mail was refused, and what would help")),
    "rehearse": ("rehearse:main", N_("try an edited configuration on the mail of the last days")),
    "init": ("init:main", N_("write a first configuration")),
    "test-mail": ("test_mail:main", N_("send a mail through the running server and look where it went")),
    "home-server": ("home_server:main", N_("try a home server in a folder of its own (what make run does)")),
    "user": ("user:main", N_("add, change, list and delete accounts")),
    "sendmail": ("sendmail:main", N_("hand in mail, as Postfix's sendmail")),
    "mailq": ("mailq:main", N_("list the queue")),
    "postqueue": ("postqueue:main", N_("list and flush the queue")),
    "postsuper": ("postsuper:main", N_("delete, hold and release queued mail")),
    "postcat": ("postcat:main", N_("show a queued message")),
    "postconf": ("postconf:main", N_("show and edit parameters")),
    "postmap": ("postmap:main", N_("ask and check lookup tables")),
    "postalias": ("postalias:main", N_("ask and check alias tables")),
    "newaliases": ("newaliases:main", N_("check the alias files")),
    "saslauthd": ("saslauthd:main", N_("check passwords for other programs, as Cyrus saslauthd")),
    "testsaslauthd": ("testsaslauthd:main", N_("try a login with a saslauthd")),
    "saslpasswd2": ("saslpasswd2:main", N_("set passwords in a sasldb")),
    "sasldblistusers2": ("sasldblistusers2:main", N_("list the users of a sasldb")),
    "pluginviewer": ("pluginviewer:main", N_("list mechanisms and password back ends")),
    "explain-login": ("explain_login:main", N_("say why a login fails")),
}
LINKED = {
    "sendmail", "mailq", "newaliases", "postconf", "postmap", "postalias", "postqueue", "postsuper", "postcat",
    "saslauthd", "testsaslauthd", "saslpasswd2", "sasldblistusers2", "pluginviewer",
}  # fmt: skip


def usage() -> str:
    """The list of commands."""
    say = choose()
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {say(text)}" for name, (_, text) in COMMANDS.items()]
    head, more = say("usage: tayori [--lang LANG] COMMAND [options]"), say("tayori COMMAND --help says more.")
    return "\n".join([head, "", *rows, "", more])


def run(name: str, argv: list[str]) -> int:
    """Run one command; the exit status."""
    module, _, function = COMMANDS[name][0].partition(":")
    found = getattr(importlib.import_module(f"tayori.programs.commands.{module}"), function)
    return int(found(argv))


def language(arguments: list[str]) -> tuple[str, list[str]]:
    """What --lang before the command says ("": nothing), and the arguments from the command on."""
    lang = ""
    while arguments[:1] and (arguments[0] == "--lang" or arguments[0].startswith("--lang=")):
        _, equals, value = arguments[0].partition("=")
        lang = value if equals else "".join(arguments[1:2])
        arguments = arguments[1:] if equals else arguments[2:]
    return lang, arguments


def main() -> None:
    """Entry point."""
    called = os.path.basename(sys.argv[0])
    if called in LINKED:
        sys.exit(run(called, sys.argv[1:]))
    lang, arguments = language(sys.argv[1:])
    prefer(lang)
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
        say = choose()
        hint = say('; did you mean "{near}"?', near=near[0]) if near else ""
        wrong = say('there is no command "{name}"{hint}', name=name, hint=hint)
        print(f"tayori: {wrong}", file=sys.stderr)
        sys.exit(64)
    try:
        sys.exit(run(name, arguments[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
