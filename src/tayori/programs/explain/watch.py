"""Tables that remember what they were asked, so that `explain` can show each look-up that decided something."""

from __future__ import annotations

from tayori.config.origin import Origin
from tayori.config.params import PARAMETERS
from tayori.config.params.row import Kind
from tayori.config.settings import Settings
from tayori.programs.explain.values import Lookup
from tayori.tables.outcome import Found, NotFound, Outcome, Table
from tayori.tables.registry import Tables

LISTING = (
    "local_recipient_maps", "virtual_alias_maps", "virtual_mailbox_maps", "relay_recipient_maps", "mydestination",
    "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains", "mynetworks", "smtpd_sender_login_maps",
)  # fmt: skip
CONTENT = ("header_checks", "mime_header_checks", "nested_header_checks", "body_checks")
CLEANING = (
    "sender_canonical_maps", "recipient_canonical_maps", "canonical_maps", "sender_bcc_maps", "recipient_bcc_maps",
    "virtual_alias_maps", *CONTENT,
)  # fmt: skip
ROUTING = (
    "transport_maps", "sender_dependent_relayhost_maps", "sender_dependent_default_transport_maps", "relocated_maps",
    "mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains",
)  # fmt: skip
DELIVERING = (
    "alias_maps", "virtual_mailbox_maps", "virtual_uid_maps", "virtual_gid_maps", "mailbox_transport_maps",
    "fallback_transport_maps", "mailbox_command_maps",
)  # fmt: skip


class Watched:
    """One table, watched. Everything else it has is passed through."""

    def __init__(self, table: Table, heard: list[tuple[str, str, Outcome]]) -> None:
        self.name = table.name
        self._table = table
        self._heard = heard

    def __getattr__(self, name: str) -> object:
        return getattr(self._table, name)

    async def lookup(self, key: str) -> Outcome:
        """Ask, and remember what was found."""
        answer = await self._table.lookup(key)
        if not isinstance(answer, NotFound):
            self._heard.append((self.name, key, answer))
        return answer

    def close(self) -> None:
        """Close the table."""
        self._table.close()


class WatchedTables(Tables):
    """The registry, with every table that it opens watched. `heard` is everything that was found, in order."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.heard: list[tuple[str, str, Outcome]] = []
        self._wrapped: dict[int, Watched] = {}

    def open(self, spec: str, origin: Origin | None = None, form: str = "map", on_missing: str = "") -> Table:
        """As Tables.open."""
        table = super().open(spec, origin, form, on_missing)
        known = self._wrapped.get(id(table))
        if known is None:
            known = self._wrapped[id(table)] = Watched(table, self.heard)
        return known

    def since(self, mark: int, parameters: tuple[str, ...]) -> tuple[Lookup, ...]:
        """What was found after `mark` (a length of `heard`), with the parameter of `parameters` that lists it."""
        found: dict[Lookup, None] = {}
        for table, key, answer in self.heard[mark:]:
            name = self._parameter(table, parameters)
            if isinstance(answer, Found):
                place = str(answer.origin) if answer.origin else ""
                value = answer.value if "unix:" not in table else key  # an account's whole line says too much
                found[Lookup(name, table, key, value, place)] = None
            else:
                found[Lookup(name, table, key, getattr(answer, "why", ""), failed=True)] = None
        return tuple(found)

    def _parameter(self, table: str, parameters: tuple[str, ...]) -> str:
        for name in parameters:
            row = PARAMETERS.get(name)
            if row is not None and row.kind is not Kind.TEXT and table in self.settings.text(name):
                return name
        return ""
