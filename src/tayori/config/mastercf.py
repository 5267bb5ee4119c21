"""Reading master.cf, master(5): which services run, on which port, with which `-o name=value`.

One logical line is `name type private unpriv chroot wakeup maxproc command args…`; comments and
continuation lines are those of main.cf. `{ … }` in the arguments is one argument (Postfix 3.0).
The process columns are kept as written: tayori's master does not need them, `postconf -M` prints them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tayori.config.expand import closing
from tayori.config.maincf import BLANKS, MAX_FILE_BYTES, Assignment, Piece, logical_lines
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings

KINDS = ("inet", "unix", "fifo", "pass", "unix-dgram")
COLUMNS = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit")
# postconf(5) known_tcp_ports, the default of 3.12: these names need no /etc/services.
PORTS = {"lmtp": 24, "smtp": 25, "smtps": 465, "submissions": 465, "submission": 587}


@dataclass(frozen=True, slots=True)
class Service:
    """One line of master.cf. The columns from `private` to `maxproc` are text as written (`-` is the default).

    `args` are the arguments apart from `-o name=value`, with outer braces removed; `words` are all of them as
    written. `overrides` are the `-o` settings, each with the line it stands in.
    """

    name: str
    kind: str
    private: str
    unpriv: str
    chroot: str
    wakeup: str
    maxproc: str
    command: str
    args: tuple[str, ...]
    overrides: tuple[Assignment, ...]
    origin: Origin
    words: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The seven columns before the command, as written."""
        return (self.name, self.kind, self.private, self.unpriv, self.chroot, self.wakeup, self.maxproc)

    def host_port(self) -> tuple[str, int]:
        """(host, port) of an `inet` or `pass` service; host is empty where `inet_interfaces` decides.

        Raises ConfigError for a service of another type or a port that has no number.
        """
        if self.kind != "inet":
            raise ConfigError(f"{self.name} {self.kind} has no port", self.origin, "use type inet for a port")
        host, port = split_address(self.name)
        number = port_number(port)
        if number is None:
            raise ConfigError(
                f'"{port}" is no known port', self.origin, "write a port number from 1 to 65535, or smtp, submission"
            )
        return host, number

    def settings(self, settings: Settings) -> Settings:
        """`settings` as this service sees them."""
        return settings.with_overrides(self.overrides) if self.overrides else settings


def split_address(text: str) -> tuple[str, str]:
    """`host:port`, `[address]:port` or `port`; the host is empty when none is given."""
    if text.startswith("[") and "]:" in text:
        host, _, port = text[1:].rpartition("]:")
        return host, port
    host, _, port = text.rpartition(":")
    return host, port


def port_number(text: str) -> int | None:
    """A TCP port by number or name; None when there is none."""
    if text.isascii() and text.isdigit():
        return int(text) if 0 < int(text) < 65536 else None
    known = PORTS.get(text)
    if known is not None:
        return known
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    line: int


def word_end(text: str, start: int) -> int:
    """Where the word that begins at `start` ends: at a blank, after a closing brace. Raises ConfigError."""
    at = closing(text, start) + 1 if text[start] == "{" else start
    while at < len(text) and text[at] not in BLANKS:
        at += 1
    return at


def _words(pieces: tuple[Piece, ...], file: str) -> list[_Word]:
    """Blank-separated words; a word that begins with `{` runs to its closing brace. Raises ConfigError."""
    text = " ".join(piece.text for piece in pieces)
    starts: list[tuple[int, int]] = []
    at = 0
    for piece in pieces:
        starts.append((at, piece.line))
        at += len(piece.text) + 1

    def line(offset: int) -> int:
        return next(number for start, number in reversed(starts) if start <= offset)

    found: list[_Word] = []
    at = 0
    while at < len(text):
        if text[at] in BLANKS:
            at += 1
            continue
        start = at
        try:
            at = word_end(text, start)
        except ConfigError as error:
            raise ConfigError(error.message, Origin(file, line(start)), error.mend) from None
        found.append(_Word(text[start:at], line(start)))
    return found


def _bare(text: str) -> str:
    return text[1:-1].strip() if text.startswith("{") and text.endswith("}") else text


