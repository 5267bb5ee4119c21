"""pipe(8): delivery to an external command, with a clean environment, a time limit and the rights of `user=`.

Contract: an outcome for every recipient; exit codes mean what sysexits(3) says; output that begins with a 4.x.x or
5.x.x code decides instead. Commands never run as root or as the owner of the mail system. A process that is not root
runs commands as itself only where `user=` names it, or where everything runs as one user.
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
import re
import time
from collections.abc import Iterable, Iterator, Sequence

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.delivery.execution import Account, Ended, Manner, environment, run
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.pipe_command import PipeCommand, Request, expand, shown_sender
from tayori.delivery.smtp_job import Attempt
from tayori.delivery.trace_headers import from_line, loops
from tayori.protocol.address import quote
from tayori.queue.content import Content, Unreadable, blocks, header, lines
from tayori.queue.model import Attributes, Recipient

_log = logging.getLogger("tayori.pipe")
# sysexits(3): enhanced code and words; a code that begins with 4 is tried again
EXITS: dict[int, tuple[str, str]] = {
    64: ("5.3.0", "command line usage error"),
    65: ("5.6.0", "data format error"),
    66: ("5.3.0", "cannot open input"),
    67: ("5.1.1", "user unknown"),
    68: ("5.1.2", "host name unknown"),
    69: ("5.3.0", "service unavailable"),
    70: ("5.3.0", "internal software error"),
    71: ("4.3.0", "system resource problem"),
    72: ("5.3.0", "critical OS file missing"),
    73: ("5.2.0", "can't create user output file"),
    74: ("5.3.0", "input/output error"),
    75: ("4.3.0", "temporary failure"),
    76: ("5.5.0", "remote error in protocol"),
    77: ("5.7.0", "permission denied"),
    78: ("5.3.5", "local configuration error"),
}
OUTPUT = ". Command output: {output}"
_SOFTWARE = EXITS[70][1]
_OWN_CODE = re.compile(r"([45]\.\d{1,3}\.\d{1,3})\s+(.*)", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class PipeAgent:
    """One master.cf service that runs pipe. `limit` is seconds."""

    def __init__(
        self, settings: Settings, transport: str, command: PipeCommand, account: Account, limit: int
    ) -> None:
        self._transport = transport
        self._command = command
        directory = command.directory or settings.text("queue_directory")
        self._manner = Manner(account, directory, environment(settings), limit)
        self._delimiters = settings.text("recipient_delimiter")

    async def deliver(
        self,
        nexthop: str,
        sender: str,
        content: Content,
        recipients: Iterable[Recipient],
        attributes: Attributes | None = None,
        queue_id: str = "",
    ) -> Attempt:
        """Run the command once for all recipients; once for each where D or O puts a recipient into the message."""
        everyone = tuple(recipients)
        single = not self._command.flags.isdisjoint("DO")
        outcomes: dict[int, DeliveryOutcome] = {}
        for group in [(one,) for one in everyone] if single else [everyone]:
            request = Request(
                nexthop, sender, group, attributes or Attributes(), len(content), queue_id, self._delimiters
            )
            outcome = await self._run(request, content)
            outcomes.update((recipient.n, outcome) for recipient in group)
        return Attempt(outcomes)

    def close(self) -> None:
        """Nothing is kept between deliveries."""

    async def _run(self, request: Request, content: Content) -> DeliveryOutcome:
        command = self._command
        if command.size and len(content) > command.size:
            return BouncedDelivery("message too large", "5.2.3", self._transport)
        if "D" in command.flags and loops(header(content), quote(request.recipients[0].address)):
            address = quote(request.recipients[0].address)
            return BouncedDelivery(f"mail forwarding loop for {address}", "5.4.6", self._transport)
        argv = expand(command, request)
        if any("\0" in argument for argument in argv):
            return BouncedDelivery("bad address syntax", "5.1.3", self._transport)
        try:
            pieces = dressed(command, request, content, time.time())
            ended = await run(argv, pieces, self._manner, large=not isinstance(content, bytes))
        except Unreadable as error:
            _log.error("%s", error)
            return DeferredDelivery("queue file read error", "4.3.0", self._transport)
        except OSError as error:
            why = f"temporary failure. Command output: {argv[0]}: {error.strerror}"
            return DeferredDelivery(why, "4.3.0", self._transport)
        return meaning(ended, argv[0], self._transport)


def pipe_agent(settings: Settings, transport: str, args: Sequence[str], origin: Origin | None = None) -> PipeAgent:
    """The agent of one master.cf line; `settings` has its `-o` overrides. Raises ConfigError."""
    command = PipeCommand.parse(args, origin)
    if command.chroot:
        raise ConfigError("pipe: chroot= is not supported", origin, "run the command without chroot=")
    account = _account(settings, command, origin)
    own = f"{transport}_time_limit"
    limit = settings.seconds(own if settings.is_set(own) else "command_time_limit")
    return PipeAgent(settings, transport, command, account, limit)


def _account(settings: Settings, command: PipeCommand, origin: Origin | None) -> Account:
    try:
        user = pwd.getpwnam(command.user)
        gid = grp.getgrnam(command.group).gr_gid if command.group else user.pw_gid
    except KeyError as error:
        raise ConfigError(f"pipe: user={command.user}: {error.args[0]}", origin, "name an existing user") from error
    own = os.geteuid()
    if own != 0:
        if user.pw_uid != own and settings.text("tayori_single_user") != "yes":
            raise ConfigError(f"pipe: only root can run commands as {command.user}", origin, "start tayori as root")
        return Account(own, os.getegid(), change=False)
    if user.pw_uid == 0 or gid == 0:
        raise ConfigError("pipe: commands never run as root", origin, "name an unprivileged user")
    if command.user == settings.text("mail_owner"):
        raise ConfigError(
            f"pipe: commands never run as the mail system's owner {command.user}", origin, "name another user"
        )
    return Account(user.pw_uid, gid, change=True)


def dressed(command: PipeCommand, request: Request, content: Content, now: float) -> Iterator[bytes]:
    """The message as the command reads it: From line, headers, quoting and line ends as `flags` and `eol` say. Raises
    Unreadable."""
    flags = command.flags

    def ended(data: bytes) -> bytes:
        return data if command.eol == b"\n" else data.replace(b"\n", command.eol)

    def change(data: bytes) -> bytes:
        if flags & {">"}:
            data = re.sub(rb"(?m)^From ", b">From ", data)
        if flags & {"."}:
            data = re.sub(rb"(?m)^\.", b"..", data)
        return ended(data)

    yield ended(_head(command, request, now))
    last = b""
    for piece in lines(blocks(content), change):
        yield piece
        last = piece
    if "B" in flags:
        yield ended(b"\n" if last.endswith(command.eol) else b"\n\n")


def _head(command: PipeCommand, request: Request, now: float) -> bytes:
    flags = command.flags
    sender = shown_sender(command, request.sender)
    head = b""
    if "F" in flags:
        head += from_line(sender, now)
    if "R" in flags:
        head += f"Return-Path: <{_line(sender)}>\n".encode("utf-8", "surrogateescape")
    first = request.recipients[0]
    if "O" in flags:
        original = _line(quote(first.original or first.address))
        head += f"X-Original-To: {original}\n".encode("utf-8", "surrogateescape")
    if "D" in flags:
        head += f"Delivered-To: {_line(quote(first.address))}\n".encode("utf-8", "surrogateescape")
    return head


def meaning(ended: Ended, program: str, relay: str) -> DeliveryOutcome:
    """What exit status and output say about the recipients, in pipe(8)'s words."""
    output = ended.output
    tail = OUTPUT.format(output=output) if output.strip() else ""
    if ended.status is None:
        text = f'Command time limit exceeded: "{program}"'
        return BouncedDelivery(text, "5.3.0", relay, unix=output.strip() or _SOFTWARE)
    if ended.status == 0:
        shown = f" ({output.strip()})" if output.strip() else ""
        return Delivered(f"delivered via {relay} service{shown}", "2.0.0", relay)
    if ended.status < 0:
        text = f'Command died with signal {-ended.status}: "{program}"{tail}'
        return DeferredDelivery(text, "4.3.0", relay, unix=output.strip() or _SOFTWARE)
    own = _OWN_CODE.match(output)
    if own is not None:
        enhanced, text = own.groups()
        said = text
    elif ended.status in EXITS:
        enhanced, words = EXITS[ended.status]
        text = f"{words}. Command output: {output}" if tail else words
        said = output.strip() or words
    else:
        enhanced, text = "5.3.0", f'Command died with status {ended.status}: "{program}"{tail}'
        said = output.strip() or _SOFTWARE
    return (DeferredDelivery if enhanced.startswith("4") else BouncedDelivery)(
        text, enhanced, relay, unix=said.strip()
    )


def _line(text: str) -> str:
    return _CONTROLS.sub("?", text)
