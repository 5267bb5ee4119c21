"""Other ways in for a stranger: tables that list every domain as ours, XCLIENT for everybody.

The proof itself is relay.py's; here is what makes a foreign domain look like ours, or a stranger like a friend.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tayori.config.lint.access import OPEN, everybody, example
from tayori.config.lint.finding import Finding, Phrase
from tayori.config.lint.reach import session, top_level
from tayori.config.lint.source import Source, meant_items, place
from tayori.config.lint.vocabulary import split_table
from tayori.config.mastercf import Service
from tayori.config.settings import Settings

PROBES = ("elsewhere.example", "foreign.test", "qj7x.invalid")
"""Domains that nobody can have meant; a table that lists them all lists everything."""
FLAGS = re.compile(r"^/(.*)/([a-zA-Z]*)\s+\S", re.DOTALL)


def everything(source: Source, item: str) -> bool:
    """Whether a table lists every name: static, or a pattern that fits them all."""
    kind, name = split_table(item)
    if kind == "static":
        return True
    if kind not in ("regexp", "pcre"):
        return False
    text = name.strip("{} ") if name.startswith("{") else source.table_text(name)
    return all(any(fits(line, probe) for line in text.split("\n")) for probe in PROBES)


def fits(line: str, probe: str) -> bool:
    """One line of a pattern table; patterns that Python does not know, and negated ones, do not count."""
    found = FLAGS.match(line.strip().strip("{}"))
    if found is None:
        return False
    try:
        return re.search(found.group(1), probe, re.IGNORECASE) is not None
    except re.error:
        return False


def whole_tree(settings: Settings, item: str) -> bool:
    """Whether an entry of relay_domains stands for all below com, org, jp (parent_domain_matches_subdomains)."""
    by_parent = "relay_domains" in settings.items("parent_domain_matches_subdomains")
    return top_level(item) if by_parent else item.startswith(".") and top_level(item[1:])


def findings(source: Source, settings: Settings, service: Service, where: str) -> Iterator[Finding]:
    """relay_domains and XCLIENT of one service. Raises ConfigError."""
    for name in ("relay_domains", "virtual_alias_domains", "virtual_mailbox_domains"):
        for item in meant_items(settings, name) if settings.is_set(name) else ():
            if name == "relay_domains" and everything(source, item) and not settings.items("relay_recipient_maps"):
                origin = place(settings, name, item, source.main)
                why = Phrase("{item} in relay_domains makes every domain one of ours.", item=item)
                extra = Phrase(", and name the domains in relay_domains")
                yield replace(OPEN.at(origin, where=where, why=why, extra=extra), session=example(settings, service))
    if settings.is_set("relay_domains") and not settings.items("relay_recipient_maps"):
        for item in meant_items(settings, "relay_domains"):
            if whole_tree(settings, item):
                origin = place(settings, "relay_domains", item, source.main)
                why = Phrase("{item} in relay_domains makes every domain below {item} one of ours.", item=item)
                extra = Phrase(", and name the domains in relay_domains")
                told = session(example(settings, service), "check_recipient_access", item.lstrip("."))
                yield replace(OPEN.at(origin, where=where, why=why, extra=extra), session=told)
    for item in meant_items(settings, "smtpd_authorized_xclient_hosts"):
        if everybody(item):
            origin = place(settings, "smtpd_authorized_xclient_hosts", item, source.main)
            why = Phrase("{item} in smtpd_authorized_xclient_hosts lets anybody claim to be 127.0.0.1.", item=item)
            extra = Phrase(", and name only your own proxy in smtpd_authorized_xclient_hosts")
            lines = list(example(settings, service))
            lines[4:4] = ["C: XCLIENT ADDR=127.0.0.1 NAME=localhost", "S: 220 …", "C: EHLO localhost", "S: 250 …"]
            yield replace(OPEN.at(origin, where=where, why=why, extra=extra), session=tuple(lines))
