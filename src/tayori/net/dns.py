"""DNS look-ups that tell apart "no such name", "no such record" and "could not ask" (dns_lookup in Postfix's words).

A Resolver asks the name servers of /etc/resolv.conf (or the given ones) over UDP and TCP with a time limit, keeps
answers as long as their TTL says (bounded), and asks only once for the same question asked by many at a time.
Host names of clients come as from the system's resolver: /etc/hosts first, then DNS (postconf(5)
smtpd_peername_lookup, reject_unknown_client_hostname). Never raises for trouble.
"""

from __future__ import annotations

import asyncio
import copy
import ipaddress
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.rdatatype
import dns.resolver
import dns.reversename
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.SRV import SRV

from tayori.protocol.idn import to_ascii

MAX_CACHED = 4096
MAX_TTL = 3600.0
NEGATIVE_TTL = 60.0
FAILED_TTL = 5.0
MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Record:
    """One answer. `value` is an address, a name without its final dot, or a text; `preference` is MX and SRV
    priority; `weight` and `port` are SRV's; `ttl` in seconds."""

    value: str
    preference: int = 0
    weight: int = 0
    port: int = 0
    ttl: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """At least one record. `authentic`: the resolver says that DNSSEC held."""

    records: tuple[Record, ...]
    authentic: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """The values alone."""
        return tuple(record.value for record in self.records)


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """NXDOMAIN."""


@dataclass(frozen=True, slots=True)
class NoData:
    """The name exists, but has no record of this type."""


@dataclass(frozen=True, slots=True)
class DnsTempFail:
    """No answer in time, SERVFAIL, or a broken answer: try later. `why` is for the log."""

    why: str


@dataclass(frozen=True, slots=True)
class DnsFiltered(DnsTempFail):
    """There are records, and a DNS reply filter ignores them all. Delivery waits, as for any DnsTempFail."""


