"""Messages that are refused for their form, and characters taken out: strict_7bit_headers, strict_8bitmime,
strict_8bitmime_body, strict_mime_encoding_domain, message_reject_characters, message_strip_characters (postconf(5)).

As a real Postfix does it: 8-bit text in a body counts against the encoding that its own part names, and of the types
that may not be encoded only multipart/* and message/rfc822 are looked at.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tayori.config.settings import Settings
from tayori.protocol.headers import Field, fields
from tayori.protocol.mime import Item, walk
from tayori.rewrite.results import Cleaned

if TYPE_CHECKING:
    from tayori.protocol.headers import View

Refusal = tuple[int, str, str]
CHARACTER = (550, "5.7.1", "disallowed character")
EIGHT_BIT_HEADER = (550, "5.6.0", "improper use of 8-bit data in message header")
EIGHT_BIT_BODY = (550, "5.6.0", "improper use of 8-bit data in message body")
ENCODING_DOMAIN = (550, "5.6.0", "invalid message/* or multipart/* encoding domain")
_PLAIN = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11, b"\\": 92}
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_EIGHT_BIT = re.compile(rb"[\x80-\xff]")


class Strict:
    """The rules of one configuration."""

    def __init__(self, settings: Settings) -> None:
        both = settings.flag("strict_8bitmime")
        mime = not settings.flag("disable_mime_input_processing")
        self._headers = mime and (both or settings.flag("strict_7bit_headers"))
        self._body = mime and (both or settings.flag("strict_8bitmime_body"))
        self._domain = mime and settings.flag("strict_mime_encoding_domain")
        self._nesting = settings.number("mime_nesting_limit")
        self._boundary = settings.number("mime_boundary_length_limit")
        self._rejected = _search(characters(settings.text("message_reject_characters")))
        self._stripped = characters(settings.text("message_strip_characters"))
        self._runs = _search(self._stripped, b"+")

    def __bool__(self) -> bool:
        return bool(self._headers or self._body or self._domain or self._rejected or self._stripped)

    def refusal(self, content: View, head: bytes) -> Refusal | None:
        """Why a message is refused; `head` is its header, LF ended, with which `content` begins."""
        if self._rejected is not None and self._rejected.search(content):
            return CHARACTER
        if self._headers and _EIGHT_BIT.search(head):
            return EIGHT_BIT_HEADER
        if not (self._headers or self._body or self._domain):
            return None
        header = fields(head)
        if self._domain and encoded(header):
            return ENCODING_DOMAIN
        primary = [(one.name, one.value) for one in header]
        for item in walk(content, len(head), primary, self._nesting, self._boundary):
            refusal = self._of(item, content)
            if refusal is not None:
                return refusal
        return None

    def _of(self, item: Item, content: View) -> Refusal | None:
        if item.kind != "body":
            if self._headers and _EIGHT_BIT.search(content, item.start, item.end):
                return EIGHT_BIT_HEADER
            return ENCODING_DOMAIN if self._domain and item.encoded else None
        if self._body and item.encoding == b"7bit" and _EIGHT_BIT.search(content, item.start, item.end):
            return EIGHT_BIT_BODY
        return None

    def strip(self, data: bytes) -> bytes:
        """Without message_strip_characters."""
        return data.translate(None, self._stripped) if self._stripped else data

    def strip_mapped(self, cleaned: Cleaned, content: View) -> Cleaned:
        """The same for a message whose content is a mapped file: as edits of it, beside those that are there."""
        if self._runs is None:
            return cleaned
        edits = [(start, end, self.strip(new)) for start, end, new in cleaned.edits]
        taken = iter(cleaned.edits)
        edit = next(taken, None)
        for run in self._runs.finditer(content, cleaned.cut):
            while edit is not None and edit[1] <= run.start():
                edit = next(taken, None)
            if edit is None or run.end() <= edit[0]:
                edits.append((run.start(), run.end(), b""))
        return replace(cleaned, content=self.strip(cleaned.content), edits=tuple(sorted(edits)))


def encoded(header: list[Field]) -> bool:
    """Whether a header names an encoding for multipart/* or message/rfc822."""
    found = {one.name: one.value.strip().lower() for one in header}
    kind = found.get("content-type", b"").partition(b";")[0].strip()
    encoding = found.get("content-transfer-encoding", b"7bit")
    return _composite(kind) and encoding not in (b"7bit", b"8bit", b"binary")


def _composite(kind: bytes) -> bool:
    return kind.startswith(b"multipart/") or kind == b"message/rfc822"


def characters(text: str) -> bytes:
    """What a value such as `\\0\\007Q` names: C-like escapes, \\ddd in octal; a line end never counts."""

    def one(match: re.Match[bytes]) -> bytes:
        word = match.group(1)
        if word.isdigit():
            return bytes([int(word, 8) & 255])
        return bytes([_PLAIN[word]]) if word in _PLAIN else word

    return _ESCAPE.sub(one, text.encode("utf-8", "surrogateescape")).replace(b"\n", b"")


def _search(wanted: bytes, more: bytes = b"") -> re.Pattern[bytes] | None:
    return re.compile(b"[" + re.escape(wanted) + b"]" + more) if wanted else None
