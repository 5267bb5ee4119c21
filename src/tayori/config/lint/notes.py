"""Which physical lines inside a value are notes, or whole settings, that their author never meant as value.

postconf(5): a line that begins with white space goes on with the line above. A `;` begins no comment.
"""

from __future__ import annotations

import re
from enum import Enum

from tayori.config.maincf import Assignment, Piece
from tayori.config.params import Kind, row_of

SINGLE = frozenset((Kind.FLAG, Kind.NUMBER, Kind.CODE, Kind.TIME, Kind.CHOICE, Kind.PATH))
LISTS = frozenset((Kind.LIST, Kind.TABLES, Kind.NETWORKS, Kind.DOMAINS, Kind.RESTRICTIONS))
_SETTING = re.compile(r"^([A-Za-z0-9_]{3,})\s*=(?!=)")
_TAIL = re.compile(r"\s([#;]\s*[^\d\s{}].*|[#;]\s+\S.*)$")
_TECHNICAL = re.compile(r"[_./:@$=\[\]{}<>\d]")
# Free text in which # and ; may be meant.
FREE_TEXT = frozenset(
    [
        "smtpd_banner",
        "undisclosed_recipients_header",
        "smtpd_policy_service_default_action",
        "postscreen_greet_banner",
        "unverified_recipient_reject_reason",
        "unverified_sender_reject_reason",
        "debugger_command",
    ]
)


class Kept(Enum):
    """What a swallowed line looks like."""

    NOTE = "note"
    SETTING = "setting"


def swallowed(assignment: Assignment) -> list[tuple[Piece, Kept]]:
    """The continuation lines that were not meant as part of the value."""
    row = row_of(assignment.name)
    kind = row.kind if row and not row.raw else None
    seen_value = bool(assignment.pieces[0].text.partition("=")[2].strip())
    found: list[tuple[Piece, Kept]] = []
    for piece in assignment.pieces[1:]:
        text = piece.text.strip()
        setting = _SETTING.match(text)
        if text.startswith((";", "//")):
            found.append((piece, Kept.NOTE))
        elif setting and (row_of(setting.group(1)) or kind in SINGLE or kind in LISTS):
            found.append((piece, Kept.SETTING))
        elif seen_value and (kind in SINGLE or (kind in LISTS and prose(text))):
            found.append((piece, Kept.NOTE))
        seen_value = True
    return found


def prose(text: str) -> bool:
    """Whether a line reads like words for people: two or more, none with a sign that technical words have."""
    words = [word.strip(".,;:!?()\"'") for word in text.split()]
    words = [word for word in words if word]
    return len(words) > 1 and not any(_TECHNICAL.search(word) for word in words) and "," not in text[:-1]


def tail(assignment: Assignment, piece: Piece) -> str:
    """The `# note` or `; note` at the end of a line of the value, or ""."""
    row = row_of(assignment.name)
    if row is None or row.raw or assignment.name in FREE_TEXT or "{" in assignment.value:
        return ""
    match = _TAIL.search(piece.text)
    return match.group(1) if match else ""


def meant(assignment: Assignment) -> str:
    """The value without swallowed lines and notes behind it: what the author meant, unexpanded."""
    lost = {piece.line for piece, _ in swallowed(assignment)}
    parts: list[str] = []
    for piece in assignment.pieces:
        if piece.line in lost:
            continue
        note = tail(assignment, piece)
        text = piece.text[: len(piece.text) - len(note)] if note else piece.text
        if piece is assignment.pieces[0]:
            text = text.partition("=")[2]
        parts.append(text.strip())
    return " ".join(part for part in parts if part)
