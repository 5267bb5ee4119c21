"""What the open-relay proof asks of single rules, tables and networks; relay.py puts it together."""

from __future__ import annotations

import ipaddress
import re

from tayori.config.lint.finding import Message, Phrase
from tayori.config.lint.rules import classes
from tayori.config.lint.source import meant_items
from tayori.config.lint.vocabulary import split_table
from tayori.config.mastercf import Service
from tayori.config.settings import Settings

OPEN = Message(
    "error",
    "open-relay",
    "anybody on the Internet can send mail to anywhere through this server{where}",
    "An open relay: {why} A stranger without a login names a recipient elsewhere and gets 250 (tayori check shows "
    "the session). Such servers are found within hours, send spam for others, and end on every block list.",
    "Put reject_unauth_destination behind permit_mynetworks and permit_sasl_authenticated in "
    "smtpd_relay_restrictions{extra}.",
)
STOPS = frozenset(("reject", "defer", "defer_if_permit", "reject_unauth_destination", "defer_unauth_destination"))
DEPTH = 10


def permissive(action: str) -> bool:
    """Whether an access(5) action is a plain yes: OK, RELAY, or all digits."""
    words = action.split()
    word = words[0].lower() if words else ""
    return word in ("ok", "relay") or (word.isdigit() and not (len(word) == 3 and word[0] in "45"))


def whole(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """So large that it trusts strangers: 0.0.0.0/0 … /4, ::/0 … /6. 10.0.0.0/8 and fc00::/7 are not."""
    return network.prefixlen <= (4 if network.version == 4 else 6)


def everybody(item: str) -> bool:
    """A network that holds strangers, or a table that holds everything."""
    if split_table(item)[0] == "static":
        return True
    try:
        return whole(ipaddress.ip_network(item.replace("[", "").replace("]", ""), strict=False))
    except ValueError:
        return False


def permits(settings: Settings, action: list[str], depth: int = 0) -> bool:
    """Whether an access(5) action lets a stranger pass: OK, or restrictions that come to a permit."""
    if permissive(" ".join(action)):
        return True
    own = classes(settings)
    for word in re.split(r"[,\s]+", " ".join(action)):
        if word.lower() in STOPS:
            return False
        if word.lower() == "permit":
            return True
        if word in own and depth < DEPTH:
            inside = list(meant_items(settings, word))
            if any(part.lower() in (*STOPS, "permit") or part in own for part in inside):
                return permits(settings, inside, depth + 1)
    return False


def example(settings: Settings, service: Service) -> tuple[str, ...]:
    """The stranger's session that the walk has shown to go through."""
    host = settings.text("myhostname")
    port = service.name.rpartition(":")[2]
    return (
        Phrase("({client} connects to {host}, port {port}; no login)", client="203.0.113.9", host=host, port=port),
        f"S: 220 {host} ESMTP",
        "C: EHLO stranger.example",
        f"S: 250 {host}",
        "C: MAIL FROM:<a@stranger.example>",
        "S: 250 2.1.0 Ok",
        "C: RCPT TO:<b@elsewhere.example>",
        "S: 250 2.1.5 Ok",
        "C: DATA",
        "S: 354 End data with <CR><LF>.<CR><LF>",
    )
