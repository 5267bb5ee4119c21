"""pipe(8)'s command attributes (`flags= user= argv= size= eol= null_sender= directory=`) and the macros of argv.

Pure: parsing and expansion only; running is pipe.py's work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tayori.config.origin import ConfigError, Origin
from tayori.protocol.address import quote, split, split_extension
from tayori.queue.model import Attributes, Recipient

FLAGS = frozenset("BDFORXhqu.>")
_MACRO = re.compile(r"\$(?:\$|\{(\w+)\}|\((\w+)\)|(\w+))")
_ESCAPE = re.compile(r"\\([abfnrtv\\]|[0-7]{1,3})")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
# macros that differ between recipients: an argument with one of these is repeated for each recipient
PER_RECIPIENT = ("extension", "mailbox", "original_recipient", "recipient", "user", "domain")
GLOBAL = (
    "client_address", "client_helo", "client_hostname", "client_port", "client_protocol", "nexthop", "queue_id",
    "sasl_method", "sasl_sender", "sasl_username", "sender", "size",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PipeCommand:
    """`argv` holds macros unexpanded; `size` bytes, 0 for no limit; `group` may be empty (the user's own)."""

    argv: tuple[str, ...]
    user: str
    group: str = ""
    flags: frozenset[str] = frozenset()
    size: int = 0
    eol: bytes = b"\n"
    null_sender: str = "MAILER-DAEMON"
    directory: str = ""
    chroot: str = ""

    @classmethod
    def parse(cls, args: Sequence[str], origin: Origin | None = None) -> PipeCommand:
        """From a master.cf line's arguments, braces already removed. Raises ConfigError."""
        found: dict[str, str] = {}
        for place, word in enumerate(args):
            name, equals, value = word.partition("=")
            if name == "argv" and equals:
                argv = tuple(text for text in (value, *args[place + 1 :]) if text)
                return _checked(found, argv, origin)
            if not equals or name not in _ATTRIBUTES:
                mend = f"write one of {' '.join(sorted(_ATTRIBUTES))} argv"
                raise ConfigError(f'pipe: "{word}" is no command attribute', origin, mend)
            found[name] = value
        raise ConfigError("pipe: argv= is missing", origin, "end the line with argv=/path/to/command")


_ATTRIBUTES = frozenset(("flags", "user", "size", "eol", "null_sender", "directory", "chroot"))


def _checked(found: Mapping[str, str], argv: tuple[str, ...], origin: Origin | None) -> PipeCommand:
    user, _, group = found.get("user", "").partition(":")
    flags = frozenset(found.get("flags", ""))
    if not argv:
        raise ConfigError("pipe: argv= is empty", origin, "name a command")
    if not user:
        raise ConfigError("pipe: user= is missing", origin, "name the user that the command runs as, not root")
    if not flags <= FLAGS:
        unknown = "".join(sorted(flags - FLAGS))
        raise ConfigError(f'pipe: flags="{unknown}" are not known', origin, f"known are {''.join(sorted(FLAGS))}")
    size = found.get("size", "0")
    if not size.isdigit():
        raise ConfigError(f"pipe: size={size} is no number", origin, "write a number of bytes")
    for argument in argv:
        for match in _MACRO.finditer(argument):
            name = match.group(1) or match.group(2) or match.group(3)
            if name and name not in PER_RECIPIENT and name not in GLOBAL:
                raise ConfigError(f"pipe: ${name} is no macro of pipe(8)", origin, "write $$ for a plain $")
    return PipeCommand(
        argv=argv,
        user=user,
        group=group,
        flags=flags,
        size=int(size),
        eol=_ESCAPE.sub(_unescape, found["eol"]).encode("latin-1") if found.get("eol") else b"\n",
        null_sender=found.get("null_sender", "MAILER-DAEMON"),
        directory=found.get("directory", ""),
        chroot=found.get("chroot", ""),
    )


def _unescape(match: re.Match[str]) -> str:
    text = match.group(1)
    return _ESCAPES[text] if text in _ESCAPES else chr(int(text, 8) & 255)


def shown_sender(command: PipeCommand, sender: str) -> str:
    """The sender as the command sees it: null_sender for `<>`, quoted with flag q unless empty."""
    sender = sender or command.null_sender
    return quote(sender) if "q" in command.flags and sender else sender


@dataclass(frozen=True, slots=True)
class Request:
    """What the macros tell of."""

    nexthop: str
    sender: str
    recipients: tuple[Recipient, ...]
    attributes: Attributes
    size: int
    queue_id: str = ""
    delimiters: str = ""


def expand(command: PipeCommand, request: Request) -> list[str]:
    """The argument vector. An argument with a recipient macro comes once per recipient (pipe(8) ${recipient})."""
    attributes = request.attributes
    lower: Callable[[str], str] = str.lower if "h" in command.flags else str
    common = {
        "client_address": attributes.client_address,
        "client_helo": attributes.helo,
        "client_hostname": attributes.client_name,
        "client_port": str(attributes.client_port or ""),
        "client_protocol": attributes.protocol,
        "nexthop": lower(request.nexthop),
        "queue_id": request.queue_id,
        "sasl_method": attributes.sasl_method,
        "sasl_sender": attributes.sasl_sender,
        "sasl_username": attributes.sasl_username,
        "sender": shown_sender(command, request.sender),
        "size": str(request.size),
    }
    each = [common | _recipient_macros(command, request, recipient) for recipient in request.recipients]
    argv: list[str] = []
    for argument in command.argv:
        names = {a or b or c for a, b, c in _MACRO.findall(argument)}
        if names.isdisjoint(PER_RECIPIENT):
            argv.append(_substitute(argument, common))
        else:
            argv.extend(_substitute(argument, values) for values in each)
    return argv


def _recipient_macros(command: PipeCommand, request: Request, recipient: Recipient) -> dict[str, str]:
    def address(text: str) -> str:
        local, domain = split(text)
        local = local.lower() if "u" in command.flags else local
        domain = domain.lower() if "h" in command.flags else domain
        whole = f"{local}@{domain}" if domain else local
        return quote(whole) if "q" in command.flags else whole

    local, domain = split(recipient.address)
    if "u" in command.flags:
        local = local.lower()
    user, extension = split_extension(local, request.delimiters) if request.delimiters else (local, "")
    return {
        "recipient": address(recipient.address),
        "original_recipient": address(recipient.original or recipient.address),
        "mailbox": local,
        "user": user,
        "extension": extension or "",
        "domain": domain.lower() if "h" in command.flags else domain,
    }


def _substitute(argument: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2) or match.group(3)
        return values[name] if name else "$"

    return _MACRO.sub(value, argument)
