"""Settings: a whole configuration as one immutable value with typed, cached, expanded access.

Each accessor raises ConfigError with the origin of the value when the value does not fit its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tayori.config import maincf
from tayori.config.computed import COMPUTED
from tayori.config.expand import closing, expand, level
from tayori.config.maincf import Assignment
from tayori.config.origin import ConfigError, Origin
from tayori.config.params import PARAMETERS, row_of
from tayori.config.params.row import Row
from tayori.config.system import System

_PARTED = re.compile(r"[,\s]+", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_TIME = re.compile(r"^(\d+)\s*([smhdwSMHDW]?)$")


class Settings:
    """main.cf, plus the overrides of one master.cf service where there are any."""

    def __init__(
        self,
        directory: str,
        assignments: Iterable[Assignment] = (),
        system: System | None = None,
        overrides: Iterable[Assignment] = (),
    ) -> None:
        self.directory = directory
        self.system = system or System()
        self.assignments = tuple(assignments)
        self.overrides = tuple(overrides)
        self._set: dict[str, Assignment] = {a.name: a for a in (*self.assignments, *self.overrides)}
        self._cache: dict[tuple[str, str], object] = {}
        self._computing: set[str] = set()

    @classmethod
    def read(cls, directory: str | Path, system: System | None = None) -> Settings:
        """Read DIR/main.cf. Raises ConfigError."""
        return cls(str(directory), maincf.read(Path(directory) / "main.cf"), system)

    @classmethod
    def of(cls, values: Mapping[str, str], system: System | None = None, directory: str = "test") -> Settings:
        """Settings from a plain mapping, for tests and tools; line N is the Nth item of main.cf."""
        text = "\n".join(f"{name} = {value}" for name, value in values.items())
        return cls(directory, maincf.parse(text, f"{directory}/main.cf"), system)

    def with_overrides(self, overrides: Iterable[Assignment]) -> Settings:
        """The same configuration seen by one service: `-o name=value` of master.cf wins."""
        return Settings(self.directory, self.assignments, self.system, (*self.overrides, *overrides))

    def assignment(self, name: str) -> Assignment | None:
        """The assignment that counts (the last), or None when the default holds."""
        return self._set.get(name)

    def origin(self, name: str) -> Origin | None:
        """Where the value stands; None for a default."""
        found = self._set.get(name)
        return found.origin if found else None

    def origin_of(self, name: str, word: str) -> Origin | None:
        """The line in which `word` stands inside the value of `name`; None for a default."""
        found = self._set.get(name)
        return found.line_of(word) if found else None

    def is_set(self, name: str) -> bool:
        """Whether a file sets it."""
        return name in self._set

    def known_names(self) -> tuple[str, ...]:
        """Every parameter name: the rows', and what the files set."""
        return tuple(sorted(set(PARAMETERS) | set(self._set)))

    def row(self, name: str) -> Row | None:
        """The parameter's row, or that of its per-transport template; None for a name of the user's own."""
        return row_of(name)

    def default(self, name: str) -> str | None:
        """The raw default; computed ones (myhostname, mynetworks …) are worked out."""
        computed = COMPUTED.get(name)
        if computed is not None:
            return self._computed(name)
        row = row_of(name)
        return row.default if row else None

    def _computed(self, name: str) -> str:
        found = self._cache.get(("computed", name))
        if found is None:
            if name in self._computing:  # myhostname = $mydomain, whose default is made from myhostname
                mend = "write myhostname = the full name of this machine, such as mail.example.com"
                raise ConfigError("$name expansion goes round in a circle", None, mend)
            self._computing.add(name)
            try:
                found = self._cache["computed", name] = COMPUTED[name](self)
            finally:
                self._computing.discard(name)
        return str(found)

    def raw(self, name: str) -> str | None:
        """The value as written, or the raw default; None for an unknown name."""
        if name == "config_directory":
            return self.directory
        found = self._set.get(name)
        return found.value if found else self.default(name)

    def expand(self, text: str) -> str:
        """Expand `$name` references in `text`. Raises ConfigError without origin."""
        return expand(text, self.raw)

    def text(self, name: str) -> str:
        """The expanded value (as written for a `raw` row); empty for an unknown name. `myorigin` as a path stands for
        the first line of that file (Debian's /etc/mailname), also inside of other values."""
        cached = self._cache.get(("text", name))
        if cached is None:
            row = row_of(name)
            raw = self.raw(name) or ""
            try:
                cached = raw if row is not None and row.raw else expand(raw, self._resolved).strip(maincf.BLANKS)
                if name == "myorigin" and cached.startswith("/"):
                    cached = first_line(cached)
            except ConfigError as error:
                raise ConfigError(f"{name}: {error.message}", self.origin(name), error.mend) from error
            self._cache["text", name] = cached
        return str(cached)

    def _resolved(self, name: str) -> str | None:
        if name != "myorigin":
            return self.raw(name)
        if name in self._computing:
            raise ConfigError("$name expansion goes round in a circle", None, "break the circle of references")
        self._computing.add(name)
        try:
            return self.text(name)
        finally:
            self._computing.discard(name)

    def flag(self, name: str) -> bool:
        """yes/no."""
        value = self.text(name).lower()
        if value not in ("yes", "no"):
            raise self._bad(name, value, "write yes or no")
        return value == "yes"

    def number(self, name: str) -> int:
        """A whole number within the row's bounds."""
        value = self.text(name)
        try:
            number = int(value)
        except ValueError:
            raise self._bad(name, value, "write a whole number") from None
        return self._bounded(name, number)

    def seconds(self, name: str) -> int:
        """A time, in seconds; a bare number takes the row's unit."""
        value = self.text(name)
        match = _TIME.match(value)
        if match is None:
            raise self._bad(name, value, "write a number and one of s, m, h, d, w")
        row = row_of(name)
        unit = match.group(2).lower() or (row.unit if row else "s")
        return self._bounded(name, int(match.group(1)) * _SECONDS[unit])

    def items(self, name: str) -> tuple[str, ...]:
        """A list: split at commas and blanks, `{ … }` groups kept whole (braces included)."""
        cached = self._cache.get(("items", name))
        if cached is None:
            cached = self._cache["items", name] = split_items(self.text(name))
        return cached  # type: ignore[return-value]

    def compatibility_level(self) -> tuple[int, int, int]:
        """`compatibility_level`, (0, 0, 0) when unset (COMPATIBILITY_README)."""
        return level(self.text("compatibility_level"))

    def _bounded(self, name: str, number: int) -> int:
        row = row_of(name)
        if row and row.low is not None and number < row.low:
            raise self._bad(name, str(number), f"the least is {row.low}")
        if row and row.high is not None and number > row.high:
            raise self._bad(name, str(number), f"the most is {row.high}")
        return number

    def _bad(self, name: str, value: str, mend: str) -> ConfigError:
        row = row_of(name)
        kind = row.kind.value if row else "a value"
        return ConfigError(f"{name} = {value}: this must be {kind}", self.origin(name), mend)


def first_line(path: str) -> str:
    """The first line of a small file, stripped. Raises ConfigError without origin when there is none."""
    try:
        line = Path(path).read_text("utf-8", "replace").partition("\n")[0].strip()
    except OSError as error:
        mend = "write a domain into that file, or the domain itself here"
        raise ConfigError(f"{path}: {error.strerror}", None, mend) from error
    if not line:
        raise ConfigError(f"{path}: the first line is empty", None, "write a domain into that file")
    return line


def split_items(text: str) -> tuple[str, ...]:
    """Split at commas and white space; a `{ … }` group is one item. Raises ConfigError for an open brace."""
    if "{" not in text:
        return tuple(filter(None, _PARTED.split(text)))
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in ", \t\r\n":
            at += 1
        elif text[at] == "{":
            end = closing(text, at)
            found.append(text[at : end + 1])
            at = end + 1
        else:
            start = at
            while at < len(text) and text[at] not in ", \t\r\n":
                if text[at] == "{":
                    at = closing(text, at)
                at += 1
            found.append(text[start:at])
    return tuple(found)
