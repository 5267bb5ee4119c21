"""Values that do not fit their parameter's kind, in main.cf and in every -o."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from tayori.config.lint.finding import Edit, Finding, Message, Phrase
from tayori.config.lint.notes import meant, swallowed, tail
from tayori.config.lint.said import mend, said
from tayori.config.lint.source import Source, meant_items
from tayori.config.lint.vocabulary import TABLE_TYPES, TRANSPORTS, close_to, split_table
from tayori.config.maincf import Assignment
from tayori.config.origin import ConfigError
from tayori.config.params import Kind, Row, row_of
from tayori.config.settings import Settings

BAD = Message("error", "bad-value", "{what}", "The server cannot start with this value.", "{mend}.")
HOST_BITS = Message(
    "error",
    "network-host-bits",
    '"{network}" in "{name}" is an address with a network size, not a network',
    "The part behind /{size} must be zero; such an entry matches nobody and breaks the whole list.",
    'Write "{meant}".',
)
NETWORK = Message(
    "error",
    "bad-network",
    '"{network}" in "{name}" is no network',
    "Networks are written as address/size, for example 192.168.1.0/24 or [2001:db8::]/32; with anything "
    "else here the server does not start.",
    "Correct the entry or remove it.",
)
NO_NETWORK = Message(
    "warning",
    "no-address",
    '"{network}" in "{name}" is no address and matches nobody',
    "Only addresses and networks count here: names, stars and ranges do not.",
    "Write the address, or the network as address/size, for example 192.168.1.0/24.",
)
TRANSPORT = Message(
    "warning",
    "unknown-transport",
    '"{name}" names the transport "{transport}", which master.cf does not define',
    "Mail that goes this way would wait in the queue: there is nobody to deliver it.",
    "Correct the name{hint}, or add a service of that name to master.cf.",
)


SIGNS = frozenset(";\"'，、；“”„")
"""Slips of the pen that have findings of their own."""
ONLY_ADDRESSES = frozenset(("mynetworks", "permit_mx_backup_networks"))
"""Here a host name is no pattern."""


def check(source: Source) -> Iterator[Finding]:
    """Every set value."""
    for assignment in source.settings.assignments:
        if source.settings.assignment(assignment.name) is assignment:
            yield from value(source, source.settings, assignment)
    for service in source.services:
        seen = service.settings(source.settings)
        for override in service.overrides:
            yield from value(source, seen, override)


def value(source: Source, settings: Settings, assignment: Assignment) -> Iterator[Finding]:
    """One value against its row. Notes that slipped in have their own finding and are left out here."""
    row = row_of(assignment.name)
    try:
        if row is None or not row.raw:
            settings.expand(meant(assignment))
        if row is not None:
            typed(settings, row, assignment)
    except ConfigError as error:
        yield BAD.at(assignment.origin, what=said(error.message), mend=mend(error.mend, Phrase("Correct the value")))
        return
    if row is None:
        return
    if row.kind is Kind.NETWORKS:
        yield from networks(source, settings, assignment)
    elif row.kind is Kind.SERVICE:
        yield from transport(source, settings, assignment)


def typed(settings: Settings, row: Row, assignment: Assignment) -> None:
    """Raises ConfigError when the value does not fit the row."""
    name = assignment.name
    notes = swallowed(assignment) or any(tail(assignment, piece) for piece in assignment.pieces)
    if notes:
        clean = Assignment(name, meant(assignment), assignment.origin, assignment.pieces[:1])
        settings = settings.with_overrides((clean,))
    if row.kind is Kind.FLAG:
        settings.flag(name)
    elif row.kind in (Kind.NUMBER, Kind.CODE):
        settings.number(name)
    elif row.kind is Kind.TIME:
        settings.seconds(name)
    elif row.kind is Kind.CHOICE:
        text = settings.text(name)
        if text not in row.choices:
            near = close_to(text, row.choices, 0.6)
            choices = ", ".join(choice for choice in row.choices if choice)
            mend = f'did you mean "{near}"? write {choices}' if near else f"write {choices}"
            raise ConfigError(f"{name} = {text}: this is not one of the known words", None, mend)
    elif row.kind is not Kind.TEXT and not row.raw:
        settings.items(name)
    if name == "compatibility_level":
        settings.compatibility_level()


def networks(source: Source, settings: Settings, assignment: Assignment) -> Iterator[Finding]:
    """Entries of mynetworks and its like; tables, files and names are left alone."""
    for item in meant_items(settings, assignment.name):
        text = item.lstrip("!")
        if split_table(text)[0] in TABLE_TYPES or text.startswith("/") or text[-1:] in SIGNS or text[:1] in SIGNS:
            continue
        bare = text.replace("[", "").replace("]", "")
        address, slash, size = bare.partition("/")
        if not slash and assignment.name not in ONLY_ADDRESSES and not looks_like_address(address):
            continue
        origin = assignment.line_of(item)
        try:
            if not slash and ":" not in text and "[" not in text and not address.replace(".", "").isdigit():
                yield NO_NETWORK.at(origin, network=item, name=assignment.name)
                continue
            network = ipaddress.ip_network(bare, strict=False)
            if slash and not size.isdigit():
                raise ValueError(size)
            exact = ipaddress.ip_address(address) == network.network_address
        except ValueError:
            yield NETWORK.at(origin, network=item, name=assignment.name)
            continue
        if not exact:
            better = f"[{network.network_address}]/{size}" if network.version == 6 else str(network)
            line = source.line(origin)
            certain = (
                text in line and network.is_private
            )  # more of the Internet is trusted by nobody's mend but yours
            fix = Edit(origin.file, origin.line, (line.replace(text, better, 1),)) if certain else None
            yield HOST_BITS.at(origin, fix, network=item, name=assignment.name, size=size, meant=better)


def looks_like_address(text: str) -> bool:
    """Digits and dots, or colons: meant as an address, not a host name."""
    return ":" in text or (text.replace(".", "").isdigit() and "." in text)


def transport(source: Source, settings: Settings, assignment: Assignment) -> Iterator[Finding]:
    """transport:nexthop: the transport must be a service."""
    name = settings.text(assignment.name).partition(":")[0]
    here = {service.name for service in source.services if service.kind != "inet"}
    if name and name not in here | TRANSPORTS:
        near = close_to(name, here | TRANSPORTS, 0.7)
        hint = Phrase(' (did you mean "{near}"?)', near=near) if near else ""
        yield TRANSPORT.at(assignment.origin, name=assignment.name, transport=name, hint=hint)
