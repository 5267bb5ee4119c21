"""Credentials for relays that want a login, in the words of delivery.smtp_auth (smtp_sasl_password_maps)."""

from __future__ import annotations

from tayori.config.settings import Settings
from tayori.delivery.smtp_auth import Login, LoginTrouble
from tayori.programs.daemons.layout import Layout
from tayori.sasl.client import PasswordMaps
from tayori.sasl.refused_logins import RefusedLogins
from tayori.tables.outcome import TempFail
from tayori.tables.registry import Tables


class RelayLogins:
    """sasl.client's look-up for the SMTP client."""

    def __init__(self, maps: PasswordMaps) -> None:
        self._maps = maps

    @classmethod
    def of(cls, settings: Settings, tables: Tables, prefix: str) -> RelayLogins | None:
        """None unless {smtp,lmtp}_sasl_auth_enable is set. Raises ConfigError."""
        if not settings.flag(f"{prefix}_sasl_auth_enable"):
            return None
        memory = RefusedLogins.of(settings, prefix, Layout.of(settings).queue)
        return cls(PasswordMaps(settings, tables, prefix, memory=memory))

    async def find(self, nexthop: str, host: str, sender: str) -> Login | None:
        """Credentials, or None. Raises LoginTrouble."""
        found = await self._maps.find(nexthop, host, sender)
        if isinstance(found, TempFail):
            raise LoginTrouble(f"smtp_sasl_password_maps cannot be asked: {found.why}")
        return found
