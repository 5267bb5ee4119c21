"""Address mappings: canonical(5), masquerading and virtual(5).

canonical: one address for one, asked again until nothing changes (at most ten times). virtual: many for one,
recursively, within virtual_alias_recursion_limit and virtual_alias_expansion_limit. A result `@domain` keeps
the local part; a result without a domain is completed; an unmatched extension goes along where
propagate_unmatched_extensions says so.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from tayori.config.settings import Settings
from tayori.protocol.address import split
from tayori.rewrite.classes import Classes
from tayori.rewrite.form import Form
from tayori.rewrite.keys import Finder, Hit
from tayori.rewrite.results import Deferred
from tayori.rewrite.targets import parse_destinations
from tayori.tables.maps import Maps
from tayori.tables.registry import Tables

log = logging.getLogger("tayori.rewrite")

MAX_CANONICAL = 10

ENVELOPE_SENDER = "envelope_sender"
ENVELOPE_RECIPIENT = "envelope_recipient"
HEADER_SENDER = "header_sender"
HEADER_RECIPIENT = "header_recipient"


@dataclass(frozen=True, slots=True)
class TooMany:
    """Virtual alias expansion beyond its limits. `why` is for the log."""

    why: str


class Mapper:
    """Shared ground of all mappings: form, keys, propagation."""

    def __init__(self, settings: Settings, classes: Classes) -> None:
        self.form = Form(settings)
        self.finder = Finder(settings, classes.is_local)
        self._propagate = frozenset(settings.items("propagate_unmatched_extensions"))

    def apply(self, address: str, hit: Hit, value: str, kind: str) -> str:
        """The address that the result `value` stands for."""
        if value.startswith("@"):
            local, _ = split(address)
            return self.form.envelope(local + value)
        result = self.form.envelope(value)
        if hit.delimiter and kind in self._propagate and result:
            local, at, domain = result.rpartition("@")
            result = f"{local}{hit.delimiter}{hit.extension}{at}{domain}"
        return result

    async def one(self, maps: Maps, address: str, kind: str) -> str | Deferred:
        """Map one address to one, again and again until it stays."""
        for _ in range(MAX_CANONICAL):
            hit = await self.finder.find(maps, address)
            if hit is None:
                return address
            if isinstance(hit, Deferred):
                return hit
            values = [d.text for d in parse_destinations(hit.found.value) if d.kind in ("address", "user")]
            new = self.apply(address, hit, values[0], kind) if values else address
            if new.lower() == address.lower():
                return new
            address = new
        # A circle. Postfix says "not accepted", and takes the message as it is by then.
        log.warning("%s maps: %s changes more than %d times: it stays as it is now", kind, address, MAX_CANONICAL)
        return address


class Canonical:
    """canonical_maps and masquerading for the four kinds of address."""

    def __init__(self, settings: Settings, tables: Tables, mapper: Mapper) -> None:
        self._mapper = mapper
        self._sender = Maps.from_settings(tables, settings, "sender_canonical_maps")
        self._recipient = Maps.from_settings(tables, settings, "recipient_canonical_maps")
        self._both = Maps.from_settings(tables, settings, "canonical_maps")
        self._classes = {
            "sender": frozenset(settings.items("sender_canonical_classes")),
            "recipient": frozenset(settings.items("recipient_canonical_classes")),
            "both": frozenset(settings.items("canonical_classes")),
        }
        self._masquerade = tuple(word.lower() for word in settings.items("masquerade_domains"))
        self._masquerade_classes = frozenset(settings.items("masquerade_classes"))
        self._exceptions = frozenset(word.lower() for word in settings.items("masquerade_exceptions"))

    def __bool__(self) -> bool:
        return bool(self._sender or self._recipient or self._both or self._masquerade)

    async def map(self, address: str, kind: str) -> str | Deferred:
        """The address (standard form, not empty) as one of the four kinds."""
        own, name = (
            (self._sender, "sender") if kind in (ENVELOPE_SENDER, HEADER_SENDER) else (self._recipient, "recipient")
        )
        for maps, classes in ((own, name), (self._both, "both")):
            if maps and kind in self._classes[classes]:
                new = await self._mapper.one(maps, address, "canonical")
                if isinstance(new, Deferred):
                    return new
                address = new
        if self._masquerade and kind in self._masquerade_classes:
            address = self._masked(address)
        return address

    def _masked(self, address: str) -> str:
        """postconf(5) masquerade_domains: the first that fits decides; `!domain` keeps what is below it."""
        local, at, domain = address.rpartition("@")
        if not at or local.lower() in self._exceptions:
            return address
        folded = domain.lower()
        for word in self._masquerade:
            keep = word.startswith("!")
            parent = word.lstrip("!")
            if folded == parent or folded.endswith(f".{parent}"):
                return address if keep or folded == parent else f"{local}@{parent}"
        return address


class Virtual:
    """virtual_alias_maps."""

    def __init__(self, settings: Settings, tables: Tables, mapper: Mapper) -> None:
        self._mapper = mapper
        self._maps = Maps.from_settings(tables, settings, "virtual_alias_maps")
        self._size = settings.number("virtual_alias_expansion_limit")
        self._depth = settings.number("virtual_alias_recursion_limit")
        self._length = settings.number("virtual_alias_address_length_limit")

    def __bool__(self) -> bool:
        return bool(self._maps)

    async def expand(self, address: str) -> tuple[str, ...] | Deferred | TooMany:
        """All final addresses for `address`, each once, in order; itself when there is no alias."""
        done: dict[str, None] = {}
        waiting: list[tuple[str, tuple[str, ...]]] = [(address, ())]
        size = 1
        while waiting:
            current, chain = waiting.pop()
            folded = current.lower()
            if folded in chain:
                return TooMany(f"virtual_alias_maps: {address} leads round in a circle at {current}")
            if len(chain) > self._depth:
                return TooMany(f"virtual_alias_maps: {address} nests deeper than {self._depth}")
            hit = await self._mapper.finder.find(self._maps, current)
            if isinstance(hit, Deferred):
                return hit
            if hit is None:
                done[current] = None
                continue
            new = self._results(current, hit)
            size += max(len(new) - 1, 0)
            if size > self._size:
                return TooMany(f"virtual_alias_maps: {address} expands to more than {self._size} addresses")
            if not new:
                done[current] = None
            for result in reversed(new):
                if len(result) > self._length:
                    return TooMany(f"virtual_alias_maps: a result for {address} is longer than {self._length}")
                if result.lower() == folded:
                    done[result] = None
                else:
                    waiting.append((result, (*chain, folded)))
        return tuple(done)

    def _results(self, address: str, hit: Hit) -> list[str]:
        return [
            self._mapper.apply(address, hit, found.text, "virtual")
            for found in parse_destinations(hit.found.value)
            if found.kind in ("address", "user")
        ]
