"""Original recipients and envelope ids on the wire: xtext (RFC 3461 4) and the utf-8 address type (RFC 6533 3). Pure.

`ORCPT=type;address`. An address of type utf-8 may come as plain UTF-8 or with `\\x{HEX}`; any other type
is xtext, `+XX` for bytes. What is kept and sent on is ASCII: for utf-8 the `\\x{HEX}` form, which every server takes.
"""

from __future__ import annotations

import re

_XTEXT = re.compile(r"(?:[!-*,-<>-~\x80-\U0010ffff]|\+[0-9A-Fa-f]{2})*\Z")
_HEX = re.compile(r"\+([0-9A-Fa-f]{2})")
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_PLAIN_UTF8 = re.compile(r"[^!-*,-<>-\[\]-~]")
_PLAIN_XTEXT = re.compile(rb"[^!-*,-<>-~]")
UTF8 = "utf-8"


def unxtext(text: str) -> str | None:
    """Decoded xtext, bytes as UTF-8; None where it is no xtext. Characters beyond ASCII stand for themselves."""
    if _XTEXT.match(text) is None:
        return None
    if "+" not in text:
        return text
    raw = _HEX.sub(lambda m: chr(0xDC00 + int(m[1], 16)) if int(m[1], 16) > 127 else chr(int(m[1], 16)), text)
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def xtext(text: str) -> str:
    """`text` as xtext."""
    raw = text.encode("utf-8", "surrogateescape")
    return _PLAIN_XTEXT.sub(lambda m: b"+%02X" % m[0][0], raw).decode("ascii")


def decoded(value: str) -> tuple[str, str] | None:
    """(type, address) of an ORCPT value, as a person reads it; None for bad syntax."""
    kind, semicolon, text = value.partition(";")
    if not semicolon or not kind.isascii() or not kind or not text:
        return None
    if kind.lower() != UTF8:
        address = unxtext(text)
        return None if address is None else (kind, address)
    try:
        address = _EMBEDDED.sub(lambda m: chr(int(m[1], 16)), text)
        address.encode("utf-8")
    except (ValueError, UnicodeEncodeError):
        return None
    return kind, address


def encoded(kind: str, address: str) -> str:
    """The ORCPT value, in ASCII."""
    if kind.lower() != UTF8:
        return f"{kind};{xtext(address)}"
    return f"{kind};" + _PLAIN_UTF8.sub(lambda m: f"\\x{{{ord(m[0]):X}}}", address)


def typed(address: str) -> str:
    """The ORCPT value that stands for an address of our own (external form)."""
    return encoded("rfc822" if address.isascii() else UTF8, address)


def accepted(value: str) -> str | None:
    """What to keep of a client's ORCPT value; None for bad syntax."""
    parts = decoded(value)
    return None if parts is None else encoded(*parts)


def good_envid(value: str) -> bool:
    """Whether an ENVID is xtext of printable ASCII (RFC 3461 4.4)."""
    text = unxtext(value) or ""
    return text != "" and text.isascii() and text.isprintable()
