"""master.cf: lines that cannot be read, unknown programs, ports, services set twice; bad lines of the other files."""

from __future__ import annotations

from collections.abc import Iterator

from tayori.config.lint.finding import Finding, Message, Phrase
from tayori.config.lint.said import mend, said
from tayori.config.lint.source import Source
from tayori.config.lint.vocabulary import PROGRAMS, close_to
from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError, Origin

LINE = Message("error", "bad-line", "{what}", "The server cannot start: this line cannot be understood.", "{mend}.")
PROGRAM = Message(
    "error",
    "unknown-program",
    'there is no program "{command}"{hint}',
    "The service {name} would not run.",
    "{mend}",
)
NOT_HERE = Message(
    "warning", "program-not-here", 'the program "{command}" does not exist here', "{why}.", "Remove the service."
)
PORT = Message("error", "bad-port", "{what}", "The service {name} cannot be opened.", "{mend}.")
TWICE = Message(
    "warning",
    "service-twice",
    'the service "{name} {kind}" is defined again in line {last}',
    "Only the last one counts.",
    "Remove one of the two.",
)
NO_PORT = Message(
    "warning",
    "no-smtp-port",
    "no service receives mail by SMTP",
    "master.cf has no inet service with the program smtpd, so no port is opened.",
    "Add: smtp inet n - - - - smtpd",
)


LOOSE = Message(
    "error",
    "loose-word",
    '"{word}" stands alone behind {command}: it belongs to no -o',
    "A blank ends the value of -o, so the rest of it is lost; Postfix's {command} would not run with this line.",
    "Write the value without blanks (a,b,c), or in braces: -o {{ name = a, b, c }}",
)
OWN_WORDS = frozenset(("pipe", "spawn"))
"""Programs whose arguments have no dash."""


def check(source: Source) -> Iterator[Finding]:
    """Bad lines first, then each service."""
    for error in source.errors:
        better = mend(error.mend, Phrase("Correct the line"))
        yield LINE.at(error.origin or Origin(source.main), what=said(error.message), mend=better)
    last = {(service.name, service.kind): service for service in source.services}
    for service in source.services:
        winner = last[service.name, service.kind]
        if winner is not service:
            yield TWICE.at(service.origin, name=service.name, kind=service.kind, last=winner.origin.line)
        yield from one(service)
    if source.texts.get(source.master) and not any(
        s.kind in ("inet", "pass") and (s.command in ("smtpd", "postscreen") or s.command not in PROGRAMS)
        for s in source.services
    ):
        yield NO_PORT.at(Origin(source.master))


def one(service: Service) -> Iterator[Finding]:
    """The program and the port of one service."""
    command = service.command.rsplit("/", 1)[-1]
    if command not in PROGRAMS:
        near = close_to(command, PROGRAMS, 0.6)
        hint = Phrase('; did you mean "{near}"?', near=near) if near else ""
        instead = (
            Phrase('Write "{name}".', name=near)
            if near
            else Phrase("Use a program of master(5), or pipe to run one of your own.")
        )
        yield PROGRAM.at(service.origin, command=command, hint=hint, name=service.name, mend=instead)
    elif PROGRAMS[command].endswith("not supported"):
        yield NOT_HERE.at(service.origin, command=command, why=PROGRAMS[command])
    loose = next((arg for arg in service.args if not arg.startswith("-")), "")
    if loose and command in PROGRAMS and command not in OWN_WORDS and not _value(service, loose):
        yield LOOSE.at(service.origin, word=loose, command=command)
    if service.kind == "inet":
        try:
            service.host_port()
        except ConfigError as error:
            better = mend(error.mend, Phrase("Correct the line"))
            yield PORT.at(service.origin, what=said(error.message), name=service.name, mend=better)


def _value(service: Service, word: str) -> bool:
    """Whether the word is what an option before it takes (`-n name`)."""
    at = service.args.index(word)
    return at > 0 and len(service.args[at - 1]) == 2 and service.args[at - 1].startswith("-")
