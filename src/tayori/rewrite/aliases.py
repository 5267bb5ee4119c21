"""Alias expansion for local recipients: alias_maps, aliases(5), local(8).

Names fold to lower case. `name+extension` is looked up first, then `name`. An alias that stands for its own
name means the user of that name. A destination in one of our own domains is expanded further; any other is an
Address and goes back through the queue. A backslash before a name says nothing more, as in a real Postfix: aliases
are followed, and .forward files looked for.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tayori.config.settings import Settings
from tayori.protocol.address import split
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


class Source(msgspec.Struct, frozen=True):
    """Where a command, file or list is named: `kind` is "alias", "forward", "include" or "mailbox" (mailbox_command),
    `path` the file (empty for a table that is none). `user`: on whose behalf, in a .forward file and the lists that
    it names. `uid`: whose rights a list has; -1 for the owner of `path`."""

    kind: str
    path: str
    user: str = ""
    uid: int = -1


class User(msgspec.Struct, frozen=True, tag=True):
    """A local name that is no alias; an extension is still on it. `plain` (named in the user's own
    .forward): straight into the mailbox. `owner`, here and below: as `Aliases.owner`."""

    name: str
    plain: bool = False
    owner: str | None = None


class Address(msgspec.Struct, frozen=True, tag=True):
    """An address that gets a copy as a new message, in standard form."""

    address: str
    owner: str | None = None


class Command(msgspec.Struct, frozen=True, tag=True):
    """`|text`. `name`: the alias that says so, an extension still on it; empty where that is the recipient."""

    text: str
    source: Source
    name: str = ""
    owner: str | None = None


class File(msgspec.Struct, frozen=True, tag=True):
    """`/file/name`, with "/" at its end a Maildir."""

    path: str
    source: Source
    name: str = ""
    owner: str | None = None


class Include(msgspec.Struct, frozen=True, tag=True):
    """`:include:/path`. Who may read it must look; `Aliases.follow` takes what stands in it. `extension`, with its
    delimiter: what of the recipient's name no table had."""

    path: str
    source: Source
    name: str = ""
    owner: str | None = None
    extension: str = ""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A member that never gets mail, and why."""

    text: str
    enhanced: str


class Loop(msgspec.Struct, frozen=True, tag=True):
    """Expanding `name` leads back to itself through other aliases, or too deep: undeliverable, 5.4.6."""

    name: str


Target = User | Address | Command | File | Include | Refused | Loop


class _Found(NamedTuple):
    """An alias: its destinations, the file that says so, the extension that no key had (with its delimiter)."""

    targets: tuple[Destination, ...]
    path: str
    extension: str


class _Above(NamedTuple):
    """What holds for an alias's destinations: names on the way to it, its own name below the first, its owner."""

    chain: tuple[str, ...]
    name: str
    owner: str | None


