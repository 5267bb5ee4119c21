"""The list of `key=value` and `key="value"` that DIGEST-MD5 messages are (RFC 2831 7.1)."""

from __future__ import annotations

import re

from tayori.sasl.mechanisms.base import Broken

Fields = dict[str, str]

MAX_MESSAGE = 4096  # bytes (RFC 2831 2.1.2: a longer response must be refused)
# One alternative per character class, no nesting that could match in two ways: linear in the length.
_FIELD = re.compile(
    r'[ \t\r\n,]*([A-Za-z0-9\-]+)[ \t\r\n]*=[ \t\r\n]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))[ \t\r\n]*', re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def quote(text: str) -> str:
    """A quoted string (RFC 2831 7.2)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read(message: bytes, repeated: bool = False) -> Fields:
    """Fields by lower-case key. Broken when malformed or a key comes twice.

    `repeated`: a server's challenge, where `realm` may come several times; its values are joined by newlines.
    Text is UTF-8 where charset=utf-8 says so, else ISO 8859-1.
    """
    if len(message) > MAX_MESSAGE:
        raise Broken(f"DIGEST-MD5 message longer than {MAX_MESSAGE} bytes")
    try:
        text = message.decode("utf-8" if b"charset" in message.lower() else "latin-1")
    except UnicodeDecodeError:
        raise Broken("DIGEST-MD5 message is not UTF-8") from None
    if "\0" in text:
        raise Broken("DIGEST-MD5 message holds a NUL")
    fields: Fields = {}
    position = 0
    while position < len(text):
        found = _FIELD.match(text, position)
        if found is None or (found.end() < len(text) and text[found.end()] != ","):
            raise Broken("DIGEST-MD5 message is malformed")
        key, quoted, token = found[1].lower(), found[2], found[3]
        value = token if quoted is None else _ESCAPED.sub(r"\1", quoted)
        if key == "realm" and repeated and key in fields:
            fields[key] += "\n" + value
        elif key in fields:
            raise Broken(f"DIGEST-MD5: {key} is given twice")
        else:
            fields[key] = value
        position = found.end() + 1
    return fields
