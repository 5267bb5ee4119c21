"""Alias expansion for local recipients: alias_maps, aliases(5), local(8).

Names fold to lower case. `name+extension` is looked up first, then `name`. An alias that stands for its own
name means the user of that name. A destination in one of our own domains is expanded further; any other is an
Address and goes back through the queue.
"""

from __future__ import annotations

from dataclasses import dataclass

from tayori.config.settings import Settings
from tayori.rewrite.aliasmaps import alias_tables
from tayori.rewrite.classes import Classes
from tayori.rewrite.form import Form
from tayori.rewrite.keys import Finder
from tayori.rewrite.results import AddressClass, Deferred
from tayori.rewrite.targets import Destination, parse_destinations
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables

MAX_DEPTH = 100
MAX_TARGETS = 100_000


@dataclass(frozen=True, slots=True)
class User:
    """A local name that is no alias (or was written `\\name`); an extension is still on it."""

    name: str


@dataclass(frozen=True, slots=True)
class Address:
    """An address of another domain, in standard form."""

    address: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """`kind` is "command", "file" or "include"; `text` what the alias says. The caller defers with a reason."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Loop:
    """Expanding `name` leads back to itself through other aliases, or too deep: undeliverable, 5.4.6."""

    name: str


Target = User | Address | Unsupported | Loop


class Aliases:
    """Expands local names by alias_maps."""

    def __init__(self, settings: Settings, tables: Tables, classes: Classes | None = None) -> None:
        """Raises ConfigError for a table that cannot be used. A missing alias file counts as empty."""
        self._classes = classes or Classes(settings, tables)
        self._form = Form(settings)
        self._finder = Finder(settings, self._classes.is_local)
        self._maps = Maps(alias_tables(settings, tables, "alias_maps"))
        self._propagate = "alias" in settings.items("propagate_unmatched_extensions")
        self._expand_owner = settings.flag("expand_owner_alias")
        self._owner_special = settings.flag("owner_request_special")

    async def expand(self, local_part: str) -> tuple[Target, ...] | Deferred | None:
        """Where mail for `local_part` goes; None when it is no alias. Every destination once, in order."""
        if not self._maps:
            return None
        found = await self._lookup(local_part)
        if found is None or isinstance(found, Deferred):
            return found
        out: dict[Target, None] = {}
        trouble = await self._walk(found, (local_part.lower(),), out)
        return trouble if trouble is not None else tuple(out)

    async def owner(self, local_part: str) -> str | Deferred | None:
        """The envelope sender for what this alias sends on: `owner-name` when that alias exists (or, with
        expand_owner_alias, what it stands for); None when it does not. A local part or an address."""
        base = self._finder.split_extension(local_part)[0].lower()
        if not self._maps or not self._owner_special or base.startswith("owner-"):
            return None
        for name in dict.fromkeys((local_part.lower(), base)):
            answer = await self._maps.lookup(f"owner-{name}")
            if isinstance(answer, TempFail):
                return Deferred(answer.why)
            if isinstance(answer, Found):
                targets = parse_destinations(answer.value)
                if self._expand_owner and len(targets) == 1 and targets[0].kind == "address":
                    return targets[0].text
                return f"owner-{name}"
        return None

    async def _lookup(self, name: str) -> tuple[Destination, ...] | Deferred | None:
        folded = name.lower()
        answer = await self._maps.lookup(folded)
        extension = ""
        if not isinstance(answer, Found | TempFail):
            base, extension = self._finder.split_extension(folded)
            if len(base) == len(folded):
                return None
            answer = await self._maps.lookup(base, partial=True)
            extension = folded[len(base) :]
        if isinstance(answer, TempFail):
            return Deferred(answer.why)
        if not isinstance(answer, Found):
            return None
        targets = parse_destinations(answer.value)
        if extension and self._propagate:
            targets = tuple(self._extended(target, extension) for target in targets)
        return targets

    def _extended(self, target: Destination, extension: str) -> Destination:
        if target.kind not in ("address", "user"):
            return target
        local, at, domain = target.text.rpartition("@")
        text = f"{local}{extension}@{domain}" if at else target.text + extension
        return Destination(target.kind, text)

    async def _walk(
        self, found: tuple[Destination, ...], chain: tuple[str, ...], out: dict[Target, None]
    ) -> Deferred | None:
        """Add the final targets of `found` to `out`; `chain` holds the names on the way."""
        for target in found:
            if len(out) >= MAX_TARGETS or len(chain) > MAX_DEPTH:
                out[Loop(chain[0])] = None
                return None
            if target.kind == "user":
                out[User(target.text)] = None
                continue
            if target.kind != "address":
                out[Unsupported(target.kind, target.text)] = None
                continue
            address = self._form.envelope(target.text)
            local, _, domain = address.rpartition("@")
            answer = await self._classes.classify(domain)
            if isinstance(answer, Deferred):
                return answer
            if answer.kind is not AddressClass.LOCAL or self._form.routing(local) is not None:
                out[Address(address)] = None
                continue
            name = local.lower()
            if name == chain[-1]:
                out[User(local)] = None
                continue
            if name in chain:
                out[Loop(name)] = None
                continue
            more = await self._lookup(name)
            if isinstance(more, Deferred):
                return more
            if more is None:
                out[User(local)] = None
                continue
            trouble = await self._walk(more, (*chain, name), out)
            if trouble is not None:
                return trouble
        return None
