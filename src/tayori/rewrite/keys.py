"""How addresses are looked up: the order of keys in canonical(5), virtual(5), relocated(5) and the recipient maps.

    user+extension@domain    user@domain    user+extension    user    @domain

The keys without a domain only when the domain is $myorigin or one of our own (mydestination, inet_interfaces,
proxy_interfaces). Tables of patterns are asked for the whole address only. A local part that needs quotes is looked
up with them first, as it is written in tables.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tayori.config.settings import Settings
from tayori.protocol.address import quote_local, split_extension
from tayori.protocol.idn import lower
from tayori.rewrite.results import Deferred
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail

IsLocal = Callable[[str], Awaitable[bool | Deferred]]


@dataclass(frozen=True, slots=True)
class Hit:
    """What a table said, the key that matched, and the extension that the key left out (`@domain` leaves none)."""

    found: Found
    key: str
    extension: str
    delimiter: str


def _forms(local: str, domain: str) -> tuple[str, ...]:
    """A key as it stands in a table, `"a b"@domain`, then without its quotes."""
    quoted = quote_local(local) if local else local
    return (local + domain,) if quoted == local else (quoted + domain, local + domain)


class Finder:
    """Looks addresses up in maps with every key in turn."""

    def __init__(self, settings: Settings, is_local: IsLocal) -> None:
        self.delimiters = settings.text("recipient_delimiter")
        self.owner_request_special = settings.flag("owner_request_special")
        self._is_local = is_local
        self._origin = lower(settings.text("myorigin"))

    def split_extension(self, local: str) -> tuple[str, str]:
        """Base and extension by recipient_delimiter."""
        if not self.delimiters:
            return local, ""
        return split_extension(local, self.delimiters, self.owner_request_special)

    async def find(
        self, maps: Maps, address: str, localpart: bool = True, at_domain: bool = True
    ) -> Hit | Deferred | None:
        """The first key that the maps have. `localpart` False leaves out the keys without a domain."""
        local, at, domain = address.rpartition("@")
        if not at:
            local, domain = domain, ""
        for key in _forms(local, f"{at}{domain}"):
            answer = await maps.lookup(key)
            if isinstance(answer, Found):
                return Hit(answer, key, "", "")
            if isinstance(answer, TempFail):
                return Deferred(answer.why)
        base, extension = self.split_extension(local)
        cut = len(base) < len(local)
        delimiter = local[len(base)] if cut else ""
        keys: list[tuple[str, bool]] = []
        if cut:
            keys += [(key, True) for key in _forms(base, f"{at}{domain}")]
        if localpart and at:
            bare = domain.removesuffix(".")
            own = lower(bare) == self._origin or await self._is_local(bare)
            if isinstance(own, Deferred):
                return own
            if own:
                keys += [(key, False) for key in _forms(local, "")]
                if cut:
                    keys += [(key, True) for key in _forms(base, "")]
        if at_domain and at:
            keys.append((f"@{domain}", False))
        for key, unmatched in keys:
            answer = await maps.lookup(key, partial=True)
            if isinstance(answer, Found):
                return Hit(answer, key, extension if unmatched else "", delimiter if unmatched else "")
            if isinstance(answer, TempFail):
                return Deferred(answer.why)
        return None
