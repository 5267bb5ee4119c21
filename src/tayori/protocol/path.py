"""The paths of MAIL FROM and RCPT TO (RFC 5321 4.1.2 and 4.1.3, RFC 6531 3.3).

What is accepted beyond the grammar is what smtpd(8) accepts unless `strict_rfc821_envelopes` is set: no brackets, too
many of them, a name, a comment or a comma beside the address. There must never be two addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tayori.protocol.address import MAX_HOSTNAME, is_ipv4, is_literal, split, valid_hostname
from tayori.protocol.address_list import Token, addresses, parse

_PLAIN = re.compile(
    rb" *<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*"
    rb"@(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)>(.*)\Z",
    re.DOTALL,
)
_ROUTE = re.compile(r"@[^:<>\"]*:")
_BLANK = " \t\r"
MAX_PATH = 2048


@dataclass(frozen=True, slots=True)
class Path:
    """An address in internal form ("" for `<>`) and the rest of the line: the ESMTP parameters, stripped. `typed`: as
    the client wrote it (quotes, route), "" where that is the same."""

    address: str
    parameters: str
    typed: str = ""


@dataclass(frozen=True, slots=True)
class BadPath:
    """Not an address. `missing`: the argument is empty (a syntax reply); otherwise 501 5.1.7 for a sender,
    501 5.1.3 for a recipient. `why` is for the log."""

    why: str
    missing: bool = False


def parse_path(
    text: bytes,
    *,
    smtputf8: bool,
    strict: bool,
    numeric: bool = False,
    minus: bool = False,
    null_domain: bool = False,
    whole: bool = False,
) -> Path | BadPath:
    """The argument of MAIL FROM: or RCPT TO: (what follows the colon, without the line end).

    `smtputf8`: whether the domain may hold U-labels (the local part always may be UTF-8, as in Postfix). `strict`:
    strict_rfc821_envelopes. `numeric`: resolve_numeric_domain (`user@1.2.3.4`). `minus`: allow_min_user.
    `null_domain`: resolve_null_domain (`user@`). `whole`: no parameters may follow, as in VRFY. Source routes are
    stripped (RFC 5321 appendix C).
    """
    match = _PLAIN.match(text)
    if match is not None and len(text) < MAX_HOSTNAME:
        address, rest = match.groups()
        if not rest:
            return Path(address.decode("ascii"), "")
        if rest[0] in b" \t" and not whole:
            return Path(address.decode("ascii"), rest.decode("utf-8", "surrogateescape").strip())
    return _parse_loose(text, smtputf8, strict, numeric, minus, null_domain, whole)


class _Bad(Exception):
    """Why a path is none; never leaves this module."""


def _parse_loose(
    raw: bytes, smtputf8: bool, strict: bool, numeric: bool, minus: bool, null_domain: bool, whole: bool
) -> Path | BadPath:
    if len(raw) > MAX_PATH:
        return BadPath("the path is too long")
    if b"\n" in raw:
        return BadPath("a control character")
    try:
        text = raw.decode("utf-8").strip(_BLANK)
    except UnicodeDecodeError:
        return BadPath("not valid UTF-8")
    if not text:
        return BadPath("no address", missing=True)
    try:
        word, rest = (text, "") if whole else _first_word(text)
        inner = word[1:-1] if len(word) > 1 and word[0] == "<" and word[-1] == ">" else None
        if strict and (inner is None or (inner[:1] == ">" and inner.strip(">"))):
            raise _Bad("no < and >")
        typed = (word if inner is None else inner).strip(_BLANK)
        address = _mailbox(typed, strict)
        if address.startswith("-") and not minus:
            raise _Bad("the address begins with -")
        if not (null_domain and address.endswith("@") and len(address) > 1):
            _check(address, smtputf8, numeric)
    except _Bad as bad:
        return BadPath(str(bad))
    return Path(address, rest.strip(_BLANK), typed if typed != address else "")


def _first_word(text: str) -> tuple[str, str]:
    """Up to the first blank outside of quotes and brackets, which may be nested; and what follows it."""
    at = depth = 0
    quoted = False
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == '"':
            quoted = not quoted
        elif quoted:
            pass
        elif char == "<":
            depth += 1
        elif char == ">":
            depth -= depth > 0
        elif not depth and char in _BLANK:
            break
        at += 1
    if depth or quoted:
        raise _Bad("the path has no end")
    return text[:at], text[at:]


def _mailbox(text: str, strict: bool) -> str:
    """The one address in it, without a source route and quotes. What mailers put around it (a name, a comment, a
    stray bracket) is passed over, as smtpd(8) does, unless `strict`. Raises _Bad for more than one."""
    if any((char < " " and char != "\t") or char == "\x7f" for char in text):
        raise _Bad("a control character")
    route = _ROUTE.match(text)
    items = parse(text[route.end() :] if route is not None else text)
    found = list(addresses(items))
    if len(found) > 1:
        raise _Bad("more than one address")
    if strict and any(item.kind not in "<>" if isinstance(item, Token) else item.comments for item in items):
        raise _Bad("more than an address in the path")
    if not found:
        return ""
    if found[0].torn:
        raise _Bad("more than one word")
    if strict and found[0].tight.startswith("@"):
        raise _Bad("no local part")
    return found[0].tight


def _check(address: str, smtputf8: bool, numeric: bool) -> None:
    if not address:
        return
    domain = split(address)[1]
    if domain or address.endswith("@"):
        bare = domain.removesuffix(".")
        if valid_hostname(bare, smtputf8) or is_literal(domain) or (numeric and is_ipv4(domain)):
            return
        raise _Bad("not a valid domain")
