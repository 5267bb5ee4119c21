"""Addresses and networks as integers: parsing, and finding the first of many networks that holds an address.

cidr_table(5) ADDRESS PATTERN SYNTAX, postconf(5) mynetworks. A network is (version, prefix length, prefix bits).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import NamedTuple

WIDTH = {4: 32, 6: 128}


class Network(NamedTuple):
    """`value` holds the leading `length` bits, shifted right, so that equal networks are equal values."""

    version: int
    length: int
    value: int


def parse_address(text: str) -> tuple[int, int] | None:
    """(version, number) of an address as it comes from a socket or a client; None when it is none.

    Brackets, an `IPv6:` in front and a `%scope` behind are taken off.
    """
    try:
        if ":" not in text:
            return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
        if text[0] == "[" and text[-1] == "]":
            text = text[1:-1]
        if text[:5].lower() == "ipv6:":
            text = text[5:]
        return 6, int.from_bytes(socket.inet_pton(socket.AF_INET6, text.partition("%")[0]), "big")
    except (OSError, ValueError):
        return None


def plain_address(text: str) -> tuple[int, int] | None:
    """(version, number) of an address and nothing else, as cidr_table(5) has it; None when it is none."""
    try:
        if ":" in text:
            return None if "%" in text else (6, int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big"))
        return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):
        return None


def parse_network(text: str, parse: Callable[[str], tuple[int, int] | None] = parse_address) -> Network:
    """`addr`, `net/len`, `[addr]`, `[net]/len` or `[net/len]`; `parse` reads the address. Raises ValueError with a
    reason a person can read."""
    bare = text
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise ValueError(f'"{text}" lacks a closing "]"')
        if rest and not rest.startswith("/"):
            raise ValueError(f'"{text}" has text after "]"')
        bare = inside + rest
    address, slash, length_text = bare.partition("/")
    parsed = parse(address)
    if parsed is None:
        raise ValueError(f'"{address}" is not an IP address')
    version, number = parsed
    width = WIDTH[version]
    length = width
    if slash:
        if not (length_text.isascii() and length_text.isdigit()) or int(length_text) > width:
            raise ValueError(f'"/{length_text}" must be a number from 0 to {width}')
        length = int(length_text)
    shift = width - length
    if number & ((1 << shift) - 1):
        right = format_address(version, number >> shift << shift)
        raise ValueError(f'"{text}" has bits set beyond /{length}: write {right}/{length}')
    return Network(version, length, number >> shift)


def format_address(version: int, number: int) -> str:
    """The usual text of an address."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return socket.inet_ntop(family, number.to_bytes(WIDTH[version] // 8, "big"))


class NetworkIndex:
    """Networks, each with its place in a list; finds the first place whose network holds an address.

    One dict per prefix length: an address costs one dict access per length in use, however many networks.
    """

    def __init__(self) -> None:
        self._dicts: dict[int, dict[int, dict[int, int]]] = {4: {}, 6: {}}
        self._order: dict[int, tuple[tuple[int, dict[int, int]], ...]] = {4: (), 6: ()}

    def add(self, network: Network, place: int) -> None:
        """Add; of equal networks the one added first stays."""
        by_length = self._dicts[network.version]
        shift = WIDTH[network.version] - network.length
        if shift not in by_length:
            by_length[shift] = {}
            self._order[network.version] = tuple(sorted(by_length.items()))
        by_length[shift].setdefault(network.value, place)

    def first(self, version: int, number: int) -> int:
        """The lowest place that holds the address, or -1."""
        best = -1
        for shift, values in self._order[version]:
            place = values.get(number >> shift)
            if place is not None and (best < 0 or place < best):
                best = place
        return best

    def places(self, version: int, number: int) -> Iterator[int]:
        """All places that hold the address, in no order."""
        for shift, values in self._order[version]:
            place = values.get(number >> shift)
            if place is not None:
                yield place
