"""What restrictions may ask the rest of the house: tables, address classes, listings, DNS, networks, time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tayori.config.origin import Origin
from tayori.rewrite.results import Classified, Deferred, Unlisted
from tayori.tables.outcome import Table

if TYPE_CHECKING:
    from tayori.net.dns import Resolver


class TableOpener(Protocol):
    """`tables.registry.Tables`."""

    def open(self, spec: str, origin: Origin | None = None, /) -> Table:
        """The table `type:name`. Raises ConfigError."""
        ...


class Classifier(Protocol):
    """`rewrite.classes.Classes`."""

    async def classify(self, domain: str, /) -> Classified | Deferred:
        """The address class of a domain."""
        ...


class Listed(Protocol):
    """`rewrite.recipients.Listing`."""

    async def recipient(self, address: str, sender: str = "", /) -> Unlisted | Deferred | None:
        """None when the recipient exists, or is not ours to know."""
        ...

    async def sender(self, address: str, /) -> Unlisted | Deferred | None:
        """The same of a sender."""
        ...


class NetworkList(Protocol):
    """`tables.matchlist.networks`: a truthy answer with `pattern` and `origin`, None, or TempFail."""

    async def match(self, address: str, /) -> Any:
        """Whether the address is in the list."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """What address verification (verify(8)) knows: `state` is "ok", "undeliverable", "deferred" or "unknown"
    (no answer within the polls); `reason` is the last delivery's text, `enhanced` its code."""

    state: str
    reason: str = ""
    enhanced: str = ""


Verify = Callable[[str], Awaitable[Verified]]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a Policy needs beside its settings. `verify` is None where no prober runs."""

    tables: TableOpener
    classes: Classifier
    listing: Listed
    resolver: Resolver
    mynetworks: NetworkList
    verify: Verify | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


__all__ = ["Classifier", "Listed", "NetworkList", "Services", "TableOpener", "Verified", "Verify"]
