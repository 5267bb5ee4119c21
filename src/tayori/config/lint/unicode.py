"""Names beyond ASCII where they cannot be, or where they match nothing (SMTPUTF8_README)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import idna

from tayori.config.lint.domains import CLASSES, domains
from tayori.config.lint.finding import Finding, Message
from tayori.config.lint.source import Source, meant_items, place
from tayori.config.origin import ConfigError, Origin

NOT_ASCII = Message(
    "error",
    "name-not-ascii",
    "{name} = {value} is not ASCII",
    "This name is said in the greeting, in EHLO and in Message-Id, where SMTP allows ASCII only.",
    "Write its xn-- form: ${{domain_to_ascii{{{value}}}}}. Only myorigin may be in UTF-8.",
)
OFF = Message(
    "warning",
    "unicode-domain-off",
    '"{domain}" in {name} matches nothing: smtputf8_enable = no',
    "Without SMTPUTF8 a domain in UTF-8 is refused in MAIL and RCPT before this list is asked.",
    "Set smtputf8_enable = yes, or write the xn-- form.",
)
ONE_FORM = Message(
    "note",
    "one-form-of-domain",
    '"{domain}" is in {name}, and "{other}" is not',
    "They are one domain, but names are looked up as clients write them: mail for the other form is not for this "
    "server.",
    "List both forms, in tables too.",
)
ORIGIN = Message(
    "warning",
    "myorigin-not-detected",
    "myorigin = {value} is not ASCII, but not all mail is looked through for UTF-8",
    "Addresses that it completes are in UTF-8 in mail that did not ask for SMTPUTF8, and are sent so to servers that "
    "may not know it.",
    "Set smtputf8_autodetect_classes = all.",
)
CLASS = Message(
    "warning",
    "unknown-autodetect-class",
    'smtputf8_autodetect_classes: "{word}" is no class of mail',
    "It has no effect.",
    'Write "{near}"; there are sendmail, smtpd, qmqpd, forward, bounce, notify, verify and all.',
)
STRICT = Message(
    "warning",
    "strict-smtputf8-alone",
    "strict_smtputf8 = yes while smtputf8_enable = no",
    "Addresses in UTF-8 are then refused whatever the client does.",
    "Set smtputf8_enable = yes, or take strict_smtputf8 out.",
)
WORDS = ("sendmail", "smtpd", "qmqpd", "forward", "bounce", "notify", "verify", "all")


def check(source: Source) -> Iterator[Finding]:
    """The server's own names, the domains of the classes, and the switches of SMTPUTF8."""
    yield from own_names(source)
    try:
        on = source.settings.flag("smtputf8_enable")
        yield from switches(source, on)
    except ConfigError:
        return  # the value has its own finding
    for name in (*CLASSES, "myorigin"):
        try:
            items = meant_items(source.settings, name)
        except ConfigError:
            continue
        yield from listed(source, name, items, on)


def own_names(source: Source) -> Iterator[Finding]:
    """myhostname and mydomain are ASCII."""
    for name in ("myhostname", "mydomain"):
        try:
            value = source.settings.text(name) if source.settings.is_set(name) else ""
        except ConfigError:
            continue
        if not value.isascii():
            yield NOT_ASCII.at(source.settings.origin(name) or Origin(source.main), name=name, value=value)


def switches(source: Source, on: bool) -> Iterator[Finding]:
    """Raises ConfigError."""
    settings = source.settings
    if not on and settings.flag("strict_smtputf8"):
        yield STRICT.at(settings.origin("strict_smtputf8") or Origin(source.main))
    words = meant_items(settings, "smtputf8_autodetect_classes")
    for word in words:
        if word not in WORDS:
            near = (difflib.get_close_matches(word.lower(), WORDS, 1) or ["all"])[0]
            where = place(settings, "smtputf8_autodetect_classes", word, source.main)
            yield CLASS.at(where, word=word, near=near)
    origin = settings.text("myorigin") if settings.is_set("myorigin") else ""
    if on and not origin.isascii() and "all" not in words:
        yield ORIGIN.at(settings.origin("myorigin") or Origin(source.main), value=origin)


def listed(source: Source, name: str, items: tuple[str, ...], on: bool) -> Iterator[Finding]:
    """Domains of one list in one form only, or in a form that cannot be."""
    found = [(domain, origin) for domain, origin in domains(source, name, items) if "@" not in domain]
    if all(domain.isascii() and "xn--" not in domain.lower() for domain, _ in found):
        return
    have = {domain.casefold() for domain, _ in found}
    for domain, origin in found:
        if not domain.isascii() and not on:
            yield OFF.at(origin, domain=domain, name=name)
        elif name != "myorigin" and (other := _other_form(domain)) and other.casefold() not in have:
            yield ONE_FORM.at(origin, domain=domain, name=name, other=other)


def _other_form(domain: str) -> str:
    """The U-label form of an A-label name and the other way round; "" where there is none."""
    try:
        other = idna.decode(domain) if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return ""
    return "" if other == domain.lower() else other
