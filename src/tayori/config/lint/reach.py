"""What an access table answers to a stranger (access(5), regexp_table(5), cidr_table(5)).

A stranger comes from any address, has any name and any domain of his own, and says whatever he likes in HELO and
MAIL FROM. A key that names one domain or one host is a secret or a friend; a key that fits the whole world is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tayori.config.lint.access import everybody
from tayori.config.lint.finding import Phrase
from tayori.config.lint.source import Source
from tayori.config.lint.vocabulary import split_table

PATTERNS = frozenset(("regexp", "pcre"))
PRIVATE_OCTETS = frozenset(("0", "10", "127"))
PUBLIC = frozenset(
    (
        "aero", "app", "asia", "biz", "coop", "com", "dev", "edu", "gov", "info", "int", "mil", "mobi", "museum",
        "name", "net", "online", "org", "pro", "shop", "site", "tel", "xyz",
    )
)  # fmt: skip
LINE = re.compile(r"(!?)([^\w\s!])((?:\\.|(?!\2).)*)\2([A-Za-z]*)\s+(\S.*)", re.DOTALL)
PROBES = {
    "check_client_access": ("unknown", "203.0.113.9", "host.qj7x-stranger.com", "host.qj7x-stranger.net"),
    "check_reverse_client_hostname_access": ("unknown", "203.0.113.9", "host.qj7x-stranger.com"),
    "check_helo_access": ("qj7x-stranger.com", "qj7x-stranger.net"),
    "check_sender_access": ("a@qj7x-stranger.com", "a@qj7x-stranger.net"),
    "check_recipient_access": ("b@qj7x-elsewhere.com", "b@qj7x-elsewhere.net"),
}
BY_NAME = frozenset(("check_client_access", "check_reverse_client_hostname_access"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One key, or one pattern, and what the table answers to it; `shown` is what a stranger shows to come to it."""

    key: str
    action: str
    shown: str = ""


def logical(text: str) -> Iterator[str]:
    """The lines of a table's text; a line that begins with a blank goes on with the one above."""
    held = ""
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t":
            held = f"{held} {line.strip()}"
            continue
        if held:
            yield held
        held = line.strip()
    if held:
        yield held


def entries(source: Source, table: str) -> Iterator[Entry]:
    """The entries of `type:name` that can be read here: text files and inline tables."""
    kind, name = split_table(table)
    name = name.strip()
    if kind == "inline":
        inside = name.removeprefix("{").removesuffix("}")
        groups = re.findall(r"\{[^{}]*\}", inside)
        rest = re.sub(r"\{[^{}]*\}", " ", inside)
        for part in (*(group[1:-1] for group in groups), *re.split(r"[,\s]+", rest)):
            key, equals, action = part.partition("=")
            if equals:
                yield Entry(key.strip().lower(), action.strip())
        return
    lines = re.findall(r"\{([^{}]*)\}", name[1:-1]) if name.startswith("{") else logical(source.table_text(name))
    for line in lines:
        if kind in PATTERNS:
            found = LINE.fullmatch(line.strip())
            if found:
                yield Entry(line.strip(), found.group(5))
        else:
            key, _, action = line.strip().replace("\t", " ").partition(" ")
            yield Entry(key.lower(), action.strip())


def wide(source: Source, word: str, table: str) -> Iterator[Entry]:
    """The entries that strangers come to, in order; `word` is the rule that asks the table."""
    kind = split_table(table)[0]
    asked = word if word in PROBES else "check_client_access"
    every = list(entries(source, table))
    parents = "smtpd_access_maps" in source.settings.items("parent_domain_matches_subdomains")
    if kind in PATTERNS:
        for probe in PROBES[asked]:
            first = next((entry for entry in every if fits(entry.key, probe)), None)
            if first:
                yield replace(first, shown=probe)
        return
    for entry in every:
        if kind == "cidr":
            if asked in BY_NAME and everybody(entry.key):
                yield entry
                return  # the lines behind it are never reached by anybody else
        elif world(asked, entry.key, parents):
            yield replace(entry, shown=entry.key.lstrip("."))


def fits(line: str, probe: str) -> bool:
    """Whether a pattern line fits; a pattern that Python does not know does not count."""
    found = LINE.fullmatch(line)
    if found is None:
        return False
    negated, _, pattern, flags, _ = found.groups()
    try:
        return bool(re.search(pattern, probe, 0 if "i" in flags else re.IGNORECASE)) is not bool(negated)
    except re.error:
        return False


def world(asked: str, key: str, parents: bool) -> bool:
    """Whether a key of an indexed table stands for a part of the world that anybody can come from."""
    if asked == "check_sender_access" and key == "<>":
        return True
    if asked in BY_NAME and (key == "unknown" or (key.isdigit() and key not in PRIVATE_OCTETS)):
        return True
    return top_level(key) if parents else key.startswith(".") and top_level(key[1:])


def top_level(name: str) -> bool:
    """A domain in which anybody can have a name: com, org, jp."""
    return name.lower() in PUBLIC or re.fullmatch("[a-z]{2}", name, re.IGNORECASE) is not None


def session(lines: tuple[str, ...], word: str, shown: str) -> tuple[str, ...]:
    """The stranger's session with what he shows to come to the entry."""
    if not shown or word not in PROBES:
        return lines
    name = shown if "." in shown else f"elsewhere.{shown}"
    old, new = {
        "check_client_access": ("203.0.113.9", f"{shown}.0.2.9" if shown.isdigit() else f"{name} [203.0.113.9]"),
        "check_reverse_client_hostname_access": ("203.0.113.9", f"{name} [203.0.113.9]"),
        "check_helo_access": ("EHLO stranger.example", f"EHLO {name}"),
        "check_sender_access": ("<a@stranger.example>", "<>" if shown == "<>" else f"<a@{name.rpartition('@')[2]}>"),
        "check_recipient_access": ("<b@elsewhere.example>", f"<b@{name.rpartition('@')[2]}>"),
    }[word]
    if shown in ("unknown", "203.0.113.9"):
        return lines
    if old == "203.0.113.9" and isinstance(lines[0], Phrase):
        return Phrase(lines[0].template, **{**lines[0].fields, "client": new}), *lines[1:]
    return tuple(line.replace(old, new) if old in line else line for line in lines)
