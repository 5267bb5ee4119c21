"""A finding of `check`, and the message it is made from.

Each lint module holds its messages in one place, as templates with named fields: translating them means
translating the templates, at the one place where they are filled in (Message.at).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tayori.config.origin import Origin
from tayori.config.phrase import Phrase

__all__ = ["SEVERITIES", "Edit", "Finding", "Message", "Phrase"]

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Edit:
    """A mend that is certain: physical line `line` of `file` becomes `lines` (none: it goes away)."""

    file: str
    line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """`severity` is error, warning or note; `code` names the kind of mistake and never changes."""

    severity: str
    code: str
    origin: Origin
    title: str
    meaning: str
    mend: str
    fix: Edit | None = None
    message: Message | None = field(default=None, compare=False, repr=False)
    fields: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    session: tuple[str, ...] = ()
    """An SMTP dialogue that shows the mistake, line by line."""


@dataclass(frozen=True, slots=True)
class Message:
    """Templates of one kind of finding."""

    severity: str
    code: str
    title: str
    meaning: str
    mend: str

    def at(self, origin: Origin, fix: Edit | None = None, severity: str = "", **fields: object) -> Finding:
        """The finding at one place."""
        return Finding(
            severity or self.severity,
            self.code,
            origin,
            self.title.format(**fields),
            self.meaning.format(**fields),
            self.mend.format(**fields),
            fix,
            self,
            fields,
        )
