"""A domain in two address classes (ADDRESS_CLASS_README), and names that are no full domain names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tayori.config.lint.finding import Finding, Message
from tayori.config.lint.source import Source, meant_items, place
from tayori.config.lint.vocabulary import split_table
from tayori.config.origin import ConfigError, Origin

TWICE = Message(
    "warning",
    "domain-in-two-classes",
    'the domain "{domain}" is listed in {first} and in {second}',
    "Each domain belongs to one class; {first} wins, and {second} has no effect for it.",
    "Remove it from one of the two.",
)
SHORT = Message(
    "warning",
    "myhostname-not-full",
    "myhostname = {value} is not a full host name",
    "Other servers see this name in the greeting and refuse mail from a name without a domain.",
    "Write the name with its domain, for example mail.{value}.example or what your DNS says.",
)
LEVEL = Message(
    "note",
    "no-compatibility-level",
    "compatibility_level is not set, so the defaults of 2015 and before are used",
    "At level 0 relay_domains follows mydestination, mynetworks trusts the whole local subnet, and "
    "smtpd_relay_restrictions is empty.",
    "Write compatibility_level = 3.6 when you have checked what it changes.",
)
ADDRESS = Message(
    "warning",
    "address-as-domain",
    '"{domain}" in {name} is a mail address, not a domain',
    "This list holds domains; an address there matches nothing.",
    'Write the domain alone: "{meant}".',
)
INDEXED = frozenset(("hash", "btree", "dbm", "lmdb", "cdb", "sdbm", "texthash"))
# In the order in which Postfix asks them; relay_domains may repeat mydestination (its old default does).
CLASSES = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")


def check(source: Source) -> Iterator[Finding]:
    """The classes, then the server's own name."""
    yield from classes(source)
    yield from own_name(source)
    if not source.settings.is_set("compatibility_level"):
        yield LEVEL.at(Origin(source.main))


def classes(source: Source) -> Iterator[Finding]:
    """Literal domains, and those in small text tables and files."""
    first: dict[str, str] = {}
    for name in CLASSES:
        if not source.settings.is_set(name) and name != "mydestination":
            continue
        try:
            items = meant_items(source.settings, name)
        except ConfigError:
            continue  # the value has its own finding
        for item, origin in domains(source, name, items):
            domain = item.lower()
            if "@" in item:
                yield ADDRESS.at(origin, domain=item, name=name, meant=item.rpartition("@")[2])
                continue
            other = first.setdefault(domain, name)
            if other != name and not (other == "mydestination" and name == "relay_domains"):
                yield TWICE.at(origin, domain=item, first=other, second=name)


def domains(source: Source, name: str, items: Iterable[str]) -> Iterator[tuple[str, Origin]]:
    """(domain, where it stands); tables of the indexed types and plain files are read, others are passed over."""
    for item in items:
        kind, rest = split_table(item)
        if item.startswith("!"):
            continue
        if (kind in INDEXED and rest.startswith("/")) or item.startswith("/"):
            file = rest if kind else item
            for number, line in enumerate(source.table_text(file).split("\n"), 1):
                words = line.split()
                if words and line[0] not in "# \t":
                    for word in words[:1] if kind else words:
                        if "@" not in word:
                            yield word, Origin(file, number)
        elif not kind:
            yield item, place(source.settings, name, item, source.main)


def own_name(source: Source) -> Iterator[Finding]:
    """myhostname must have a dot; a bare machine name is completed by default, a set one is not."""
    if not source.settings.is_set("myhostname"):
        return
    try:
        value = source.settings.text("myhostname")
    except ConfigError:
        return  # the value has its own finding
    if value and "." not in value:
        yield SHORT.at(source.settings.origin("myhostname") or Origin(source.main), value=value)
