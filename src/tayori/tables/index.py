"""Index files for large text tables: built once, mapped into memory by every process, read in about a microsecond.

File layout, all numbers little-endian:
    header   magic 8 bytes, buckets u32, entries u32, offset of records u64
    starts   (buckets + 1) x u32: where a bucket's entries begin in `places`
    places   entries x u64: offset of each record, sorted by bucket and then by place in the source
    records  key length u32, value length u32, line u32, key, value

A key's bucket is crc32 modulo the number of buckets. Of equal keys the first in the source comes first and counts.
The name holds the source's device, inode, size and times, so an index can never answer for another version; it is
written beside its final name and renamed, under a lock, so that of many processes one builds and the others wait.
The index is as readable as its source. A file of another owner is not trusted.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import logging
import mmap
import os
import stat
import struct
import tempfile
from array import array
from binascii import crc32
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO

from tayori.tables.formats import Parser
from tayori.tables.lines import Problem
from tayori.tables.watched import Loaded, signature

log = logging.getLogger("tayori.tables")

MAGIC = b"tayoriT2"
_HEADER = struct.Struct("<8sIIQ")
_RECORD = struct.Struct("<III")
_PAIR = struct.Struct("<II")
_PLACE = struct.Struct("<Q")
MAX_PROBLEMS = 1000
PLACE_BITS = 40


class Index:
    """An open index file: `get(folded key)` gives (value, line) or None."""

    def __init__(self, path: str) -> None:
        """Raises OSError or ValueError for a file that is no index."""
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, self._buckets, self.entries, self._records = _HEADER.unpack_from(self._map)
        if magic != MAGIC or self._records > len(self._map):
            self._map.close()
            raise ValueError(f"{path} is not an index of this version")
        self._starts = _HEADER.size
        self._places = self._starts + 4 * (self._buckets + 1)

    def get(self, key: str) -> tuple[str, int] | None:
        """Look one key up."""
        wanted = key.encode("utf-8", "surrogateescape")
        data = self._map
        first, end = _PAIR.unpack_from(data, self._starts + 4 * (crc32(wanted) % self._buckets))
        for number in range(first, end):
            (at,) = _PLACE.unpack_from(data, self._places + 8 * number)
            at += self._records
            key_length, value_length, line = _RECORD.unpack_from(data, at)
            at += 12
            if key_length == len(wanted) and data[at : at + key_length] == wanted:
                at += key_length
                return data[at : at + value_length].decode("utf-8", "surrogateescape"), line
        return None

    def close(self) -> None:
        """Unmap it."""
        self._map.close()


def open_index(
    source: BinaryIO,
    path: str,
    parse: Parser,
    form: str,
    folding: Callable[[str], str],
    cache: Callable[[], str],
    beside: bool = False,
) -> Loaded[Index]:
    """Open the index of `source` (an open file named `path`), building it when no process has; `beside`: in another
    process, as a loop is waiting to run. Raises OSError."""
    status = os.fstat(source.fileno())
    identity = repr((os.path.abspath(path), form, folding.__name__, signature(status)))
    base = os.path.join(cache(), hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:16])
    name = f"{base}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.index"
    with _locked(f"{base}.lock"):
        if _trusted(name, status):
            try:
                return Loaded(Index(name))
            except (ValueError, struct.error):
                log.info("%s: building the index %s anew", path, name)
        if beside:
            indexer = importlib.import_module("tayori.tables.indexer")  # it imports us
            problems = indexer.beside(source, name, form, folding.__name__)
        else:
            problems = build(source, name, parse, folding, status)
        if problems:
            # An index with bad lines left out serves this process only: the next one must see the problems too.
            index = Index(name)
            os.unlink(name)
            return Loaded(index, problems)
        _forget_older(base, name)
        return Loaded(Index(name))


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except PermissionError:
        # Another user's lock (root's, before privileges were dropped): at worst two processes build the same file.
        yield
        return
    try:
        if os.geteuid() == 0:  # workers that build the next version take the same lock
            status = os.stat(os.path.dirname(path))
            os.fchown(descriptor, status.st_uid, status.st_gid)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _trusted(name: str, source: os.stat_result) -> bool:
    try:
        found = os.lstat(name)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid in (0, os.geteuid(), source.st_uid)


def _forget_older(base: str, keep: str) -> None:
    folder = os.path.dirname(base)
    for other in os.listdir(folder):
        full = os.path.join(folder, other)
        if full.startswith(f"{base}-") and full.endswith(".index") and full != keep:
            with contextlib.suppress(OSError):
                os.unlink(full)


def build(
    source: BinaryIO, name: str, parse: Parser, folding: Callable[[str], str], status: os.stat_result
) -> tuple[Problem, ...]:
    """Write the index file `name` from an open source; memory is about 50 bytes per entry. Raises OSError."""
    folder = os.path.dirname(name)
    problems: list[Problem] = []
    with tempfile.TemporaryFile(dir=folder) as records:
        hashes, places = _write_records(source, records, parse, folding, problems)
        buckets = max(1, len(hashes))
        order = sorted((hashed % buckets) << PLACE_BITS | place for hashed, place in zip(hashes, places, strict=True))
        starts = array("I", bytes(4 * (buckets + 1)))
        for packed in order:
            starts[(packed >> PLACE_BITS) + 1] += 1
        total = 0
        for bucket in range(buckets + 1):
            total += starts[bucket]
            starts[bucket] = total
        mask = (1 << PLACE_BITS) - 1
        offsets = array("Q", (packed & mask for packed in order))
        _write_file(name, buckets, starts, offsets, records, status)
    return tuple(problems)


def _write_records(
    source: BinaryIO,
    records: IO[bytes],
    parse: Parser,
    folding: Callable[[str], str],
    problems: list[Problem],
) -> tuple[array[int], array[int]]:
    hashes, places = array("I"), array("Q")
    place = 0
    pack = _RECORD.pack
    for item in parse(source):
        if isinstance(item, Problem):
            if len(problems) < MAX_PROBLEMS:
                problems.append(item)
            continue
        key = folding(item.key).encode("utf-8", "surrogateescape")
        value = item.value.encode("utf-8", "surrogateescape")
        hashes.append(crc32(key))
        places.append(place)
        place += records.write(pack(len(key), len(value), item.line) + key + value)
    return hashes, places


def _write_file(
    name: str, buckets: int, starts: array[int], offsets: array[int], records: IO[bytes], status: os.stat_result
) -> None:
    descriptor, unfinished = tempfile.mkstemp(dir=os.path.dirname(name), prefix=".index-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            where = _HEADER.size + 4 * len(starts) + 8 * len(offsets)
            file.write(_HEADER.pack(MAGIC, buckets, len(offsets), where))
            for numbers in (starts, offsets):
                if struct.pack("=I", 1) != struct.pack("<I", 1):
                    numbers.byteswap()
                numbers.tofile(file)
            records.seek(0)
            while block := records.read(1 << 20):
                file.write(block)
            file.flush()
            os.fchmod(file.fileno(), status.st_mode & 0o444 | 0o400)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
        os.rename(unfinished, name)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise
