"""Abuse: failed log-ins cost their source time, then a temporary refusal, and never lock the owner out.

Three counts, each halving every `half_life` seconds: failures of a source (an IPv4 address, an IPv6 /64), of an
account from one source (a pair), and of an account from everywhere.
- A source that fails a lot is delayed, then refused for a while, whatever account it names.
- A pair that fails a lot is delayed, then refused, so that a client with an old password does not harm others behind
  the same address.
- An account under attack from everywhere only costs strangers a delay; nobody can use it to shut the owner out.
- A pair that logged in lately is trusted: it is never refused, and the source's failures do not touch it.
- A log-in that has begun takes a place: it may turn out to be a failure. Where failures and places together reach the
  limit, the next one waits until others are decided; so not even a thousand at once get more tries than the limit.
- A flood too wide to be counted one by one (`LoginBoard`'s crowd) costs every stranger a delay.
What is counted lies in a `LoginBoard`, where all workers see it; only the summary lines are each worker's own. They
stand for the detailed lines (mechanism, back end, reason); the short warning of each refusal is never left out, since
fail2ban counts those.
The clock is passed in; it must be one for all processes, as CLOCK_MONOTONIC is.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from tayori.sasl.board import NOBODY, Begun, Counts, Flood, LoginBoard, Trusted


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait this long before the password is looked at; 0 for most. `places` are what `Abuse.end` gives back."""

    seconds: float = 0.0
    places: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """454 without asking the back end. `why` is for the log. `undecided`: only because of log-ins that are under way;
    ask again when some may be over."""

    why: str
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts are failures; times are seconds. A source with a fresh success has `known_factor` times the room.

    `refresh_after`: a good log-in is noted again when the note is that old.
    """

    free: int = 4
    refuse_at: float = 20.0
    half_life: float = 300.0
    first_delay: float = 0.5
    longest_delay: float = 8.0
    account_free: int = 50
    trusted_for: float = 14 * 86400.0
    known_factor: float = 10.0
    refresh_after: float = 3600.0
    crowd_free: int = 50
    summary_every: float = 60.0
    most_quiet: int = 20_000


_MOST_FRESH = 1000


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
    """One per worker and set of back ends. `say` gets the summary lines; `scope` keeps the accounts of different back
    ends apart. Without a `board` it counts for itself until it may `join` one."""

    def __init__(
        self,
        clock: Callable[[], float],
        limits: Limits | None = None,
        say: Callable[[str], None] = lambda line: None,
        board: LoginBoard | None = None,
        region: int = 0,
        scope: str = "",
    ) -> None:
        self._clock = clock
        self._limits = limits or Limits()
        self._say = say
        self._scope = scope
        self._quiet: OrderedDict[str, _Quiet] = OrderedDict()
        self._fresh: dict[tuple[str, str], float] = {}
        """Pairs that need not be written down again until then."""
        self._next_look = 0.0
        self.join(board or LoginBoard(), region)

    def join(self, board: LoginBoard, region: int) -> None:
        """Count on this board from now on, writing in `region`."""
        half_life = self._limits.half_life
        self._fresh.clear()
        self._board = board
        self._sources = Counts(board, region, "sources", half_life)
        self._pairs = Counts(board, region, "pairs", half_life)
        self._accounts = Counts(board, region, "accounts", half_life)
        self._begun = Begun(board, region)
        self._flood = Flood(board, region, half_life)
        self._trusted = Trusted(board, region)

    def begin(self, address: str, username: str) -> Delay | Refuse:
        """What this attempt must pay. After a Delay it holds places that `end` must give back, whatever comes of it;
        a failure is noted before that, so that it is counted all the time."""
        now, source = self._clock(), source_of(address)
        calm = self._flood.calm(now)
        if calm and self._fresh.get((source, username), 0.0) > now:
            return Delay()
        whence, account, pair = self._keys(source, username)
        good, until = self._trusted.known(account, whence)
        of_pair = self._pairs.total(pair, now, good)
        limits = self._limits
        if until > now:
            return Delay(self._delay(of_pair, limits.free))
        factor = limits.known_factor if self._trusted.known(NOBODY, whence)[1] > now else 1.0
        # taken first, looked at then: of two workers at the same moment at least one sees the other
        places = tuple(key for key in (whence, pair) if self._begun.add(key))
        count = self._sources.total(whence, now) / factor
        for failures, key, room, who in (
            (count * factor, whence, limits.refuse_at * factor, source),
            (of_pair, pair, limits.refuse_at, f"{source} for {username}"),
        ):
            if failures + max(1, self._begun.total(key)) <= room:
                continue
            self.end(places)
            if failures + 1 > room:
                return Refuse(f"too many failed log-ins from {who}")
            return Refuse(f"too many log-ins under way from {who}", undecided=True)
        if calm:
            return Delay(0.0, places)
        seconds = max(
            self._delay(count, limits.free),
            self._delay(of_pair, limits.free),
            self._delay(self._accounts.total(account, now), limits.account_free),
            self._delay(self._flood.crowd(now), limits.crowd_free),
        )
        return Delay(seconds, places)

    def end(self, places: tuple[bytes, ...]) -> None:
        """An attempt is over: noted, given up, or never decided."""
        for key in places:
            self._begun.end(key)

    def note(self, address: str, username: str, ok: bool) -> bool:
        """Remember how it went. True when the attempt deserves a log line of its own."""
        limits, now, source = self._limits, self._clock(), source_of(address)
        if ok and self._fresh.get((source, username), 0.0) > now and self._flood.calm(now):
            return True
        whence, account, pair = self._keys(source, username)
        good, until = self._trusted.known(account, whence)
        if ok:
            if len(self._fresh) >= _MOST_FRESH:
                self._fresh.clear()
            self._fresh[source, username] = now + limits.refresh_after
            if until - limits.trusted_for + limits.refresh_after < now or self._pairs.total(pair, now, good):
                new_until = now + limits.trusted_for
                if self._trusted.add(account, whence, now, new_until):
                    self._trusted.add(NOBODY, whence, now, new_until)
            return True
        self._flood.failed(now)
        self._sources.add(whence, now)
        self._pairs.add(pair, now, good)
        self._accounts.add(account, now)
        self.summarise()
        if self._sources.total(whence, now) <= limits.free + 1:
            return True
        quiet = self._quiet.get(source)
        if quiet is None:
            if len(self._quiet) >= limits.most_quiet:
                self._quiet.popitem(last=False)
            quiet = self._quiet[source] = _Quiet(now)
        quiet.count += 1
        if len(quiet.names) < 5:
            quiet.names[username] = None
        return False

    def failures(self, address: str) -> float:
        """How many failures of this address's source count now."""
        return self._sources.total(self._board.key(source_of(address)), self._clock())

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

    def _keys(self, source: str, username: str) -> tuple[bytes, bytes, bytes]:
        """Of the source, the account, and the pair."""
        name = username.casefold()
        key = self._board.key
        return key(source), key(self._scope, name), key(self._scope, name, source)
