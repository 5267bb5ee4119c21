"""What all workers know of failed and of good log-ins, in one shared memory map (DESIGN "Processes and privileges").

The master makes a `LoginBoard` before it forks. Each worker writes its own region only; what is known of a key is
looked for in the regions of all: counts are summed, of good log-ins the latest holds. No coordinator and no lock: a
slot is written by one copy of a few aligned words. All but what is `Begun` fades by itself and belongs to no living
connection, so that a region outlives its worker: the next one in the same place goes on with it, and neither a reload
nor a killed worker forgets the failures or the friends. What a dead worker had begun the master clears.

Memory is bounded, and an attacker who has very many names and addresses gets this:
- Keys are digests under a key of this start, so that nobody can aim at the slots of somebody else.
- A full bucket of `Counts` gives up its smallest count: who fails a lot stays. The count that was lost goes to the
  `crowd` of its region, so that a flood too wide to be counted is seen as such.
- `Trusted` is written by right passwords alone, and all records of an account lie in one bucket. A full bucket takes
  from the account that has most there: who owns one account pushes out his own records.
- `Begun` has room for thousands of log-ins under way at once in each worker; one that finds its bucket full goes
  uncounted until it has failed, so that a flood shuts nobody out.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Iterator

KEY = 8
_COUNT = struct.Struct("@8sdd")
"""key, value at that time, time"""
_FRIEND = struct.Struct("@8s8sdd")
"""account, source, time of the last good log-in, until when it is trusted"""
_HEAD = struct.Struct("@ddd")
"""of a region: time of its last failure; the crowd's value and time"""
_UNDER_WAY = struct.Struct("@8sQ")
"""key, how many log-ins that are not decided yet"""
_USED = struct.Struct("@Q")
_NONE = bytes(_UNDER_WAY.size)
_EVER = 1e-9  # a time that is not "never"
_START = 64
_BUCKETS = 1024
_WAYS = 8
_FRIENDS = 16
_COUNTS = ("sources", "pairs", "accounts")
_COUNT_TABLE = _BUCKETS * _WAYS * _COUNT.size
_FRIEND_TABLE = _BUCKETS * _FRIENDS * _FRIEND.size
_BEGUN_BUCKETS = 512
_BEGUN_TABLE = _BEGUN_BUCKETS * _WAYS * _UNDER_WAY.size
_BEGUN_START = _START + len(_COUNTS) * _COUNT_TABLE + _FRIEND_TABLE
REGION = _BEGUN_START + _BEGUN_TABLE
NOBODY = b"\xff" * KEY
ROOM = 8  # places that an account may have before its new ones no longer vouch for their neighbours


class LoginBoard:
    """The map. `regions` bounds the workers alive at once; memory is taken by what is written, 1 MiB a region."""

    def __init__(self, regions: int = 1, random: Callable[[int], bytes] = os.urandom) -> None:
        self.regions = regions
        self.memory = mmap.mmap(-1, _START + regions * REGION)
        self._key = random(16)
        self.use(0)

    def use(self, region: int) -> None:
        """Told by the master before a worker takes a region: readers look no further than the highest."""
        if region >= self.used:
            self.memory[: _USED.size] = _USED.pack(region + 1)

    def clear_begun(self, region: int) -> None:
        """The worker of this region is no more: nothing that it had begun will end."""
        start = _START + region * REGION + _BEGUN_START
        self.memory[start : start + _BEGUN_TABLE] = bytes(_BEGUN_TABLE)

    @property
    def used(self) -> int:
        """How many regions have ever been written."""
        return int(_USED.unpack_from(self.memory, 0)[0])

    def key(self, *words: str) -> bytes:
        """Eight octets that stand for these words, here and until the next start."""
        text = "\0".join(words).encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text, digest_size=KEY, key=self._key).digest()

    def find(self, key: bytes, start: int, ways: int, size: int) -> Iterator[int]:
        """Where slots of `key` begin, in the bucket that begins `start` octets into each region."""
        memory = self.memory
        for base in range(_START, _START + self.used * REGION, REGION):
            at = end = base + start
            end += ways * size
            while (at := memory.find(key, at, end)) >= 0:
                beside = (at - base - start) % size
                if not beside:
                    yield at
                at += size - beside


class Counts:
    """Numbers by key that halve every `half_life` seconds. `region` is where this worker writes."""

    def __init__(self, board: LoginBoard, region: int, name: str, half_life: float) -> None:
        self._board = board
        self._half_life = half_life
        self._table = _START + _COUNTS.index(name) * _COUNT_TABLE
        self._head = _START + region * REGION
        self._base = self._head + self._table

    def total(self, key: bytes, now: float, since: float = 0.0) -> float:
        """The sum over all workers; slots not touched after `since` do not count."""
        total = 0.0
        for at in self._board.find(key, self._table + _bucket(key) * _WAYS * _COUNT.size, _WAYS, _COUNT.size):
            _, value, when = _COUNT.unpack_from(self._board.memory, at)
            if when >= since:
                total += self._faded(value, when, now)
        return total

    def add(self, key: bytes, now: float, since: float = 0.0) -> None:
        """One more. A slot not touched after `since` begins anew."""
        memory = self._board.memory
        start = self._base + _bucket(key) * _WAYS * _COUNT.size
        least, place = -1.0, start
        for at in range(start, start + _WAYS * _COUNT.size, _COUNT.size):
            known, value, when = _COUNT.unpack_from(memory, at)
            value = self._faded(value, when, now)
            if known == key:
                least, place = 0.0, at
                value = value if when >= since else 0.0
                break
            if least < 0 or value < least:
                least, place = value, at
        else:
            value = 0.0
        if least > 0.05:
            self._lost(least, now)
        memory[place : place + _COUNT.size] = _COUNT.pack(key, value + 1.0, now)

    def _lost(self, value: float, now: float) -> None:
        memory = self._board.memory
        last, crowd, when = _HEAD.unpack_from(memory, self._head)
        memory[self._head : self._head + _HEAD.size] = _HEAD.pack(last, self._faded(crowd, when, now) + value, now)

    def _faded(self, value: float, when: float, now: float) -> float:
        if not value:
            return 0.0
        return float(value * 0.5 ** (max(0.0, now - when) / self._half_life))


