"""local(8) EXTERNAL COMMAND DELIVERY: commands of aliases and .forward files, mailbox_command.

Contract: a clean environment, a time limit, the rights of an Account; the shell only where the command needs one.
Exit codes and output mean what pipe(8) takes them for.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.delivery.execution import Account, Manner, environment, run
from tayori.delivery.forward import Names
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.passwd import User
from tayori.delivery.pipe import meaning
from tayori.delivery.trace_headers import from_line, prefix
from tayori.protocol.address import quote
from tayori.queue.content import Content, Unreadable, blocks
from tayori.queue.model import Attributes

_PLAIN = re.compile(r"[\w@%+=:,./ \t-]+", re.ASCII)
"""A command of these needs no shell."""
_log = logging.getLogger("tayori.local")


@dataclass(frozen=True, slots=True)
class Letter:
    """What a command is told: addresses in standard form; `delivered` is the Delivered-To line's (empty: none),
    `original` the X-Original-To line's."""

    sender: str
    recipient: str
    original: str
    delivered: str
    attributes: Attributes
    asked: str = ""
    """The address as it came, for ORIGINAL_RECIPIENT."""


class Commands:
    """Runs them; the settings are read once."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError."""
        self._environment = environment(settings)
        self._names = Names(settings, "command_expansion_filter")
        self._folders = Names(settings, "execution_directory_expansion_filter")
        self._folder = settings.text("command_execution_directory")
        self._queue = settings.text("queue_directory")
        self._shell = settings.text("local_command_shell").split()
        self._limit = settings.seconds("command_time_limit")
        self._path = self._environment["PATH"]

    async def deliver(
        self, command: str, letter: Letter, content: Content, account: Account, user: User | None
    ) -> DeliveryOutcome:
        """One run. Deferred when it cannot be started."""
        if "\0" in command:
            return BouncedDelivery("bad command syntax", "5.3.5")
        try:
            folder = self._directory(letter, user)
        except ConfigError as error:
            _log.warning("command_execution_directory: %s", error)
            return DeferredDelivery("mail system configuration error", "4.3.5", "local")
        manner = Manner(account, folder, self.variables(letter, user), self._limit)
        try:
            ended = await run(
                self.argv(command), _pieces(letter, content), manner, large=not isinstance(content, bytes)
            )
        except Unreadable as error:
            _log.error("%s", error)
            return DeferredDelivery("queue file read error", "4.3.0", "local")
        except OSError as error:
            _log.warning("cannot run %s in %s: %s", command, folder, error)
            return DeferredDelivery(f"cannot run a command: {error.strerror}", "4.3.0", "local")
        outcome = meaning(ended, command, "local")
        if isinstance(outcome, Delivered):
            output = ended.output.strip()
            shown = f" ({output})" if output else ""
            return Delivered(f"delivered to command: {command}{shown}")
        return outcome

    def argv(self, command: str) -> list[str]:
        """With local_command_shell always that; directly where neither shell syntax nor a built-in is meant."""
        if self._shell:
            return [*self._shell, command]
        words = command.split()
        if _PLAIN.fullmatch(command) and "=" not in words[0] and shutil.which(words[0], path=self._path):
            return words
        return ["/bin/sh", "-c", command]

    def variables(self, letter: Letter, user: User | None) -> dict[str, str]:
        """local(8)'s environment variables; those that are empty are left out, but for SENDER."""
        attributes = letter.attributes
        values = self._names.values(user, letter.recipient)
        own = {
            "SHELL": user.shell if user else "",
            "HOME": user.home if user else "",
            "USER": values["user"],
            "LOGNAME": values["user"],
            "EXTENSION": values["extension"],
            "DOMAIN": values["domain"],
            "LOCAL": values["local"],
            "RECIPIENT": values["recipient"],
            "ORIGINAL_RECIPIENT": self._names.clean(letter.asked),
            "CLIENT_ADDRESS": self._names.clean(attributes.client_address),
            "CLIENT_HELO": self._names.clean(attributes.helo),
            "CLIENT_HOSTNAME": self._names.clean(attributes.client_name),
            "CLIENT_PROTOCOL": self._names.clean(attributes.protocol),
            "SASL_METHOD": self._names.clean(attributes.sasl_method),
            "SASL_SENDER": self._names.clean(attributes.sasl_sender),
            "SASL_USERNAME": self._names.clean(attributes.sasl_username),
        }
        found = dict(self._environment) | {name: value for name, value in own.items() if value and "\0" not in value}
        found["SENDER"] = self._names.clean(letter.sender) or "MAILER-DAEMON"
        return found

    def _directory(self, letter: Letter, user: User | None) -> str:
        """command_execution_directory, or the queue's. Raises ConfigError."""
        if not self._folder:
            return self._queue if os.path.isdir(self._queue) else "/"
        return self._folders.expand(self._folder, self._folders.values(user, letter.recipient)) or "/"


def _pieces(letter: Letter, content: Content) -> Iterator[bytes]:
    """ "From " line, headers, the message; no empty line after it. Raises Unreadable."""
    sender = quote(letter.sender) if letter.sender else ""
    yield from_line(sender, time.time()) + prefix(sender, letter.original, letter.delivered)
    yield from blocks(content)