def _override(text: str, origin: Origin) -> Assignment:
    name, equals, value = _bare(text).partition("=")
    name = name.strip()
    if not equals or not name or " " in name:
        raise ConfigError(
            f'-o "{text[:60]}" is not name=value',
            origin,
            "write -o name=value without blanks round the =, or -o { name = value }",
        )
    return Assignment(name, value.strip(), origin, (Piece(origin.line, _bare(text)),))


def _arguments(words: list[_Word], file: str) -> tuple[tuple[str, ...], tuple[Assignment, ...]]:
    args: list[str] = []
    overrides: list[Assignment] = []
    at = 0
    options = True  # as getopt: the first word without a dash ends the options
    while at < len(words):
        word = words[at]
        options = options and word.text.startswith("-")
        if options and word.text == "-o":
            at += 1
            if at == len(words):
                raise ConfigError("-o at the end names no setting", Origin(file, word.line), "write -o name=value")
            overrides.append(_override(words[at].text, Origin(file, words[at].line)))
        elif options and word.text.startswith("-o"):
            overrides.append(_override(word.text[2:], Origin(file, word.line)))
        else:
            args.append(_bare(word.text))
        at += 1
    return tuple(args), tuple(overrides)


def service_of(pieces: tuple[Piece, ...], file: str) -> Service:
    """One logical line. Raises ConfigError with the line of the mistake."""
    origin = Origin(file, pieces[0].line)
    words = _words(pieces, file)
    if len(words) < 8:
        raise ConfigError(
            f'the service "{words[0].text}" has {len(words)} of the 8 columns it needs',
            origin,
            "write: name type private unpriv chroot wakeup maxproc command (- takes the default)",
        )
    columns = [word.text for word in words[:7]]
    if columns[1] not in KINDS:
        raise ConfigError(f'"{columns[1]}" is no service type', origin, f"write one of {', '.join(KINDS)}")
    for title, value in zip(COLUMNS[2:5], columns[2:5], strict=True):
        if value not in ("-", "y", "n"):
            raise ConfigError(f'column "{title}" is "{value}"', origin, "write y, n or -")
    if columns[5] != "-" and not columns[5].rstrip("?").isdigit():
        raise ConfigError(f'column "wakeup" is "{columns[5]}"', origin, "write seconds, seconds? or -")
    if columns[6] != "-" and not columns[6].isdigit():
        raise ConfigError(f'column "process_limit" is "{columns[6]}"', origin, "write a number or -")
    args, overrides = _arguments(words[8:], file)
    all_words = tuple(word.text for word in words[8:])
    name, kind, private, unpriv, chroot, wakeup, maxproc = columns
    command = words[7].text
    return Service(
        name, kind, private, unpriv, chroot, wakeup, maxproc, command, args, overrides, origin, all_words
    )  # fmt: skip


def parse_all(text: str, file: str) -> tuple[tuple[Service, ...], tuple[ConfigError, ...]]:
    """Every service that can be understood, and the errors of the others: for `check`."""
    services: list[Service] = []
    errors: list[ConfigError] = []
    for pieces in logical_lines(text):
        try:
            services.append(service_of(pieces, file))
        except ConfigError as error:
            errors.append(error)
    return tuple(services), tuple(errors)


def parse(text: str, file: str) -> tuple[Service, ...]:
    """All services in file order. A later line of the same name and type wins. Raises ConfigError."""
    services, errors = parse_all(text, file)
    if errors:
        raise errors[0]
    return last_wins(services)


def last_wins(services: Iterable[Service]) -> tuple[Service, ...]:
    """Of services with the same name and type only the last is kept, as master(8) does."""
    return tuple({(service.name, service.kind): service for service in services}.values())


def default_services(directory: str) -> tuple[Service, ...]:
    """What runs without a master.cf: SMTP on port 25."""
    origin = Origin(str(Path(directory) / "master.cf"))
    return (Service("smtp", "inet", "n", "-", "-", "-", "-", "smtpd", (), (), origin),)


def read_services(settings: Settings) -> tuple[Service, ...]:
    """The services of DIR/master.cf; without the file one smtpd on port 25. Raises ConfigError."""
    path = Path(settings.directory) / "master.cf"
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return default_services(settings.directory)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", Origin(str(path)), "check its mode") from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError("is larger than 16 MiB", Origin(str(path)), "is this the right file?")
    return parse(raw.decode("utf-8", "surrogateescape"), str(path))
