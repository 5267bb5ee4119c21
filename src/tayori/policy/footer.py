"""smtpd_reject_footer, smtpd_reject_footer_maps: text after each 4xx and 5xx reply (postconf(5)).

The maps are asked with the whole reply; else the one template holds. `\\n` breaks the line; `\\c` at the start keeps
the footer on the reply's own line. `$name` values of the session are filled in, nothing of main.cf.
"""

from __future__ import annotations

from collections.abc import Callable

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.policy.expansion import allowed, fill
from tayori.policy.facts import Facts
from tayori.policy.reject_filter import RejectFilter
from tayori.policy.services import TableOpener
from tayori.protocol.reply import Reply
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found


def session_values(facts: Facts) -> dict[str, str]:
    """The attributes of a session that templates may name."""
    client = facts.client
    values = {
        "client": f"{client.name}[{client.address}]",
        "client_address": client.address,
        "client_name": client.name,
        "client_port": str(client.port),
        "reverse_client_name": client.reverse_name,
        "helo_name": facts.helo or "",
    }
    for role, address in (("sender", facts.sender), ("recipient", facts.recipient)):
        local, at, domain = (address or "").rpartition("@")
        values[role] = "" if address is None else address or "<>"
        values[f"{role}_name"] = (local if at else domain) or "<>"
        values[f"{role}_domain"] = domain if at else ""
    return values


class Footer:
    """Adds the footer, after smtpd_reject_filter_maps had its say. `localtime` gives "Mmm dd hh:mm:ss"; it is passed
    in so that tests stand still."""

    def __init__(self, settings: Settings, tables: TableOpener, localtime: Callable[[], str]) -> None:
        """Raises ConfigError for a table that cannot be used."""
        self._template = settings.raw("smtpd_reject_footer") or ""
        place = settings.origin("smtpd_reject_footer_maps")
        self._maps = Maps(tables.open(name, place) for name in settings.items("smtpd_reject_footer_maps"))
        self._server_name = settings.text("myhostname")
        self._localtime = localtime
        self._safe = allowed(settings)
        self._filter = RejectFilter(settings, tables)

    async def apply(self, reply: Reply, facts: Facts) -> Reply:
        """The reply with its footer; as it is when there is none, or for a 2xx or 3xx."""
        if reply.code < 400:
            return reply
        reply = await self._filter.apply(reply)
        template = self._template
        if self._maps:
            found = await self._maps.lookup(str(reply))
            template = found.value if isinstance(found, Found) else template
        if not template:
            return reply
        values = session_values(facts) | {"server_name": self._server_name, "localtime": self._localtime()}
        try:
            text = fill(template, values, self._safe)
        except ConfigError:
            return reply
        joined = text.startswith("\\c")
        text = text.removeprefix("\\c").replace("\\n", "\n")
        return Reply(reply.code, reply.enhanced, f"{reply.text}{'' if joined else chr(10)}{text}")
