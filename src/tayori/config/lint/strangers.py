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
TRANSPORTS = {"mydestination": "local_transport", "virtual_mailbox_domains": "virtual_transport"}
"""The lists of domains whose mail stays here, unless this says otherwise."""
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


def bounded(source: Source, settings: Settings) -> bool:
    """Whether relay_recipient_maps lets only some recipients of the relay domains in."""
    maps = meant_items(settings, "relay_recipient_maps")
    listed = settings.flag("smtpd_reject_unlisted_recipient")
    return bool(maps) and listed and not any(everything(source, item) for item in maps)


def sends_on(settings: Settings, name: str) -> bool:
    """Whether mail for the domains of a list leaves this machine for the server of each domain."""
    if name == "relay_domains":
        return True
    transport, _, nexthop = settings.text(TRANSPORTS[name]).partition(":")
    return transport in ("smtp", "relay") and not nexthop


def findings(source: Source, settings: Settings, service: Service, where: str) -> Iterator[Finding]:
    """The domains that are ours, and XCLIENT, of one service. Raises ConfigError."""
    for name in ("relay_domains", *TRANSPORTS):
        if not settings.is_set(name) or not sends_on(settings, name):
            continue
        if name == "relay_domains" and bounded(source, settings):
            continue
        for item in meant_items(settings, name):
            origin = place(settings, name, item, source.main)
            extra = Phrase(", and name the domains in {name}", name=name)
            lines = example(settings, service)
            if everything(source, item):
                why = Phrase("{item} in {name} makes every domain one of ours.", item=item, name=name)
                yield replace(OPEN.at(origin, where=where, why=why, extra=extra), session=lines)
            elif name == "relay_domains" and whole_tree(settings, item):
                why = Phrase("{item} in relay_domains makes every domain below {item} one of ours.", item=item)
                told = session(lines, "check_recipient_access", item.lstrip("."))
                yield replace(OPEN.at(origin, where=where, why=why, extra=extra), session=told)
    for item in meant_items(settings, "smtpd_authorized_xclient_hosts"):
        if everybody(item):
            origin = place(settings, "smtpd_authorized_xclient_hosts", item, source.main)
            why = Phrase("{item} in smtpd_authorized_xclient_hosts lets anybody claim to be 127.0.0.1.", item=item)
            extra = Phrase(", and name only your own proxy in smtpd_authorized_xclient_hosts")
            proxied = list(example(settings, service))
            proxied[4:4] = ["C: XCLIENT ADDR=127.0.0.1 NAME=localhost", "S: 220 …", "C: EHLO localhost", "S: 250 …"]
            yield replace(OPEN.at(origin, where=where, why=why, extra=extra), session=tuple(proxied))
