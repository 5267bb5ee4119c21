"""Slips of the pen inside values: quotes, semicolons and full-width letters in lists, stars, interface names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tayori.config.lint.finding import Edit, Finding, Message
from tayori.config.lint.source import Source, meant_items
from tayori.config.lint.vocabulary import split_table
from tayori.config.maincf import Assignment
from tayori.config.origin import ConfigError, Origin
from tayori.config.params import Kind, row_of
from tayori.config.settings import Settings

QUOTES = Message(
    "warning",
    "quotes-in-value",
    "{name}: the quotes around {word} are read as part of it",
    "Values are written without quotes; with them the entry matches nothing.",
    "Remove the quotes.",
)
SEMICOLON = Message(
    "warning",
    "semicolon-in-list",
    '{name}: the semicolon of "{word}" is read as part of it',
    "Entries are parted by commas or blanks; with the semicolon the entry matches nothing.",
    "Write a comma, or nothing.",
)
WIDE = Message(
    "warning",
    "full-width-letter",
    'the full-width "{letter}" in {name} is read as a letter, not as "{meant}"',
    "Signs in a configuration are those of ASCII; a full-width sign parts nothing, and the word matches nothing.",
    'Write "{meant}" (with the input method switched off).',
)
STAR = Message(
    "warning",
    "star-in-list",
    '"{word}" in {name} matches nothing: this list knows no "*"',
    "A domain is written whole; its subdomains as .domain or, in relay_domains, by the domain itself.",
    "Name the domains.",
)
INTERFACE = Message(
    "error",
    "interface-name",
    '"{word}" in {name} is the name of a network interface, not an address',
    "The server listens on addresses; such a name cannot be resolved, and the server does not start.",
    "Write all, loopback-only, or the address of that interface.",
)
PROTOCOL = Message(
    "error",
    "unknown-protocol",
    'inet_protocols knows no "{word}"',
    "The server cannot start with this value.",
    "Write all, ipv4, ipv6, or ipv4, ipv6.",
)
PUBLIC = Message(
    "warning",
    "public-domain-as-ours",
    "{name} holds {word}, which belongs to a public mail service",
    "Mail for anybody there would stay on this server and come back as unknown, instead of going out.",
    "Remove it; to send through that service set relayhost.",
)
LISTS = (Kind.DOMAINS, Kind.NETWORKS, Kind.TABLES)
SINGLE = frozenset(("myhostname", "mydomain", "myorigin", "relayhost", "inet_interfaces", "inet_protocols"))
LETTERS = {
    "，": ",", "、": ",", "；": ";", "：": ":", "＝": "=", "\u3000": " ", "＠": "@", "．": ".", "／": "/", "＄": "$",
    "（": "(", "）": ")", "［": "[", "］": "]", "｛": "{", "｝": "}", "＃": "#",
}  # fmt: skip
WIDE_LETTER = re.compile("[" + "".join(LETTERS) + "]")
CURLED = re.compile("[“”„‘’‚«»]")
"""Quotes of word processors and web pages."""
DEVICE = re.compile(r"(?:eth|ens|enp|eno|enx|wlan|wlp|wlo|br|bond|ppp|tun|tap|docker|venet|vmbr|lo)\d*(?:[a-z0-9.]*)")
SERVICES = frozenset(
    (
        "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.jp", "outlook.com", "hotmail.com", "live.com", "me.com",
        "icloud.com", "aol.com", "gmx.de", "gmx.net", "web.de", "docomo.ne.jp", "ezweb.ne.jp", "softbank.ne.jp",
        "mail.ru", "qq.com", "163.com", "proton.me", "protonmail.com", "msn.com",
    )
)  # fmt: skip
OURS = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")


def check(source: Source) -> Iterator[Finding]:
    """Every set value of a kind in which such signs mean nothing."""
    for assignment in source.settings.assignments:
        if source.settings.assignment(assignment.name) is assignment:
            yield from value(source, source.settings, assignment)
    for service in source.services:
        for override in service.overrides:
            yield from value(source, service.settings(source.settings), override)


def value(source: Source, settings: Settings, assignment: Assignment) -> Iterator[Finding]:
    """One value."""
    name, row = assignment.name, row_of(assignment.name)
    if row is None or (row.kind not in LISTS and name not in SINGLE):
        return
    try:
        items = meant_items(settings, name)
    except ConfigError:
        return  # the value has its own finding
    for item in items:
        if "{" in item and not item.startswith(("{", "$")):
            continue  # an inline table has a language of its own
        origin = assignment.line_of(item)
        wide = WIDE_LETTER.search(item)
        if wide:
            mend = Edit(origin.file, origin.line, (ascii_signs(source.line(origin)),))
            yield WIDE.at(origin, mend, name=name, letter=wide.group(), meant=LETTERS[wide.group()])
        elif len(item) > 1 and item[0] in "\"'" and item[-1] == item[0]:
            yield QUOTES.at(origin, edit(source, origin, item, item[1:-1]), name=name, word=item)
        elif CURLED.search(item):
            yield QUOTES.at(origin, edit(source, origin, item, CURLED.sub("", item)), name=name, word=item)
        elif item.endswith(";") and row.kind in LISTS:
            yield SEMICOLON.at(origin, edit(source, origin, item, f"{item[:-1]},"), name=name, word=item)
        elif item.startswith("*") and row.kind is Kind.DOMAINS:
            yield STAR.at(origin, name=name, word=item)
        elif name == "inet_interfaces" and DEVICE.fullmatch(item) and not item.startswith("localhost"):
            yield INTERFACE.at(origin, name=name, word=item)
        elif name == "inet_protocols" and item not in ("all", "ipv4", "ipv6"):
            yield PROTOCOL.at(origin, word=item)
        elif name in OURS and item.lower() in SERVICES and not split_table(item)[0]:
            yield PUBLIC.at(origin, name=name, word=item)


def edit(source: Source, origin: Origin, word: str, instead: str) -> Edit | None:
    """The line with one word changed; None when it stands elsewhere (through a $name)."""
    line = source.line(origin)
    return Edit(origin.file, origin.line, (line.replace(word, instead, 1),)) if word in line else None


def ascii_signs(line: str) -> str:
    """The line with full-width signs before any note as ASCII."""
    text, sign, note = line.partition("#")
    return WIDE_LETTER.sub(lambda found: LETTERS[found.group()], text) + sign + note
