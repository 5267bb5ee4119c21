"""Abuse: failed log-ins cost their source time, then a temporary refusal, and never lock the owner out.

Three counts, each halving every `half_life` seconds: failures of a source (an IPv4 address, an IPv6 /64), of an
account from one source (a pair), and of an account from everywhere.
- A source that fails a lot is delayed, then refused for a while, whatever account it names.
- A pair that fails a lot is delayed, then refused, so that a client with an old password does not harm others behind
  the same address.
- An account under attack from everywhere only costs strangers a delay; nobody can use it to shut the owner out.
- A pair that logged in lately is trusted: it is never refused, and the source's failures do not touch it.
Memory is bounded: the least recently used entries go first. The clock is passed in.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait this long before the password is looked at; 0 for most."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Refuse:
    """454 without asking the back end. `why` is for the log."""

    why: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts are failures; times are seconds. A source with a fresh success has `known_factor` times the room."""

    free: int = 4
    refuse_at: float = 20.0
    half_life: float = 300.0
    first_delay: float = 0.5
    longest_delay: float = 8.0
    account_free: int = 50
    trusted_for: float = 14 * 86400.0
    known_factor: float = 10.0
    summary_every: float = 60.0
    most: int = 20_000


@dataclass(slots=True)
class _Count:
    value: float = 0.0
    at: float = 0.0
    good_until: float = 0.0


@dataclass(slots=True)
class _Quiet:
    """Failures not logged one by one since `since`."""

    since: float
    count: int = 0
    names: dict[str, None] = field(default_factory=dict)


@lru_cache(4096)
def source_of(address: str) -> str:
    """The address itself, or the /64 of an IPv6 one, which is what one customer has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


class Abuse:
    """One per worker. `say` gets the summary lines."""

    def __init__(
        self,
        clock: Callable[[], float],
        limits: Limits | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._clock = clock
        self._limits = limits or Limits()
        self._say = say
        self._sources: OrderedDict[str, _Count] = OrderedDict()
        self._pairs: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._accounts: OrderedDict[str, _Count] = OrderedDict()
        self._quiet: OrderedDict[str, _Quiet] = OrderedDict()
        self._next_look = 0.0

    def check(self, address: str, username: str | None = None) -> Delay | Refuse:
        """What this attempt must pay. Without a name only the source counts (before the name is known)."""
        if not self._sources and not self._accounts:
            return Delay()
        limits, now, source = self._limits, self._clock(), source_of(address)
        known = self._sources.get(source)
        count = self._now(known, now)
        if known is not None and known.good_until > now:
            count /= limits.known_factor
        if username is None:
            return Delay()  # somebody trusted may be behind it: the name decides, later
        name = username.casefold()
        pair = self._pairs.get((source, name))
        of_pair = self._now(pair, now)
        if pair is not None and pair.good_until > now:
            return Delay(self._delay(of_pair, limits.free))
        for value, who in ((count, source), (of_pair, f"{source} for {username}")):
            if value >= limits.refuse_at:
                return Refuse(f"too many failed log-ins from {who}", limits.half_life)
        of_account = self._now(self._accounts.get(name), now)
        delays = (self._delay(count, limits.free), self._delay(of_pair, limits.free))
        return Delay(max(*delays, self._delay(of_account, limits.account_free)))

    def note(self, address: str, username: str, ok: bool) -> bool:
        """Remember how it went. True when the attempt deserves a log line of its own."""
        limits, now, source = self._limits, self._clock(), source_of(address)
        name = username.casefold()
        if ok:
            self._entry(self._sources, source).good_until = now + limits.trusted_for
            pair = self._entry(self._pairs, (source, name))
            pair.value, pair.at, pair.good_until = 0.0, now, now + limits.trusted_for
            return True
        for count in (
            self._entry(self._sources, source),
            self._entry(self._pairs, (source, name)),
            self._entry(self._accounts, name),
        ):
            count.value, count.at = self._now(count, now) + 1, now
        self.summarise()
        if self._sources[source].value <= limits.free + 1:
            return True
        quiet = self._quiet.get(source)
        if quiet is None:
            if len(self._quiet) >= limits.most:
                self._quiet.popitem(last=False)
            quiet = self._quiet[source] = _Quiet(now)
        quiet.count += 1
        if len(quiet.names) < 5:
            quiet.names[username] = None
        return False

    def summarise(self, everything: bool = False) -> None:
        """Say how many failures were passed over in silence; called now and then, and at the end."""
        now = self._clock()
        if now < self._next_look and not everything:
            return
        self._next_look = now + 1
        while self._quiet:
            source, quiet = next(iter(self._quiet.items()))
            if not everything and now - quiet.since < self._limits.summary_every:
                return
            del self._quiet[source]
            more = ", …" if len(quiet.names) == 5 else ""
            names = ", ".join(quiet.names)
            self._say(f"{quiet.count} more failed log-ins from {source} in {now - quiet.since:.0f} s ({names}{more})")

    def _delay(self, count: float, free: int) -> float:
        if count < free:
            return 0.0
        return min(self._limits.longest_delay, self._limits.first_delay * float(2.0 ** min(count - free, 16.0)))

    def _now(self, count: _Count | None, now: float) -> float:
        if count is None or not count.value:
            return 0.0
        return float(count.value * 0.5 ** ((now - count.at) / self._limits.half_life))

    def _entry(self, table: OrderedDict[_K, _Count], key: _K) -> _Count:
        entry = table.get(key)
        if entry is None:
            if len(table) >= self._limits.most:
                table.popitem(last=False)
            entry = table[key] = _Count()
        else:
            table.move_to_end(key)
        return entry
