"""tayori init [-c DIR] [--yes]: asks a few questions and writes a first configuration.

main.cf (each line explained), master.cf, sasl/smtpd.conf when people may log in from outside, aliases where the
machine has none, and a self-made certificate. Nothing that exists is overwritten: with a main.cf there, it stops.
Exit codes: 0, 64 usage, 73 cannot write or exists already.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tayori.config.lint import lint, read_source
from tayori.config.origin import ConfigError
from tayori.net.system import probe
from tayori.programs.commands import certificate, init_texts
from tayori.programs.commands.arguments import Arguments
from tayori.programs.language import ENGLISH, N_, Language, choose
from tayori.tables.networks import parse_network

EX_USAGE, EX_CANTCREAT = 64, 73
NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$"
)
Value = TypeVar("Value", str, bool)
WORDS = (N_("yes"), N_("no"), N_("none"))
"""Defaults as they are shown."""
HIGH_PORTS = {"smtp": "2525", "submission": "2587", "submissions": "2465"}


@dataclass(slots=True)
class Answers:
    """What was asked."""

    hostname: str = ""
    domain: str = ""
    networks: str = "127.0.0.0/8 [::1]/128"
    logins: bool = True
    maildir: bool = True
    relayhost: str = ""
    admin: str = ""
    aliases: str = ""
    root: bool = True
    made: list[str] = field(default_factory=list)


class Wrong(Exception):
    """An answer that cannot be used; the text says why."""


def a_name(text: str) -> str:
    """A full host or domain name. Raises Wrong."""
    name = text.strip().rstrip(".").lower()
    if not NAME.fullmatch(name):
        raise Wrong(
            f"{text!r} is not a full name: letters, digits, hyphens, and at least one dot, as in mail.example.com"
        )
    return name


def networks(text: str) -> str:
    """Networks as mynetworks takes them. Raises Wrong."""
    for word in text.replace(",", " ").split():
        try:
            parse_network(word)
        except ValueError as error:
            raise Wrong(f"{word}: {error}; write for example 192.168.1.0/24") from error
    return " ".join(text.replace(",", " ").split())


def yes_or_no(text: str) -> bool:
    """yes or no. Raises Wrong."""
    word = text.strip().lower()
    if word in ("y", "yes", "j", "ja", "はい"):
        return True
    if word in ("n", "no", "nein", "いいえ"):
        return False
    raise Wrong("please answer yes or no")


def relay(text: str) -> str:
    """A relayhost: [host]:port, host or empty. Raises Wrong."""
    word = text.strip()
    if word in ("", "-", "none", "no", "なし", "いいえ"):
        return ""
    if not re.fullmatch(r"(\[[A-Za-z0-9.:-]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?", word):
        raise Wrong("write a name such as [smtp.provider.example]:587, or nothing")
    return word


def ask(question: str, default: str, read: Callable[[str], Value], assume: bool, say: Language = ENGLISH) -> Value:
    """Ask until the answer can be used; Enter takes the default. Raises EOFError."""
    while True:
        if assume:
            return read(default)
        shown = f"{question} [{say(default) or say('none')}]: "
        try:
            return read(input(shown).strip() or default)
        except Wrong as error:
            print(f"  {say.told(str(error))}")


def default_hostname() -> str:
    """This machine's full name, or one to be changed."""
    for name in (socket.gethostname(), socket.getfqdn()):
        if NAME.fullmatch(name) and not name.endswith(".localdomain"):
            return name.lower()
    return f"{socket.gethostname().partition('.')[0] or 'mail'}.home.example"


