"""Mail addresses as values: the paths of MAIL FROM and RCPT TO, and the parts of an address.

Addresses are text in Postfix's internal form: the local part unquoted, the domain as written
(`"a b"@example.com` is `a b@example.com` inside). The last `@` parts local part and domain. RFC 5321 4.1.2
and 4.1.3, RFC 6531 3.3; what is accepted beyond the grammar is what smtpd(8) accepts unless
`strict_rfc821_envelopes` is set.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from tayori.protocol.idn import to_ascii

_PLAIN = re.compile(
    rb" *<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*"
    rb"@(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)>(.*)\Z",
    re.DOTALL,
)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_ATOM_UTF8 = re.compile(r"[\w!#$%&'*+/=?^`{|}~\x80-\U0010ffff-]+(?:\.[\w!#$%&'*+/=?^`{|}~\x80-\U0010ffff-]+)*\Z")
_ROUTE = re.compile(r"@[^:<>\"]*:")
_BLANK = " \t"
MAX_PATH = 2048
MAX_HOSTNAME = 255

_SPECIAL_LOCALS = frozenset(("mailer-daemon", "postmaster", "double-bounce"))


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
) -> Path | BadPath:
    """The argument of MAIL FROM: or RCPT TO: (what follows the colon, without the line end).

    `smtputf8`: whether the domain may hold U-labels (the local part always may be UTF-8, as in Postfix). `strict`:
    strict_rfc821_envelopes. `numeric`: resolve_numeric_domain (`user@1.2.3.4`). `minus`: allow_min_user.
    `null_domain`: resolve_null_domain (`user@`). Source routes are stripped (RFC 5321 appendix C).
    """
    match = _PLAIN.match(text)
    if match is not None and len(text) < MAX_HOSTNAME:
        address, rest = match.groups()
        if not rest:
            return Path(address.decode("ascii"), "")
        if rest[0] in b" \t":
            return Path(address.decode("ascii"), rest.decode("utf-8", "surrogateescape").strip())
        return BadPath("text follows the >")
    return _parse_loose(text, smtputf8, strict, numeric, minus, null_domain)


class _Bad(Exception):
    """Why a path is none; never leaves this module."""


def _parse_loose(
    raw: bytes, smtputf8: bool, strict: bool, numeric: bool, minus: bool, null_domain: bool
) -> Path | BadPath:
    if len(raw) > MAX_PATH:
        return BadPath("the path is too long")
    try:
        text = raw.decode("utf-8").strip(_BLANK)
    except UnicodeDecodeError:
        return BadPath("not valid UTF-8")
    if not text:
        return BadPath("no address", missing=True)
    try:
        inner, rest = _enclosed(text, strict)
        if rest and rest[0] not in _BLANK:
            raise _Bad("text follows the >")
        address = _mailbox(inner, strict)
        if address.startswith("-") and not minus:
            raise _Bad("the address begins with -")
        if not (null_domain and address.endswith("@") and len(address) > 1):
            _check(address, smtputf8, strict, numeric)
    except _Bad as bad:
        return BadPath(str(bad))
    typed = inner.strip(_BLANK)
    return Path(address, rest.strip(_BLANK), typed if typed != address else "")


def _enclosed(text: str, strict: bool) -> tuple[str, str]:
    """What stands between < and >, and what follows; without brackets, up to the first blank."""
    bracket = text[0] == "<"
    if strict and not bracket:
        raise _Bad("no < and >")
    at = 1 if bracket else 0
    start = at
    quoted = False
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == '"':
            quoted = not quoted
        elif not quoted and bracket and char == ">":
            return text[start:at], text[at + 1 :]
        elif not quoted and not bracket and char in _BLANK:
            return text[start:at], text[at:]
        at += 1
    if bracket or quoted:
        raise _Bad("the path has no end")
    return text[start:], ""


def _mailbox(text: str, strict: bool) -> str:
    """Strip a source route, unquote. Raises _Bad for what is more or less than one address."""
    text = text.strip(_BLANK)
    if text.startswith("@"):
        route = _ROUTE.match(text)
        if route is not None:
            text = text[route.end() :]
    out: list[str] = []
    at = 0
    gap = False
    while at < len(text):
        char = text[at]
        if char in _BLANK:
            gap = bool(out) and out[-1] not in "@."
            at += 1
            continue
        if char == "(":
            if strict:
                raise _Bad("a comment in the path")
            at = _after_comment(text, at)
            continue
        if gap and char not in "@.":
            raise _Bad("more than one word")
        gap = False
        if char == '"':
            word, at = _quoted(text, at)
            out.append(word)
        elif char == "[":
            if not out or out[-1] != "@":
                raise _Bad("[ in the local part")
            end = text.find("]", at)
            if end < 0:
                raise _Bad("[ without ]")
            out.append(text[at : end + 1])
            at = end + 1
        elif char == "\\":
            if at + 1 >= len(text):
                raise _Bad("\\ at the end")
            out.append(text[at + 1])
            at += 2
        elif char in '<>,;)]"' or char < " " or char == "\x7f":
            raise _Bad("a character that must be quoted")
        else:
            out.append(char)
            at += 1
    return "".join(out)


def _after_comment(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    raise _Bad("( without )")


def _quoted(text: str, at: int) -> tuple[str, int]:
    out: list[str] = []
    at += 1
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(out), at + 1
        if char == "\\":
            at += 1
            char = text[at : at + 1]
        if (char < " " and char != "\t") or char == "\x7f":
            raise _Bad("a control character")
        out.append(char)
        at += 1
    raise _Bad("a quote without end")


def _check(address: str, smtputf8: bool, strict: bool, numeric: bool) -> None:
    if not address:
        return
    local, domain = split(address)
    if strict and not local:
        raise _Bad("no local part")
    if domain or address.endswith("@"):
        bare = domain.removesuffix(".")
        if valid_hostname(bare, smtputf8) or is_literal(domain) or (numeric and _is_ipv4(domain)):
            return
        raise _Bad("not a valid domain")


def split(address: str) -> tuple[str, str]:
    """Local part and domain; the domain is "" where there is none."""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (domain, "")


def quote_local(local: str) -> str:
    """The local part as it stands on the wire: quoted when it is no dot-atom (RFC 5321 4.1.2)."""
    if _ATOM.match(local) or (not local.isascii() and _ATOM_UTF8.match(local)):
        return local
    return quoted_string(local)


def quoted_string(text: str) -> str:
    """In double quotes, with a backslash before those inside and before each backslash (RFC 5322 3.2.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(2048)
def quote(address: str) -> str:
    """An internal address as it stands on the wire."""
    local, at, domain = address.rpartition("@")
    if not at:
        return quote_local(domain) if domain else ""
    return f"{quote_local(local)}@{domain}"


def is_literal(domain: str) -> bool:
    """A valid address literal: `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3)."""
    return literal_address(domain) is not None


def literal_address(domain: str) -> str | None:
    """The IP address inside a literal in its usual spelling, or None."""
    if len(domain) < 3 or domain[0] != "[" or domain[-1] != "]":
        return None
    inner = domain[1:-1]
    try:
        if inner[:5].lower() == "ipv6:":
            return None if "%" in inner else str(ipaddress.IPv6Address(inner[5:]))
        return str(ipaddress.IPv4Address(inner))
    except ValueError:
        return None


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def valid_hostname(name: str, unicode: bool = False) -> bool:
    """Letters, digits, hyphens (and underscores, as Postfix allows) in labels of at most 63; not all numbers.

    `unicode`: a non-ASCII name counts when it has a valid A-label form.
    """
    if not name.isascii():
        ascii_name = to_ascii(name) if unicode else None
        return ascii_name is not None and valid_hostname(ascii_name)
    if not name or len(name) > MAX_HOSTNAME:
        return False
    labels = name.split(".")
    return all(_LABEL.match(label) for label in labels) and not all(label.isdigit() for label in labels)


def split_extension(local: str, delimiters: str, owner_request_special: bool = True) -> tuple[str, str]:
    """Base and extension at the first delimiter of the set (postconf(5) recipient_delimiter).

    Never split: mailer-daemon, postmaster, double-bounce; with a `-` delimiter also `owner-name` and
    `name-request` (postconf(5) owner_request_special). An empty base or a leading delimiter is no extension.
    """
    if not delimiters:
        return local, ""
    for at in range(1, len(local)):
        if local[at] in delimiters:
            break
    else:
        return local, ""
    folded = local.lower()
    if folded in _SPECIAL_LOCALS:
        return local, ""
    if owner_request_special and "-" in delimiters and (folded.startswith("owner-") or folded.endswith("-request")):
        return local, ""
    return local[:at], local[at + 1 :]
