"""Internationalised domain names: A-labels for DNS, U-labels for people (RFC 5890, UTS 46). Pure.

The rules are those of UTS 46 processing without the checks of bidi and joiners, as Postfix asks of ICU: symbols that
IDNA 2008 leaves out (emoji among them) have an A-label, since such domains exist. Non-transitional by default; with
enable_idna2003_compatibility sharp s and final sigma are mapped away (`straße` is then `strasse`).
"""

from __future__ import annotations

import re
import unicodedata

import idna

MAX_LABEL = 63
_PREFIX = "xn--"
_HOST = re.compile(r"[A-Za-z0-9_.-]+\Z")
_DEVIATIONS = {0xDF: "ss", 0x3C2: "\N{GREEK SMALL LETTER SIGMA}", 0x200C: None, 0x200D: None}


def to_ascii(domain: str, transitional: bool = False) -> str | None:
    """The A-label form of a domain; ASCII stays as it is; None when it has none. A final dot is kept."""
    if domain.isascii():
        return domain
    mapped = _mapped(domain, transitional)
    if mapped is None:
        return None
    labels = mapped.removesuffix(".").split(".")
    found = [_a_label(label) for label in labels]
    if any(label is None for label in found):
        return None
    name = ".".join(label for label in found if label) + ("." if mapped.endswith(".") else "")
    # the mapping makes blanks and brackets of their full-width forms: such a thing must not get into a command
    return name if _HOST.match(name) else None


def to_unicode(domain: str) -> str:
    """The U-label form of a domain for people to read; a label that is no true A-label stays as it is."""
    if _PREFIX not in domain.lower():
        return domain
    return ".".join(map(_u_label, domain.split(".")))


def a_labels(address: str, transitional: bool = False) -> str:
    """A mail address with its domain in A-labels, where it has them; the local part has no other form."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{to_ascii(domain, transitional) or domain}" if at else address


def other_form(domain: str) -> str:
    """The U-label form of an A-label name and the other way round; "" where there is none."""
    other = to_ascii(domain) if not domain.isascii() else to_unicode(domain)
    return other if other and other != domain else ""


def lower(domain: str) -> str:
    """Lower case that stays the same domain: no final sigma as of str.lower, sharp s kept, which casefold is not."""
    return domain.lower() if domain.isascii() else "".join(map(str.lower, domain))


def _mapped(domain: str, transitional: bool) -> str | None:
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False)
    except idna.IDNAError:
        return None
    return mapped.translate(_DEVIATIONS) if transitional else mapped


def _a_label(label: str) -> str | None:
    if not label or label[0] == "-" or label[-1] == "-":
        return None
    if label.isascii():
        if label.startswith(_PREFIX):
            return label if _decoded(label) is not None else None
        return label if len(label) <= MAX_LABEL else None
    if label[2:4] == "--" or unicodedata.category(label[0]).startswith("M"):
        return None
    encoded = _PREFIX + label.encode("punycode").decode("ascii")
    return encoded if len(encoded) <= MAX_LABEL else None


def _decoded(label: str) -> str | None:
    """The text of an A-label (lower case), if encoding it gives the same label again."""
    try:
        text = label[len(_PREFIX) :].encode("ascii").decode("punycode")
    except UnicodeError:
        return None
    if text.isascii() or _mapped(text, False) != text:
        return None
    return text if _a_label(text) == label else None


def _u_label(label: str) -> str:
    text = _decoded(label.lower()) if label[:4].lower() == _PREFIX else None
    return text if text and text.isprintable() and " " not in text else label
