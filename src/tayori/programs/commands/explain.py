"""`tayori explain`: what would happen to a mail, and why.

usage: tayori explain [-c DIR] --client ADDR [--name HOST] [--helo NAME] [--login USER] [--tls] [--service NAME]
                      --from ADDRESS --to ADDRESS [--to ADDRESS …] [--message FILE] [--no-dns] [--json] [--lang LANG]

Shows each restriction asked and answered, each rewriting, class, transport, next hop and mailbox, the line that
decided, and what would change it. Nothing is sent or kept. DNS is asked only where the rules ask it, and for
the hosts of the next hop (--no-dns: not for these).
Exit code: 0 the mail would be accepted for every recipient, 1 not, 64 usage, 66 no such file, 78 configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import msgspec

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.commands.arguments import Arguments, hush
from tayori.programs.commands.control import default_directory, no_configuration
from tayori.programs.explain.text import lines, shorten
from tayori.programs.explain.values import Explanation, Question
from tayori.programs.explain.walk import Explainer
from tayori.programs.language import N_, Language, choose
from tayori.tables.networks import parse_address

EX_NO, EX_USAGE, EX_NOINPUT, EX_CONFIG = 1, 64, 66, 78


def parser() -> Arguments:
    """The command line."""
    command = Arguments("tayori explain", description=N_("What would happen to a mail, and why."))
    directory = default_directory()
    command.add_argument("-c", dest="directory", default=directory, metavar="DIR", help=N_("the folder of main.cf"))
    command.add_argument("--client", required=True, metavar="ADDR", help=N_("the client's IP address"))
    command.add_argument("--name", default="", metavar="HOST", help=N_("its host name, instead of asking DNS"))
    command.add_argument(
        "--helo", default="client.example", metavar="NAME", help=N_("what it says in EHLO (%(default)s)")
    )
    command.add_argument("--login", default="", metavar="USER", help=N_("logged in as this user"))
    command.add_argument("--tls", action="store_true", help=N_("after STARTTLS"))
    command.add_argument("--service", "--port", default="", metavar="NAME", help=N_("service or port of master.cf"))
    command.add_argument("--from", dest="sender", required=True, metavar="ADDRESS", help=N_('the sender; "" for <>'))
    command.add_argument(
        "--to",
        dest="recipients",
        action="append",
        required=True,
        metavar="ADDRESS",
        help=N_("the recipient; may be given more than once"),
    )
    command.add_argument("--message", default="", metavar="FILE", help=N_("the message, for header and body checks"))
    command.add_argument("--no-dns", action="store_true", help=N_("do not look up the hosts of the next hop"))
    command.add_argument("--json", action="store_true", help=N_("as JSON"))
    return command


def question(options: argparse.Namespace) -> Question:
    """From the command line. Raises OSError for the message and ValueError for the client."""
    client = str(options.client).strip("[]").removeprefix("IPv6:")
    if parse_address(client) is None:
        raise ValueError(client)
    return Question(
        client=client,
        sender=_bare(options.sender),
        recipients=tuple(_bare(one) for one in options.recipients),
        helo=options.helo,
        name=options.name,
        login=options.login,
        tls=options.tls,
        service=options.service,
        content=Path(options.message).read_bytes() if options.message else b"",
        dns=not options.no_dns,
    )


def _bare(address: str) -> str:
    return address.strip().removeprefix("<").removesuffix(">")


async def explain(directory: str, asked: Question, say: Language) -> Explanation:
    """Ask the configuration in `directory`. Raises ConfigError."""
    explainer = Explainer(Settings.read(os.path.abspath(directory), probe()))
    try:
        return await explainer.explain(asked, say)
    finally:
        explainer.close()


def main(argv: list[str]) -> int:
    """Run the command; the exit code."""
    try:
        options = parser().read(argv)
    except SystemExit as error:
        return EX_USAGE if error.code else 0
    say = choose(options.lang, options.json)
    hush()
    try:
        found = asyncio.run(explain(options.directory, question(options), say))
    except ValueError as error:
        print(f"tayori explain: {say('{client} is not an IP address', client=error)}", file=sys.stderr)
        return EX_USAGE
    except OSError as error:
        print(f"tayori explain: {say.trouble(error)}", file=sys.stderr)
        return EX_NOINPUT
    except ConfigError as error:
        print(f"tayori explain: {no_configuration(options.directory, say) or say.error(error)}", file=sys.stderr)
        return EX_CONFIG
    if options.json:
        print(as_json(found))
    else:
        print(shorten("\n".join(lines(found, say)), os.path.abspath(options.directory)))
    refused = any(not one.decision.good for one in found.judged)
    return 0 if found.accepted and not refused else EX_NO


def as_json(found: Explanation) -> str:
    """The explanation as JSON; arrays of history values become objects."""
    text = msgspec.json.encode(objects(found)).decode()
    return msgspec.json.format(text, indent=2)


def objects(value: object) -> object:
    """Structs as mappings by field name, whatever their own encoding."""
    if isinstance(value, msgspec.Struct):
        return {name: objects(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [objects(one) for one in value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