Answer = Records | NoSuchName | NoData | DnsTempFail
Missing = (NoSuchName, NoData)
Filter = Callable[[str, str, Records], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class ClientNames:
    """What Postfix knows of a client: `name` is "unknown" unless address -> name -> address agree. Codes: 2, 4, 5."""

    name: str
    reverse_name: str
    name_code: int
    reverse_code: int


UNKNOWN = ClientNames("unknown", "unknown", 5, 5)


class HostsFile:
    """/etc/hosts, read again when it changes (looked at, at most, once a second)."""

    def __init__(self, path: str = "/etc/hosts", clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked = float("-inf")
        self._stamp: tuple[int, int] | None = None
        self._names: dict[str, tuple[str, ...]] = {}
        self._addresses: dict[str, str] = {}

    def addresses(self, name: str) -> tuple[str, ...]:
        """The addresses of a name, in file order."""
        self._refresh()
        return self._names.get(name.lower(), ())

    def name(self, address: str) -> str | None:
        """The first name of an address."""
        self._refresh()
        return self._addresses.get(address)

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._looked < 1.0:
            return
        self._looked = now
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            with open(self._path, encoding="utf-8", errors="replace") as file:
                self._read(file.read(1 << 20))
            self._stamp = stamp
        except OSError:
            self._names, self._addresses, self._stamp = {}, {}, None

    def _read(self, text: str) -> None:
        names: dict[str, list[str]] = {}
        addresses: dict[str, str] = {}
        for line in text.splitlines():
            words = line.partition("#")[0].split()
            if len(words) < 2:
                continue
            try:
                address = str(ipaddress.ip_address(words[0].partition("%")[0]))
            except ValueError:
                continue
            addresses.setdefault(address, words[1])
            for name in words[1:]:
                names.setdefault(name.lower(), []).append(address)
        self._names = {name: tuple(found) for name, found in names.items()}
        self._addresses = addresses


class Resolver:
    """Asks DNS. `nameservers` are addresses (None: /etc/resolv.conf); `timeout` seconds for one question in all.

    `transitional`: enable_idna2003_compatibility, for names beyond ASCII.
    """

    def __init__(
        self,
        nameservers: Sequence[str] | None = None,
        port: int = 53,
        timeout: float = 5.0,
        hosts: HostsFile | None = None,
        clock: Callable[[], float] = time.monotonic,
        transitional: bool = False,
    ) -> None:
        self._transitional = transitional
        self._hosts = hosts or HostsFile()
        self._clock = clock
        self._timeout = timeout
        self._cache: dict[tuple[str, str], tuple[float, Answer]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._why = ""
        self._filter: Filter | None = None
        if nameservers is None:
            try:
                self._resolver = dns.asyncresolver.Resolver()
            except (dns.resolver.NoResolverConfiguration, OSError) as error:
                self._why = f"no name server is configured: {error}"
                self._resolver = dns.asyncresolver.Resolver(configure=False)
        else:
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            self._resolver.nameservers = list(nameservers)
            self._resolver.port = port
        self._resolver.lifetime = timeout
        self._resolver.timeout = max(timeout / 2, 0.1)
        self._resolver.search = []
        self._resolver.use_edns(0, 0, 1232)

    def a_label(self, name: str) -> str:
        """What DNS is asked about a name: its A-label form (UTS 46), or the name itself where it has none."""
        return name if name.isascii() else to_ascii(name, self._transitional) or name

    def filtered(self, ask: Filter) -> Resolver:
        """The same resolver, with the same memory, whose answers `ask(name, kind, records)` may cut down."""
        other = copy.copy(self)
        other._filter = ask
        return other

    async def lookup(self, name: str, kind: str) -> Answer:
        """Ask for A, AAAA, MX, PTR, TXT, NS or SRV records of `name` (asked by A-labels; never searched)."""
        if not name.isascii():
            name = self.a_label(name)
            if not name.isascii():
                return NoSuchName()
        answer = await self._lookup(name, kind)
        if self._filter is None or not isinstance(answer, Records):
            return answer
        return await self._filter(name, kind, answer)

    async def _lookup(self, name: str, kind: str) -> Answer:
        key = (name.lower().rstrip("."), kind)
        kept = self._cache.get(key)
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        task = self._asking.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(key))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _fetch(self, key: tuple[str, str]) -> Answer:
        answer, ttl = await self._ask(*key)
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        self._cache[key] = (self._clock() + ttl, answer)
        return answer

    async def _ask(self, name: str, kind: str) -> tuple[Answer, float]:
        if self._why:
            return DnsTempFail(self._why), FAILED_TTL
        try:
            found = await asyncio.wait_for(
                self._resolver.resolve(dns.name.from_text(name), kind, raise_on_no_answer=True, search=False),
                self._timeout + 1,
            )
        except dns.resolver.NXDOMAIN:
            return NoSuchName(), NEGATIVE_TTL
        except dns.resolver.NoAnswer:
            return NoData(), NEGATIVE_TTL
        except (dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong, dns.name.BadEscape, UnicodeError):
            return NoSuchName(), NEGATIVE_TTL
        except (dns.exception.DNSException, TimeoutError, OSError) as error:
            return DnsTempFail(f"{kind} of {name}: {type(error).__name__}"), FAILED_TTL
        rrset = found.rrset
        if rrset is None:
            return NoData(), NEGATIVE_TTL
        ttl = int(rrset.ttl)
        records = tuple(_record(item, ttl) for item in rrset)
        authentic = bool(found.response.flags & dns.flags.AD)
        return Records(records, authentic), min(float(ttl), MAX_TTL)

    async def addresses(self, name: str, hosts: bool = True, ipv6: bool = True) -> Answer:
        """All addresses of a host: /etc/hosts if `hosts` (smtp_host_lookup native), then A and AAAA records.

        Temporary trouble counts only when no address was found at all.
        """
        name = self.a_label(name)
        if hosts and (listed := self._hosts.addresses(name.rstrip("."))):
            return Records(tuple(Record(address) for address in listed if ipv6 or ":" not in address))
        kinds = ("A", "AAAA") if ipv6 else ("A",)
        answers = await asyncio.gather(*(self.lookup(name, kind) for kind in kinds))
        records = tuple(r for answer in answers if isinstance(answer, Records) for r in answer.records)
        if records:
            return Records(records, all(a.authentic for a in answers if isinstance(a, Records)))
        return next((a for a in answers if isinstance(a, DnsTempFail)), None) or next(
            (a for a in answers if isinstance(a, NoData)), answers[0]
        )

    async def client_names(self, address: str, limit: float = 5.0) -> ClientNames:
        """Name and reverse name of a client, as smtpd_peername_lookup. `limit` seconds in all; then "unknown"
        with code 4."""
        try:
            return await asyncio.wait_for(self._client_names(address), limit)
        except TimeoutError:
            return ClientNames("unknown", "unknown", 4, 4)

    async def _client_names(self, address: str) -> ClientNames:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return UNKNOWN
        shown = str(parsed)
        reverse = self._hosts.name(shown)
        if reverse is None:
            answer = await self.lookup(dns.reversename.from_address(shown).to_text(True), "PTR")
            if isinstance(answer, DnsTempFail):
                return ClientNames("unknown", "unknown", 4, 4)
            if not isinstance(answer, Records) or not _plausible(answer.records[0].value):
                return UNKNOWN
            reverse = answer.records[0].value
        forward = await self.addresses(reverse)
        if isinstance(forward, Records):
            if shown in forward.values:
                return ClientNames(reverse, reverse, 2, 2)
            return ClientNames("unknown", reverse, 5, 2)
        return ClientNames("unknown", reverse, 4 if isinstance(forward, DnsTempFail) else 5, 2)


def _plausible(name: str) -> bool:
    """Whether a PTR answer can be a host name: no blanks or brackets, and not an address in disguise."""
    if not name or len(name) > MAX_NAME or not all(c.isalnum() or c in "-._" for c in name):
        return False
    return not name.rsplit(".", 1)[-1].isdigit()


def _name(name: dns.name.Name) -> str:
    return "" if name == dns.name.root else name.to_text(True).lower()


def _record(item: object, ttl: int) -> Record:
    if isinstance(item, MX):
        return Record(_name(item.exchange), item.preference, ttl=ttl)
    if isinstance(item, SRV):
        return Record(_name(item.target), item.priority, item.weight, item.port, ttl)
    if isinstance(item, TXT):
        return Record(b"".join(item.strings).decode("utf-8", "replace"), ttl=ttl)
    address = getattr(item, "address", None)
    if address is not None:
        return Record(str(address), ttl=ttl)
    target = getattr(item, "target", None)
    return Record(_name(target) if target is not None else str(item), ttl=ttl)