class Aliases:
    """Expands local names by alias_maps."""

    def __init__(self, settings: Settings, tables: Tables, classes: Classes | None = None) -> None:
        """Raises ConfigError for a table that cannot be used. A missing alias file counts as empty."""
        self._classes = classes or Classes(settings, tables)
        self._form = Form(settings)
        self._finder = Finder(settings, self._classes.is_local)
        self._maps = Maps(alias_tables(settings, tables, "alias_maps"))
        self._propagated = frozenset(settings.items("propagate_unmatched_extensions"))
        self._expand_owner = settings.flag("expand_owner_alias")
        self._owner_special = settings.flag("owner_request_special")

    async def expand(self, local_part: str) -> tuple[Target, ...] | Deferred | None:
        """Where mail for `local_part` goes; None when it is no alias. Every destination once, in order."""
        if not self._maps:
            return None
        found = await self._lookup(local_part)
        if found is None or isinstance(found, Deferred):
            return found
        owner = await self.owner(local_part)
        if isinstance(owner, Deferred):
            return owner
        out: dict[Target, Target] = {}
        trouble = await self._walk(found, _Above((local_part.lower(),), "", owner), out)
        return trouble if trouble is not None else tuple(out.values())

    async def follow(
        self, text: str, source: Source, me: str = "", extension: str = "", above: Include | None = None
    ) -> tuple[Target, ...] | Deferred:
        """Where the lines of a .forward file or an :include: list send mail; blank lines and `#` lines say nothing.

        `me` is the user whose .forward it is or was: his own name, also through an alias, is his mailbox. All other
        names get a new message, so that each is delivered, or not, for itself (local(8) MAIL FORWARDING).
        """
        out: dict[Target, Target] = {}
        name, owner = (above.name, above.owner) if above is not None else ("", None)
        keep = extension if source.kind in self._propagated else ""
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            for target in parse_destinations(line):
                trouble = await self._follow(self._extended(target, keep), source, me, (name, owner, extension), out)
                if trouble is not None:
                    return trouble
                if len(out) >= MAX_TARGETS:
                    return (*out.values(), Loop(source.path))
        return tuple(out.values())

    async def _follow(
        self,
        target: Destination,
        source: Source,
        me: str,
        above: tuple[str, str | None, str],
        out: dict[Target, Target],
    ) -> Deferred | None:
        name, owner, extension = above
        if target.kind not in ("address", "user"):
            _put(out, _special(target, source, name, owner, extension))
            return None
        address = self._form.envelope(target.text)
        local, domain = split(address)
        answer = await self._classes.classify(domain)
        if isinstance(answer, Deferred):
            return answer
        if answer.kind is not AddressClass.LOCAL or self._form.routing(local) is not None:
            _put(out, Address(address, owner))
            return None
        if me and self._finder.split_extension(local)[0].lower() == me:
            _put(out, User(local, True))
            return None
        members = await self.expand(local)
        if isinstance(members, Deferred):
            return members
        users = {member.name.lower() for member in members or () if isinstance(member, User)}
        if members is None or (local.lower() in users and me not in users):
            # an alias that names its own user is left whole: it would be expanded again
            _put(out, Address(address, owner))
            return None
        for member in members:
            if not isinstance(member, User):
                _put(out, member)
            elif member.name.lower() == me:
                _put(out, User(member.name, True))
            else:
                _put(out, Address(self._form.envelope(member.name), member.owner or owner))
        return None

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

    async def _lookup(self, name: str) -> _Found | Deferred | None:
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
        if extension and "alias" in self._propagated:
            targets = tuple(self._extended(target, extension) for target in targets)
        return _Found(targets, answer.origin.file if answer.origin else "", extension)

    def _extended(self, target: Destination, extension: str) -> Destination:
        if target.kind not in ("address", "user") or not extension:
            return target
        local, at, domain = target.text.rpartition("@")
        text = f"{local}{extension}@{domain}" if at else target.text + extension
        return Destination(target.kind, text)

    async def _walk(self, found: _Found, above: _Above, out: dict[Target, Target]) -> Deferred | None:
        """Add the final targets of `found` to `out`."""
        chain, _, owner = above
        for target in found.targets:
            if len(out) >= MAX_TARGETS or len(chain) > MAX_DEPTH:
                _put(out, Loop(chain[0]))
                return None
            if target.kind not in ("address", "user"):
                source = Source("alias", found.path)
                _put(out, _special(target, source, above.name, owner, found.extension))
                continue
            address = self._form.envelope(target.text)
            local, domain = split(address)
            answer = await self._classes.classify(domain)
            if isinstance(answer, Deferred):
                return answer
            if answer.kind is not AddressClass.LOCAL or self._form.routing(local) is not None:
                _put(out, Address(address, owner))
                continue
            name = local.lower()
            if name == chain[-1]:
                _put(out, User(local, False, owner))
                continue
            if name in chain:
                _put(out, Loop(name))
                continue
            more = await self._lookup(name)
            if isinstance(more, Deferred):
                return more
            if more is None:
                _put(out, User(local, False, owner))
                continue
            below = await self.owner(local)
            if isinstance(below, Deferred):
                return below
            trouble = await self._walk(more, _Above((*chain, name), local, below or owner), out)
            if trouble is not None:
                return trouble
        return None


def _put(out: dict[Target, Target], member: Target) -> None:
    """Each once, whoever owns the alias that says so; the first counts."""
    bare = member
    if not isinstance(member, Refused | Loop) and member.owner is not None:
        bare = msgspec.structs.replace(member, owner=None)
    out.setdefault(bare, member)


def _special(target: Destination, source: Source, name: str, owner: str | None, extension: str) -> Target:
    """A destination that is no address."""
    if target.kind == "command":
        return Command(target.text, source, name, owner)
    if target.kind == "file":
        return File(target.text, source, name, owner)
    return Include(target.text, source, name, owner, extension)
