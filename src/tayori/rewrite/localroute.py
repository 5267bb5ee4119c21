"""Ways out of local delivery: mailbox_transport, fallback_transport (and their maps) and luser_relay, local(8).

mailbox_transport is asked for every local recipient that is no alias; fallback_transport for those that are
neither an alias nor a user; luser_relay last, before the mail is returned.
"""

from __future__ import annotations

from dataclasses import dataclass

from tayori.config.expand import expand
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.protocol.address import split_extension
from tayori.rewrite.form import Form
from tayori.rewrite.resolve import split_service
from tayori.rewrite.results import Deferred
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables


@dataclass(frozen=True, slots=True)
class Service:
    """Another transport takes the recipient over. `nexthop` "" means the recipient's domain."""

    transport: str
    nexthop: str
    reason: str
    origin: Origin | None = None


class LocalRoute:
    """The parameters of one configuration."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        """Raises ConfigError for a table or a luser_relay that cannot be used."""
        self._settings = settings
        self._form = Form(settings)
        self._delimiters = settings.text("recipient_delimiter")
        self._special = settings.flag("owner_request_special")
        self._maps = {
            name: Maps.from_settings(tables, settings, f"{name}_maps")
            for name in ("mailbox_transport", "fallback_transport")
        }
        self._fixed = {name: settings.text(name) for name in self._maps}
        self._luser = settings.raw("luser_relay") or ""
        self._expanded(self._luser, "user", "user@example.com", "")

    async def mailbox(self, user: str) -> Service | Deferred | None:
        """mailbox_transport_maps, mailbox_transport: for every recipient; None: deliver here."""
        return await self._service("mailbox_transport", user)

    async def fallback(self, user: str) -> Service | Deferred | None:
        """fallback_transport_maps, fallback_transport: for a name that is no user; None: there is none."""
        return await self._service("fallback_transport", user)

    def luser(self, address: str, home: str = "") -> str | None:
        """luser_relay for an unknown recipient, its $names put in, in standard form; None when empty."""
        if not self._luser:
            return None
        local = address.rpartition("@")[0] or address
        found = self._expanded(self._luser, local, address, home).strip()
        return self._form.envelope(found) or None

    async def _service(self, name: str, user: str) -> Service | Deferred | None:
        maps = self._maps[name]
        if maps:
            answer = await maps.lookup(user)
            if isinstance(answer, TempFail):
                return Deferred(answer.why)
            if isinstance(answer, Found):
                return Service(*split_service(answer.value), f"{name}_maps: {user}", answer.origin)
        if self._fixed[name]:
            return Service(*split_service(self._fixed[name]), name, self._settings.origin(name))
        return None

    def _expanded(self, text: str, local: str, address: str, home: str) -> str:
        user, extension = split_extension(local, self._delimiters, self._special)
        values = {
            "user": user,
            "local": local,
            "domain": address.rpartition("@")[2],
            "extension": extension,
            "recipient": address,
            "recipient_delimiter": local[len(user) : len(user) + 1] if len(user) < len(local) else "",
            "home": home,
            "shell": "",
        }
        try:
            # A value that came from the client may hold a $; it must not be expanded again.
            return expand(text, {key: value.replace("$", "$$") for key, value in values.items()}.get)
        except ConfigError as error:
            raise ConfigError(
                f"luser_relay: {error.message}", self._settings.origin("luser_relay"), error.mend
            ) from error
