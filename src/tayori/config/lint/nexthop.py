"""relayhost: how it is written, and whether it leads back here (postconf(5) relayhost, smtp(8))."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tayori.config.lint.finding import Finding, Message
from tayori.config.lint.source import Source, meant_items, place
from tayori.config.origin import ConfigError

FORM = Message(
    "error",
    "nexthop-form",
    '"{word}" in relayhost is not a host',
    "No server can be found under this name, so all mail to others waits and comes back after some days.",
    "Write a domain, a host in brackets, or a host with its port: [smtp.example.net]:587",
)
SELF = Message(
    "warning",
    "relayhost-is-here",
    "relayhost = {word} is this server itself, at the port where it receives mail",
    "It would hand all mail for others to itself, round and round, until it comes back: mail loops back to myself.",
    "Name your provider's server, or leave relayhost empty to send directly.",
)
PLAIN = re.compile(r"(?:[\w.-]+|\[[\w.:-]+\])(?::[\w-]+)?", re.ASCII)
LOCAL = re.compile(r"localhost(?:\.localdomain)?|127\.\d+\.\d+\.\d+|(?:IPv6:)?::1", re.IGNORECASE)
QUOTES = "\"'“”„‘’‚«»"


def check(source: Source) -> Iterator[Finding]:
    """Each next hop of relayhost; quotes and full-width letters have findings of their own."""
    settings = source.settings
    try:
        items = meant_items(settings, "relayhost")
        here = settings.text("myhostname").lower()
    except ConfigError:
        return  # the value has its own finding
    for item in items:
        origin = place(settings, "relayhost", item, source.main)
        if any(sign in item for sign in QUOTES) or (not item.isascii() and not item.startswith("[")):
            continue
        inside, port = _parts(item)
        if item.isascii() and (not PLAIN.fullmatch(item) or _port_inside(inside)):
            yield FORM.at(origin, word=item)
        elif port in ("", "25", "smtp") and (inside.lower() == here or LOCAL.fullmatch(inside)):
            yield SELF.at(origin, word=item)


def _parts(item: str) -> tuple[str, str]:
    """The host without brackets, and the port."""
    if item.startswith("["):
        host, _, rest = item[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = item.partition(":")
    return host, port


def _port_inside(host: str) -> bool:
    """`[host:587]`: a colon in brackets is that of an IPv6 address or a mistake."""
    name, colon, _ = host.partition(":")
    return bool(colon) and "." in name and not name.lower().startswith("ipv6")
