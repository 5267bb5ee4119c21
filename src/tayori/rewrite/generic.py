"""generic(5): smtp_generic_maps and lmtp_generic_maps, own addresses made presentable when mail leaves."""

from __future__ import annotations

from tayori.config.settings import Settings
from tayori.protocol.address_list import Address, addresses, parse, written
from tayori.protocol.headers import Field, fields, header_end
from tayori.rewrite.classes import Classes
from tayori.rewrite.headerfix import RECIPIENT_FIELDS, SENDER_FIELDS
from tayori.rewrite.mapping import Mapper
from tayori.rewrite.results import Deferred
from tayori.rewrite.targets import parse_destinations
from tayori.tables.maps import Maps
from tayori.tables.registry import Tables

_FIELDS = SENDER_FIELDS | RECIPIENT_FIELDS


class Generic:
    """smtp_generic_maps (generic(5)): own addresses made presentable when mail leaves. `parameter` may be
    lmtp_generic_maps."""

    def __init__(
        self, settings: Settings, tables: Tables, classes: Classes, parameter: str = "smtp_generic_maps"
    ) -> None:
        self._mapper = Mapper(settings, classes)
        self._completes_remote = bool(settings.text("remote_header_rewrite_domain"))
        self._tokens = settings.number("header_address_token_limit")
        self._maps = Maps.from_settings(tables, settings, parameter)

    def __bool__(self) -> bool:
        return bool(self._maps)

    async def map(self, address: str) -> str | Deferred:
        """One address; asked once, not recursively."""
        if not address or not self._maps:
            return address
        hit = await self._mapper.finder.find(self._maps, address)
        if hit is None or isinstance(hit, Deferred):
            return address if hit is None else hit
        values = [found.text for found in parse_destinations(hit.found.value)]
        return self._mapper.apply(address, hit, values[0], "generic") if values else address

    async def content(self, content: bytes, remote: bool = False) -> bytes | Deferred:
        """The message with every address of its header mapped; the body is not looked at. `remote`: it came from a
        client whose headers are not completed (local_header_rewrite_clients)."""
        if not self._maps:
            return content
        end = header_end(content)
        out: list[bytes] = []
        for one in fields(content[:end]):
            raw = await self._field(one, remote) if one.name in _FIELDS else one.raw
            if isinstance(raw, Deferred):
                return raw
            out.append(raw)
        return b"".join((*out, content[end:]))

    async def _field(self, one: Field, remote: bool) -> bytes | Deferred:
        label, _, value = one.raw.decode("utf-8", "surrogateescape").partition(":")
        items = parse(value, self._tokens)
        news: list[tuple[Address, str]] = []
        same = True
        for found in addresses(items):
            # the tables are asked for the complete address, but only what they name is changed
            whole = found.tight
            if self._completes_remote or not remote:
                whole = self._mapper.form.header(whole, remote, found.signs)
            new = await self.map(whole)
            if isinstance(new, Deferred):
                return new
            news.append((found, found.tight if new == whole else new))
            same = same and new == whole
        if same:
            return one.raw
        for found, new in news:
            found.becomes(new)
        return written(label, items).encode("utf-8", "surrogateescape")
