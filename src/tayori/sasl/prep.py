"""SASLprep (RFC 4013): the form in which names and passwords are hashed and compared.

Only SASLprep, not PRECIS (RFC 8265): every mechanism we have names SASLprep, and keys that other programs stored
were made with it; a password prepared otherwise would not match them.
"""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Callable

_PROHIBITED: tuple[Callable[[str], bool], ...] = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class PrepError(ValueError):
    """The text cannot be a name or password. The message names the rule, never the text."""


def saslprep(text: str, query: bool = False) -> str:
    """Map, normalise (KC) and check `text` (RFC 4013 2). `query` lets code points through that Unicode 3.2 lacks.

    Stored strings are prepared with `query=False`; what a client sends, and what a login is checked with, with
    `query=True` (RFC 3454 7). Raises PrepError for prohibited characters and mixed directions.
    """
    if text.isascii():
        if any(c < " " or c == "\x7f" for c in text):
            raise PrepError("holds a control character")
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in text if c == "\u200b" or not stringprep.in_table_b1(c)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    for character in prepared:
        if any(prohibits(character) for prohibits in _PROHIBITED):
            raise PrepError(f"holds U+{ord(character):04X}, which RFC 4013 2.3 prohibits")
        if not query and stringprep.in_table_a1(character):
            raise PrepError(f"holds U+{ord(character):04X}, which is not in Unicode 3.2 (RFC 4013 2.5)")
    _check_direction(prepared)
    return prepared


def _check_direction(text: str) -> None:
    """Right-to-left text is all right-to-left and begins and ends so (RFC 3454 6)."""
    if not any(map(stringprep.in_table_d1, text)):
        return
    if any(map(stringprep.in_table_d2, text)):
        raise PrepError("mixes right-to-left and left-to-right text (RFC 4013 2.4)")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise PrepError("right-to-left text must begin and end so (RFC 4013 2.4)")
