"""Facts of the machine that Postfix's defaults depend on, as a value (config does no I/O of its own)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class System:
    """`interfaces` are `address/prefixlen` texts of this machine's own addresses; `resolve` gives those of a
    host name, none when it has none."""

    hostname: str = "localhost"
    interfaces: tuple[str, ...] = ("127.0.0.1/8",)
    ipv6: bool = False
    user: str = "root"
    root: bool = True
    resolve: Callable[[str], tuple[str, ...]] = lambda name: ()
