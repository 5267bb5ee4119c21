"""What a client said, in the texts of replies: `$name` of a session, with the characters of smtpd_expansion_filter.

postconf(5) default_rbl_reply, smtpd_reject_footer, smtpd_expansion_filter.
"""

from __future__ import annotations

import re

from tayori.config.expand import expand
from tayori.config.settings import Settings

_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def allowed(settings: Settings) -> frozenset[str]:
    """smtpd_expansion_filter, its C escapes resolved. Line ends are never allowed: they would part a reply."""

    def character(match: re.Match[str]) -> str:
        text = match[1]
        return chr(int(text, 8) & 0xFF) if text[0] in "01234567" else _LETTERS.get(text, text)

    raw = settings.raw("smtpd_expansion_filter") or ""
    return frozenset(_ESCAPE.sub(character, raw)) - {"\r", "\n", "\0"}


def fill(template: str, values: dict[str, str], safe: frozenset[str]) -> str:
    """Expand `template` with values that are taken literally; what is not `safe` becomes `_`. Raises ConfigError."""
    clean = {
        name: "".join(c if c in safe else "_" * len(c.encode("utf-8", "surrogateescape")) for c in value).replace(
            "$", "$$"
        )
        for name, value in values.items()
    }
    return expand(template, clean.get)
