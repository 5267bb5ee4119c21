"""memcache: a memcached server, with or without a table behind it, memcache_table(5).

memcache (inet:host:port or unix:/path), backup (a table asked when memcached has not the key; what it finds is put
into memcached), key_format, domain, flags, ttl, max_try, retry_pause, timeout, line_size_limit, data_size_limit.
With a backup, a memcached that cannot be reached costs nothing but speed; without one it means TempFail.
A key that memcached's protocol cannot carry (blanks, more than 250 bytes) is asked of the backup only.
"""

from __future__ import annotations

import asyncio

from tayori.tables.blocking import BrokenTable
from tayori.tables.dbconfig import DatabaseConfig, Unreadable
from tayori.tables.lines import fold
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, Table, TempFail
from tayori.tables.spec import Spec
from tayori.tables.streams import StreamPool, Unreachable, answer_text, parse_endpoint
from tayori.tables.template import Frame, compiled, unquoted

MAX_KEY = 250
PAUSE_MOST = 10


class MemcacheTable:
    """memcache:/file.cf."""

    partial = True

    def __init__(self, spec: Spec, config: DatabaseConfig) -> None:
        self.name = spec.name
        try:
            endpoint = parse_endpoint(config.text("memcache", "inet:localhost:11211"))
        except ValueError as error:
            raise config.bad("memcache", str(error), "write inet:host:port or unix:/path") from None
        self._frame = Frame(config)
        self._key = compiled(config, "key_format", "%s")
        backup = config.text("backup")
        self._backup: Table | None = spec.open(backup) if backup else None
        self._flags = config.number("flags", 0)
        self._ttl = config.number("ttl", 3600)
        self._tries = config.number("max_try", 2, 1)
        self._pause = min(config.number("retry_pause", 1, 1), PAUSE_MOST)
        self._line_limit = config.number("line_size_limit", 1024, 64)
        self._data_limit = config.number("data_size_limit", 10240, 1)
        self._fold = spec.fold
        self._pool = StreamPool(self.name, endpoint, config.number("timeout", 2, 1), spec.clock)

    async def lookup(self, key: str) -> Outcome:
        """Ask memcached, then the backup."""
        if self._fold:
            key = fold(key)
        asks = await self._frame.asks(key)
        if isinstance(asks, TempFail):
            return asks
        asked = self._key.of_key(key, unquoted) if asks else None
        if asked is None:
            return NOT_FOUND
        wire = asked.encode("utf-8", "surrogateescape")
        fits = 0 < len(wire) <= MAX_KEY and not any(byte <= 32 or byte == 127 for byte in wire)
        failure = ""
        if fits:
            try:
                value = await self._get(wire)
                if value is not None:
                    return Found(answer_text(value))
            except (Unreachable, ValueError) as error:
                failure = str(error)
        if self._backup is None:
            return TempFail(f"{self.name}: {failure}") if failure else NOT_FOUND
        answer = await self._backup.lookup(key)
        if fits and not failure and isinstance(answer, Found):
            await self._set(wire, answer.value.encode("utf-8", "surrogateescape"))
        return answer

    async def _get(self, key: bytes) -> bytes | None:
        for attempt in range(1, self._tries + 1):
            try:
                return await self._pool.exchange(b"get " + key + b"\r\n", self._read_value)
            except Unreachable as error:
                if attempt == self._tries or "cannot be reached" in str(error):
                    raise
                await asyncio.sleep(self._pause)
        return None

    async def _read_value(self, reader: asyncio.StreamReader) -> bytes | None:
        line = await self._line(reader)
        if line == b"END":
            return None
        words = line.split()
        if len(words) < 4 or words[0] != b"VALUE" or not words[3].isdigit():
            raise ValueError(f"it begins with {line[:20]!r}")
        length = int(words[3])
        if length > self._data_limit:
            raise ValueError(f"the value is longer than data_size_limit = {self._data_limit}")
        data = await reader.readexactly(length + 2)
        if await self._line(reader) != b"END":
            raise ValueError("the value does not end with END")
        return data[:-2]

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        if len(line) > self._line_limit:
            raise ValueError(f"a line is longer than line_size_limit = {self._line_limit}")
        return line.rstrip(b"\r\n")

    async def _set(self, key: bytes, value: bytes) -> None:
        if len(value) > self._data_limit:
            return
        request = b"set %s %d %d %d\r\n%s\r\n" % (key, self._flags, self._ttl, len(value), value)
        try:
            await self._pool.exchange(request, self._line)
        except Unreachable:
            # The backup has answered; memcached is only a faster copy, and the pool has logged the trouble.
            return

    def close(self) -> None:
        """Close connections; the backup is closed by the registry."""
        self._pool.close()


def open_memcache(spec: Spec) -> Table:
    """Open memcache:/file.cf. Raises ConfigError."""
    try:
        config = DatabaseConfig(spec)
    except Unreadable as error:
        return BrokenTable(spec, str(error))
    return MemcacheTable(spec, config)
