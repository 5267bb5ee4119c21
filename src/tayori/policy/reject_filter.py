"""smtpd_reject_filter_maps: a table that may put another reply in place of a 4xx or 5xx (postconf(5), Postfix 3.11).

The table is asked with the whole reply in one line: code, enhanced code, text. What it answers is a whole reply
again; one that is none, or that would turn a refusal into consent, is not used and said in the log.
"""

from __future__ import annotations

import logging
import re

from tayori.config.settings import Settings
from tayori.policy.services import TableOpener
from tayori.protocol.reply import Reply
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail

log = logging.getLogger("tayori.policy")

NAME = "smtpd_reject_filter_maps"
_REPLY = re.compile(r"([45][0-9]{2}) (?:([45]\.[0-9]{1,3}\.[0-9]{1,3}) )?(.*\S.*)")


class RejectFilter:
    """One lookup for each refusal."""

    def __init__(self, settings: Settings, tables: TableOpener) -> None:
        """Raises ConfigError for a table that cannot be used."""
        place = settings.origin(NAME)
        self._maps = Maps(tables.open(name, place) for name in settings.items(NAME))

    async def apply(self, reply: Reply) -> Reply:
        """The reply to send."""
        if not self._maps:
            return reply
        found = await self._maps.lookup(str(reply))
        if isinstance(found, TempFail):
            log.warning("%s: %s; the reply stays as it is", NAME, found.why)
        if not isinstance(found, Found):
            return reply
        match = _REPLY.fullmatch(found.value)
        if match is None or (match[2] and match[2][0] != match[1][0]):
            log.warning(
                '%s: %s: "%s" is no 4xx or 5xx reply; the reply stays as it is', NAME, found.origin, found.value
            )
            return reply
        return Reply(int(match[1]), match[2] or "", match[3].strip())