def interview(assume: bool, hostname: str = "", say: Language = ENGLISH) -> Answers:
    """The questions. Raises EOFError."""
    found = Answers(root=os.geteuid() == 0)
    found.hostname = ask(
        say("The full name of this mail server"), hostname or default_hostname(), a_name, assume, say
    )
    labels = found.hostname.split(".")
    guess = ".".join(labels[1:]) if len(labels) > 2 else found.hostname
    found.domain = ask(say("Your mail domain (the part behind @ in your addresses)"), guess, a_name, assume, say)
    found.networks = ask(
        say("Networks whose machines may send without a login"), found.networks, networks, assume, say
    )
    found.logins = ask(say("May people log in from outside to send mail?"), "yes", yes_or_no, assume, say)
    found.maildir = ask(
        say("Keep mail in Maildir/ in each home (else /var/mail/NAME)?"), "yes", yes_or_no, assume, say
    )
    found.relayhost = ask(
        say("Send mail to others through your provider's server (relayhost)"), "", relay, assume, say
    )
    found.admin = os.environ.get("SUDO_USER") or getpass.getuser()
    return found


def write(directory: Path, answers: Answers, say: Language = ENGLISH) -> list[Path]:
    """Write the files; those written. Raises FileExistsError, OSError."""
    if (directory / "main.cf").exists():
        raise FileExistsError(17, "there is a configuration already", str(directory / "main.cf"))
    directory.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []

    def once(path: Path, text: str, mode: int = 0o644) -> None:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError:
            return
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        made.append(path)

    answers.aliases = "/etc/aliases" if os.path.exists("/etc/aliases") else str(directory / "aliases")
    if not os.path.exists("/etc/aliases"):
        once(directory / "aliases", init_texts.aliases(answers.admin, say))
    chain = directory / "tls.pem"
    if not chain.exists():
        certificate.make(chain, dict.fromkeys((answers.hostname, answers.domain)))
        made.append(chain)
    ports = {} if answers.root else HIGH_PORTS
    if answers.logins:
        (directory / "sasl").mkdir(exist_ok=True)
        once(directory / "sasl" / "smtpd.conf", init_texts.smtpd_conf(say))
    once(directory / "master.cf", init_texts.master_cf(answers, ports, say))
    once(directory / "main.cf", init_texts.main_cf(answers, directory, say))
    return made


def _fail(text: str) -> None:
    print(f"tayori init: {text}", file=sys.stderr)


def main(argv: list[str]) -> int:
    """Run the command."""
    default = os.environ.get("MAIL_CONFIG") or "/etc/tayori"
    command = Arguments("tayori init", description=N_("Ask a few questions and write a configuration."))
    command.add_argument(
        "-c", dest="directory", metavar="DIR", default=default, help=N_("the folder to write (%(default)s)")
    )
    command.add_argument("--yes", "-y", action="store_true", help=N_("take every default, ask nothing"))
    command.add_argument("--hostname", default="", metavar="NAME", help=N_("the default for the server's name"))
    try:
        options = command.read(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    say = choose(options.lang)
    directory = Path(os.path.abspath(options.directory))
    try:
        if (directory / "main.cf").exists():
            raise FileExistsError(17, "there is a configuration already", str(directory / "main.cf"))
        answers = interview(options.yes, options.hostname, say)
        made = write(directory, answers, say)
    except FileExistsError as error:
        _fail(say("{path} exists already; nothing was changed.", path=error.filename))
        more = say(
            "Check it with: tayori check -c {directory}. For a new one, name another folder.", directory=directory
        )
        print(more, file=sys.stderr)
        return EX_CANTCREAT
    except OSError as error:
        _fail(say.trouble(error))
        print(say("Run it as root (sudo), or name a folder of your own: tayori init -c ~/tayori"), file=sys.stderr)
        return EX_CANTCREAT
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        _fail(say("stopped; nothing was written"))
        return EX_USAGE
    for path in made:
        print(say("wrote {path}", path=path))
    try:
        for finding in lint(read_source(str(directory), probe())):
            print(f"{finding.origin}: {say(finding.severity)}: {say.finding(finding)[0]}")
    except ConfigError as error:
        _fail(say.error(error))
        return EX_CANTCREAT
    print(init_texts.next_steps(answers, directory, say))
    return 0
