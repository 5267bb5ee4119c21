"""`%` templates of database tables: query, result_format, search_base, key_format.

pgsql_table(5) and its siblings: %s the key, %u its local part, %d its domain, %1 … %9 labels of the domain from the
right, %% a percent sign. In a query %S %U %D are the same as the small ones; in a result format the small ones speak
of the value found and the large ones and digits of the key. A key that lacks a part gives no query at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tayori.config.origin import ConfigError
from tayori.tables.dbconfig import DatabaseConfig
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.outcome import TempFail

_PART = re.compile(r"%(.?)", re.DOTALL)
Quote = Callable[[str], str]


def unquoted(text: str) -> str:
    """No quoting."""
    return text


class Template:
    """A compiled template."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for a `%` form that does not exist."""
        self.parts: list[tuple[bool, str]] = []
        at = 0
        for found in _PART.finditer(text):
            self._literal(text[at : found.start()])
            at = found.end()
            letter = found.group(1)
            if letter == "%":
                self._literal("%")
            elif letter and letter in "sudSUD123456789":
                self.parts.append((True, letter))
            else:
                raise ValueError(f'"%{letter}" is not one of %s %u %d %S %U %D %1 … %9 %%')
        self._literal(text[at:])
        self.trivial = self.parts == [(True, "s")]
        # Digits and capitals need a part of the key whatever the value is.
        self.key_letters = {letter for is_part, letter in self.parts if is_part and letter in "SUD123456789"}

    def _literal(self, text: str) -> None:
        if text:
            self.parts.append((False, text))

    def of_key(self, key: str, quote: Quote) -> str | None:
        """A query for this key; None when the key lacks a part."""
        out = []
        for is_part, text in self.parts:
            piece = part(key, text.lower()) if is_part else text
            if piece is None:
                return None
            out.append(quote(piece) if is_part else piece)
        return "".join(out)

    def of_value(self, value: str, key: str) -> str | None:
        """The result for one value; None when it is to be skipped."""
        if not value:
            return None
        if self.trivial:
            return value
        out = []
        for is_part, text in self.parts:
            piece = part(value if text in "sud" else key, text.lower()) if is_part else text
            if piece is None:
                return None
            out.append(piece)
        return "".join(out)

    def key_suffices(self, key: str) -> bool:
        """Whether the key has every part that %S %U %D %1 … need."""
        return all(part(key, letter.lower()) is not None for letter in self.key_letters)


def part(text: str, letter: str) -> str | None:
    """One part of a key or value; None when it has no such part."""
    if letter == "s":
        return text
    local, at, domain = text.rpartition("@")
    if letter == "u":
        return (local or None) if at else text
    if not at or not domain:
        return None
    if letter == "d":
        return domain
    labels = [label for label in domain.split(".") if label]
    number = int(letter)
    return labels[-number] if number <= len(labels) else None


class Frame:
    """What all database tables share: the domain limit, the result format and the expansion limit."""

    def __init__(self, config: DatabaseConfig, result_default: str = "%s") -> None:
        """Raises ConfigError."""
        if config.spec.kind == "ldap":  # before Postfix 2.2
            result_default = config.text("result_filter", result_default)
        if config.spec.kind == "memcache":  # which has no format: what was put there is the answer
            self.result = Template("%s")
        else:
            if config.is_set("result_format") and not config.text("result_format"):
                raise config.bad("result_format", "result_format is empty", "write result_format = %s")
            self.result = compiled(config, "result_format", result_default)
        self.limit = config.limit("expansion_limit")
        self.domains: MatchList | None = None
        if config.text("domain"):
            patterns = [(item, config.origin("domain")) for item in config.items("domain")]
            self.domains = MatchList(patterns, Kind.STRING, config.spec.registry)

    async def asks(self, key: str) -> bool | TempFail:
        """Whether this key is to be asked for at all."""
        if not key or not self.result.key_suffices(key):
            return False
        if self.domains is None:
            return True
        local, at, domain = key.rpartition("@")
        if not at or not local:
            return False
        found = await self.domains.match(domain)
        return found if isinstance(found, TempFail) else found is not None

    def join(self, values: list[str], key: str) -> str | None:
        """All values formatted and joined by commas; None when nothing is left. Raises ValueError over the limit."""
        found = [text for value in values if (text := self.result.of_value(value, key)) is not None]
        if self.limit and len(found) > self.limit:
            raise ValueError(f"more than expansion_limit = {self.limit} results")
        return ",".join(found) if found else None


def compiled(config: DatabaseConfig, name: str, default: str) -> Template:
    """The template of a setting. Raises ConfigError."""
    try:
        return Template(config.text(name, default))
    except ValueError as error:
        raise ConfigError(f"{config.spec.name}: {name}: {error}", config.origin(name), "") from None
