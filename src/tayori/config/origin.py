"""Where a setting stands, and the error that names the place.

Every value read from a file carries an Origin, so that each decision can be traced to its line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a configuration file. `line` counts from 1; 0 means the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class ConfigError(Exception):
    """A configuration that cannot be used.

    `message` says what is wrong, `mend` what to do; `origin` is None only where no file is to blame.
    """

    def __init__(self, message: str, origin: Origin | None = None, mend: str = "") -> None:
        self.message = message
        self.origin = origin
        self.mend = mend
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.origin}: " if self.origin else ""
        mend = f" ({self.mend})" if self.mend else ""
        return f"{place}{self.message}{mend}"