class Begun:
    """How many log-ins are under way by key: each may turn out to be a failure, and counts as one until then."""

    def __init__(self, board: LoginBoard, region: int) -> None:
        self._board = board
        self._base = _START + region * REGION + _BEGUN_START

    def total(self, key: bytes) -> int:
        """Of all workers."""
        total = 0
        for at in self._board.find(key, _BEGUN_START + self._bucket_of(key), _WAYS, _UNDER_WAY.size):
            total += _UNDER_WAY.unpack_from(self._board.memory, at)[1]
        return total

    def add(self, key: bytes) -> bool:
        """One more here. False when there is no place: it is not counted, and must not be ended."""
        memory = self._board.memory
        start = self._base + self._bucket_of(key)
        place = -1
        for at in range(start, start + _WAYS * _UNDER_WAY.size, _UNDER_WAY.size):
            known, count = _UNDER_WAY.unpack_from(memory, at)
            if count and known == key:
                memory[at : at + _UNDER_WAY.size] = _UNDER_WAY.pack(key, count + 1)
                return True
            if not count:
                place = at
        if place < 0:
            return False
        memory[place : place + _UNDER_WAY.size] = _UNDER_WAY.pack(key, 1)
        return True

    def end(self, key: bytes) -> None:
        """One that was added here is over."""
        memory = self._board.memory
        start = self._base + self._bucket_of(key)
        for at in range(start, start + _WAYS * _UNDER_WAY.size, _UNDER_WAY.size):
            known, count = _UNDER_WAY.unpack_from(memory, at)
            if count and known == key:
                memory[at : at + _UNDER_WAY.size] = _UNDER_WAY.pack(key, count - 1) if count > 1 else _NONE
                return

    @staticmethod
    def _bucket_of(key: bytes) -> int:
        return int.from_bytes(key[:4], "little") % _BEGUN_BUCKETS * _WAYS * _UNDER_WAY.size


class Flood:
    """What the heads of the regions say: whether anybody failed lately, and how much could not be counted."""

    def __init__(self, board: LoginBoard, region: int, half_life: float) -> None:
        self._board = board
        self._head = _START + region * REGION
        self._half_life = half_life

    def failed(self, now: float) -> None:
        """Somebody failed here."""
        memory = self._board.memory
        _, crowd, when = _HEAD.unpack_from(memory, self._head)
        memory[self._head : self._head + _HEAD.size] = _HEAD.pack(max(now, _EVER), crowd, when)

    def calm(self, now: float) -> bool:
        """Whether nobody has failed anywhere for so long that every count is next to nothing."""
        long_ago = now - 16 * self._half_life
        return all(last <= long_ago or not last for last, _, _ in self._heads())

    def crowd(self, now: float) -> float:
        """Failures that were pushed out of full tables, in all workers, halved as counts are."""
        parts = (c * 0.5 ** (max(0.0, now - when) / self._half_life) for _, c, when in self._heads() if c)
        return float(sum(parts))

    def _heads(self) -> Iterator[tuple[float, float, float]]:
        for base in range(_START, _START + self._board.used * REGION, REGION):
            yield _HEAD.unpack_from(self._board.memory, base)


class Trusted:
    """Who logged in lately from where. Records of a source alone (account NOBODY) say that somebody did."""

    def __init__(self, board: LoginBoard, region: int) -> None:
        self._board = board
        self._table = _START + len(_COUNTS) * _COUNT_TABLE
        self._base = _START + region * REGION + self._table

    def known(self, account: bytes, source: bytes) -> tuple[float, float]:
        """(last good log-in, trusted until), the latest of all workers; zeros for strangers."""
        bucket = self._bucket_of(account, source)
        best = 0.0, 0.0
        for at in self._board.find(account, self._table + bucket, _FRIENDS, _FRIEND.size):
            found, whence, good, until = _FRIEND.unpack_from(self._board.memory, at)
            if whence == source and found == account and until > best[1]:
                best = good, until
        return best

    def add(self, account: bytes, source: bytes, now: float, until: float) -> bool:
        """A good log-in. False when the account already has many other places that still hold."""
        memory = self._board.memory
        start = self._base + self._bucket_of(account, source)
        holders: dict[bytes, list[tuple[float, int]]] = {}
        place = spare = -1
        for at in range(start, start + _FRIENDS * _FRIEND.size, _FRIEND.size):
            found, whence, good, holds = _FRIEND.unpack_from(memory, at)
            if found == account and whence == source:
                place = at
            elif holds > now:
                holders.setdefault(whence if found == NOBODY else found, []).append((good, at))
            else:
                spare = at
        mine = holders.get(account, [])
        if place < 0:
            place = spare
        if place < 0:
            most = max(holders, key=lambda holder: (len(holders[holder]), holder == account))
            place = min(holders[most])[1]
        memory[place : place + _FRIEND.size] = _FRIEND.pack(account, source, now, until)
        return len(mine) < ROOM

    @staticmethod
    def _bucket_of(account: bytes, source: bytes) -> int:
        return _bucket(source if account == NOBODY else account) * _FRIENDS * _FRIEND.size


def _bucket(key: bytes) -> int:
    return int.from_bytes(key[:4], "little") % _BUCKETS
