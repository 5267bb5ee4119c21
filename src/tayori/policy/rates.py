"""Connection and request limits per client, across all workers (anvil(8); postconf(5) smtpd_client_*_limit).

The counts lie in one shared memory map: each worker writes its own region only, a total is the sum over
regions, and the master clears a dead worker's region. No coordinator, no lock: a count read while another
worker writes it may be off by one, which a limit can bear.
"""

from __future__ import annotations

import ipaddress
import mmap
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

from tayori.config.settings import Settings

SLOTS = 4096
PROBES = 8
_SLOT = struct.Struct("=QIIIIIIq")
"""key, connections now, then this window's connections, messages, recipients, logins, TLS sessions; window start."""
REGION = SLOTS * _SLOT.size


@dataclass(frozen=True, slots=True)
class Limits:
    """0: no limit. `unit` is anvil_rate_time_unit in seconds."""

    connections: int = 0
    connection_rate: int = 0
    message_rate: int = 0
    recipient_rate: int = 0
    auth_rate: int = 0
    tls_rate: int = 0
    unit: int = 60
    ipv4_prefix: int = 32
    ipv6_prefix: int = 84

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Raises ConfigError."""
        return cls(
            settings.number("smtpd_client_connection_count_limit"),
            settings.number("smtpd_client_connection_rate_limit"),
            settings.number("smtpd_client_message_rate_limit"),
            settings.number("smtpd_client_recipient_rate_limit"),
            settings.number("smtpd_client_auth_rate_limit"),
            settings.number("smtpd_client_new_tls_session_rate_limit"),
            max(1, settings.seconds("anvil_rate_time_unit")),
            settings.number("smtpd_client_ipv4_prefix_length"),
            settings.number("smtpd_client_ipv6_prefix_length"),
        )


class Board:
    """The shared map, made by the master before it forks. `regions` bounds the workers alive at once."""

    def __init__(self, regions: int) -> None:
        self.regions = regions
        self.memory = mmap.mmap(-1, regions * REGION)
        self._used = memoryview(mmap.mmap(-1, 8)).cast("Q")

    def use(self, region: int) -> None:
        """Told by the master before a worker counts there: readers look no further than the highest."""
        if region >= self._used[0]:
            self._used[0] = region + 1

    @property
    def used(self) -> int:
        """How many regions have ever been written."""
        return int(self._used[0])

    def clear(self, region: int) -> None:
        """Forget what a dead worker counted; told by the master, also before a worker takes the region."""
        self.use(region)
        self.memory[region * REGION : (region + 1) * REGION] = bytes(REGION)


class Rates:
    """One service's view in one worker. `service` keeps the counts of smtp and submission apart."""

    def __init__(
        self, board: Board, region: int, service: str, limits: Limits, clock: Callable[[], float] = time.time
    ) -> None:
        self._board = board
        board.use(region)
        self._base = region * REGION
        self._limits = limits
        self._clock = clock
        self._service = service
        self._active = any(
            (limits.connections, limits.connection_rate, limits.message_rate, limits.recipient_rate, limits.auth_rate)
        )

    def connect(self, address: str) -> str:
        """Count a connection: "" when it may stay, else which limit it breaks ("concurrency", "rate")."""
        if not self._active:
            return ""
        key = self._key(address)
        self._add(key, 1, 1)
        self._add(key, 2, 1)
        if self._limits.connections and self._total(key, 1) > self._limits.connections:
            return "concurrency"
        if self._limits.connection_rate and self._total(key, 2) > self._limits.connection_rate:
            return "rate"
        return ""

    def disconnect(self, address: str) -> None:
        """The connection has ended."""
        if self._active:
            self._add(self._key(address), 1, -1)

    def message(self, address: str) -> bool:
        """Count a MAIL FROM; True when smtpd_client_message_rate_limit is broken."""
        return self._event(address, 3, self._limits.message_rate)

    def recipient(self, address: str) -> bool:
        """Count a RCPT TO; True when smtpd_client_recipient_rate_limit is broken."""
        return self._event(address, 4, self._limits.recipient_rate)

    def auth(self, address: str) -> bool:
        """Count an AUTH; True when smtpd_client_auth_rate_limit is broken."""
        return self._event(address, 5, self._limits.auth_rate)

    def tls(self, address: str) -> bool:
        """Count a TLS handshake; True when smtpd_client_new_tls_session_rate_limit is broken."""
        return self._event(address, 6, self._limits.tls_rate)

    def _event(self, address: str, column: int, limit: int) -> bool:
        if not limit:
            return False
        key = self._key(address)
        self._add(key, column, 1)
        return self._total(key, column) > limit

    def _key(self, address: str) -> int:
        text = address
        prefix = self._limits.ipv6_prefix if ":" in address else self._limits.ipv4_prefix
        if prefix < (128 if ":" in address else 32):
            try:
                text = str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))
            except ValueError:
                text = address
        data = f"{self._service} {text}".encode()
        return (crc32(data) << 32 | crc32(data[::-1])) or 1

    def _add(self, key: int, column: int, amount: int) -> None:
        """Find or make this worker's slot of `key`; the oldest idle one of the probed slots gives way."""
        memory, now = self._board.memory, int(self._clock())
        spare, spare_age = -1, 1 << 62
        start = key % SLOTS
        for step in range(PROBES):
            at = self._base + (start + step) % SLOTS * _SLOT.size
            row = _SLOT.unpack_from(memory, at)
            if row[0] == key:
                self._write(at, list(row), column, amount, now)
                return
            age = -1 if row[0] == 0 else row[7]
            if (row[0] == 0 or row[1] == 0) and age < spare_age:
                spare, spare_age = at, age
        if spare >= 0 and amount > 0:
            self._write(spare, [key, 0, 0, 0, 0, 0, 0, now], column, amount, now)

    def _write(self, at: int, row: list[int], column: int, amount: int, now: int) -> None:
        if now - row[7] >= self._limits.unit:
            row[2:7] = [0, 0, 0, 0, 0]
            row[7] = now
        row[column] = max(0, row[column] + amount)
        _SLOT.pack_into(self._board.memory, at, *row)

    def _total(self, key: int, column: int) -> int:
        memory, now, total = self._board.memory, int(self._clock()), 0
        start = key % SLOTS
        for region in range(self._board.used):
            for step in range(PROBES):
                row = _SLOT.unpack_from(memory, region * REGION + (start + step) % SLOTS * _SLOT.size)
                if row[0] == key:
                    if column == 1 or now - row[7] < self._limits.unit:
                        total += row[column]
                    break
        return total
