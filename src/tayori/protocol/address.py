"""Mail addresses as values, and their parts.

Addresses are text in Postfix's internal form: the local part unquoted, the domain as written
(`"a b"@example.com` is `a b@example.com` inside). The last `@` parts local part and domain. RFC 5321 4.1.2
and 4.1.3, RFC 6531 3.3; what is accepted beyond the grammar is what smtpd(8) accepts unless
`strict_rfc821_envelopes` is set.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from tayori.protocol.idn import to_ascii

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_ATOM_UTF8 = re.compile(r"[\w!#$%&'*+/=?^`{|}~\x80-\U0010ffff-]+(?:\.[\w!#$%&'*+/=?^`{|}~\x80-\U0010ffff-]+)*\Z")
MAX_HOSTNAME = 255

_SPECIAL_LOCALS = frozenset(("mailer-daemon", "postmaster", "double-bounce"))


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


def is_ipv4(text: str) -> bool:
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
