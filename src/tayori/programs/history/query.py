"""What a person asks the history for: `from:a@b to:@example.com client:192.0.2.1 since:yesterday refused`."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from tayori.programs.history.store import ACCEPTED, REFUSED

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d+)([smhdw])")
_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%H:%M")
STATES = {
    "refused": f"ok & {REFUSED}",
    "accepted": f"ok & {ACCEPTED}",
    "bounced": "number IN (SELECT number FROM outcome WHERE status = 'bounced')",
    "deferred": "number IN (SELECT number FROM outcome WHERE status = 'deferred')",
    "sent": "number IN (SELECT number FROM outcome WHERE status = 'sent')",
}
FIELDS = ("from", "to", "client", "login", "since", "until")


class BadQuery(Exception):
    """`word` cannot be understood."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


@dataclass(frozen=True, slots=True)
class Query:
    """An SQL condition on `record` and its values."""

    where: str
    values: tuple[object, ...]


def query(words: list[str], now: float) -> Query:
    """From the words of a command line. Raises BadQuery."""
    where: list[str] = []
    values: list[object] = []
    for word in words:
        field, colon, text = word.partition(":")
        if word.lower() in STATES:
            where.append(STATES[word.lower()])
        elif colon and field.lower() in FIELDS:
            if not text:
                raise BadQuery(word)
            clause, found = _field(field.lower(), text, now)
            where.append(clause)
            values += found
        elif "@" in word:
            clause, found = anybody(word)
            where.append(clause)
            values += found
        else:
            raise BadQuery(word)
    return Query(" AND ".join(f"({clause})" for clause in where) or "1", tuple(values))


def anybody(address: str) -> tuple[str, list[object]]:
    """An address as sender or recipient, also one that an alias led to."""
    sender, of_sender = _field("from", address, 0)
    recipient, of_recipient = _field("to", address, 0)
    return f"{sender} OR {recipient}", of_sender + of_recipient


def _field(field: str, text: str, now: float) -> tuple[str, list[object]]:
    like = _like(text)
    if field == "from":
        return ("sender = '<>'", []) if text == "<>" else ("sender LIKE ? ESCAPE '\\'", [like])
    if field == "to":
        return (
            "recipients LIKE ? ESCAPE '\\' OR (number <> 0 AND number IN "
            "(SELECT number FROM outcome WHERE lower(address) LIKE ? ESCAPE '\\'))",
            [like, like],
        )
    if field in ("client", "login"):
        return f"{field} LIKE ? ESCAPE '\\'", [like]
    return f"at {'>=' if field == 'since' else '<='} ?", [moment(text, now)]


def _like(text: str) -> str:
    bare = text.lower().strip("<>")
    return "%" + bare.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def moment(text: str, now: float) -> float:
    """`yesterday` (its midnight), `today`, `2h`, `3d`, `2026-11-24`, `2026-11-24T10:00`, `10:00` (today). Local time.

    Raises BadQuery.
    """
    midnight = _midnight(now)
    if text in ("today", "yesterday"):
        return midnight if text == "today" else _midnight(midnight - 43200)
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - int(ago.group(1)) * UNITS[ago.group(2)]
    for form in _FORMS:
        try:
            found = time.strptime(text.replace("T", " "), form)
        except ValueError:
            continue
        if form == "%H:%M":
            return midnight + found.tm_hour * 3600 + found.tm_min * 60
        return time.mktime(found)
    raise BadQuery(text)


def _midnight(now: float) -> float:
    return time.mktime((*time.localtime(now)[:3], 0, 0, 0, 0, 0, -1))
