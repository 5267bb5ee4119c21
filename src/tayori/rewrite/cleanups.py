"""Several cleanup services: `smtpd -o cleanup_service_name=NAME` goes to one of master.cf with its own -o settings.

cleanup(8), master(5); with a content filter mail is so checked on one side of it only.
"""

from __future__ import annotations

from collections.abc import Mapping

from tayori.config.settings import Settings
from tayori.rewrite.classes import Classes
from tayori.rewrite.cleanup import Cleanup, Incoming
from tayori.rewrite.results import Cleaned
from tayori.tables.registry import Tables


class Cleanups(Cleanup):
    """The usual rules, and those of `services` (name to settings) for the messages that name one of them."""

    def __init__(
        self, settings: Settings, tables: Tables, classes: Classes, services: Mapping[str, Settings]
    ) -> None:
        """Raises ConfigError for a table that cannot be used."""
        super().__init__(settings, tables, classes)
        self._named = {name: Cleanup(own, tables, classes) for name, own in services.items()}

    async def clean(self, message: Incoming) -> Cleaned:
        """The message for the queue, by the rules of its service."""
        named = self._named.get(message.service)
        return await (super().clean(message) if named is None else named.clean(message))
