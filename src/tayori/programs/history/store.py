"""`history.sqlite` in the queue's folder: records and outcomes, newest last, pruned by age and size.

synchronous=OFF: a power cut may cost the newest minutes, never a mail. Writers of all workers take turns on a file
lock, which covers checkpoints too (as in the queue: SQLite before 3.51.3); readers never block them. A file that
cannot be read any more is set aside and a new one begun. Rows lie in the order of time, give or take the second that
they waited for the disk, so their ids serve as an index of time and none has to be kept.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from tayori.programs.history.record import Outcome, Record
from tayori.queue.lock import TurnLock

FILE_NAME = "history.sqlite"
VERSION = 1
SCHEMA = """
CREATE TABLE record (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, number INTEGER NOT NULL, ok INTEGER NOT NULL, client TEXT NOT NULL,
    sender TEXT NOT NULL, recipients TEXT NOT NULL, login TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX record_number ON record (number) WHERE number <> 0;
CREATE TABLE code (code TEXT NOT NULL, record INTEGER NOT NULL);
CREATE INDEX code_code ON code (code);
CREATE INDEX code_record ON code (record);
CREATE TABLE outcome (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL, address TEXT NOT NULL,
    original TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX outcome_number ON outcome (number);
"""
BATCH = 2000
MARGIN = 10.0
"""Seconds by which rows may be out of order."""
ACCEPTED, REFUSED, JUDGED = 1, 2, 4
"""Bits of record.ok; JUDGED: a restriction refused."""
_encode = msgspec.msgpack.Encoder().encode
_records = msgspec.msgpack.Decoder(Record)
_outcomes = msgspec.msgpack.Decoder(Outcome)
_SEPARATOR = "\n"
Row = tuple[float, int, int, str, str, str, str, bytes]
End = tuple[float, int, str, str, str, bytes]


class Store:
    """The writing side. Raises sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = TurnLock(f"{path}.lock")
        try:
            with self._lock:
                self._base = self._opened()
        except (sqlite3.Error, OSError):
            self._lock.close()
            raise

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            for suffix in ("", "-wal", "-shm"):
                if os.path.exists(f"{self._path}{suffix}"):
                    os.replace(f"{self._path}{suffix}", f"{self._path}.broken{suffix}")
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        old = os.umask(0o077)
        try:
            base = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        finally:
            os.umask(old)
        try:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=OFF")
            base.execute("PRAGMA cache_size=-2000")
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"the history is of another version ({version})")
            if not version:
                base.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        except sqlite3.Error:
            base.close()
            raise
        return base

    def write(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """Add a batch."""
        if not records and not outcomes:
            return
        try:
            rows, ends = _rows(records, outcomes)
        except UnicodeEncodeError:
            # bytes that are no UTF-8 travel as surrogates, which neither msgpack nor SQLite takes
            records, outcomes = [readable(r) for r in records], [readable(o) for o in outcomes]
            rows, ends = _rows(records, outcomes)
        codes: list[tuple[str, int]] = []
        base = self._base
        with self._lock:
            base.execute("BEGIN IMMEDIATE")
            try:
                first = base.execute("SELECT coalesce(max(id), 0) + 1 FROM record").fetchone()[0]
                for number, record in enumerate(records, start=first):
                    codes += [(decision.code, number) for decision in record.decisions if decision.code]
                base.executemany(
                    "INSERT INTO record VALUES (?,?,?,?,?,?,?,?,?)",
                    ((number, *row) for number, row in enumerate(rows, start=first)),
                )
                base.executemany("INSERT INTO code VALUES (?,?)", codes)
                base.executemany(
                    "INSERT INTO outcome (at, number, status, address, original, body) VALUES (?,?,?,?,?,?)", ends
                )
                base.execute("COMMIT")
            except sqlite3.Error:
                base.execute("ROLLBACK")
                raise

    def prune(self, before: float, size: int) -> int:
        """Drop what is older than `before`, and the oldest while the file holds more than `size` bytes."""
        gone = 0
        while True:
            with self._lock:
                removed = self._remove(before)
                if not removed and size and self._used() > size:
                    removed = self._remove(self._oldest_part())
            gone += removed
            if not removed:
                return gone

    def _used(self) -> int:
        pages, free, page = (
            self._base.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page)

    def _oldest_part(self) -> float:
        """A time that some thousand of the oldest rows lie before."""
        found = self._base.execute(
            "SELECT max(at) FROM (SELECT at FROM record ORDER BY id LIMIT ?) UNION ALL "
            "SELECT max(at) FROM (SELECT at FROM outcome ORDER BY id LIMIT ?)",
            (BATCH, BATCH),
        ).fetchall()
        return max((float(at) for (at,) in found if at is not None), default=0.0) + 1e-6

    def _remove(self, before: float) -> int:
        base = self._base
        removed = 0
        base.execute("BEGIN IMMEDIATE")
        for table in ("record", "outcome"):
            part = f"SELECT id FROM {table} ORDER BY id LIMIT {BATCH}"  # noqa: S608
            if table == "record":
                base.execute(
                    f"DELETE FROM code WHERE record IN (SELECT id FROM record WHERE id IN ({part}) AND at < ?)",  # noqa: S608
                    (before,),
                )
            removed += base.execute(f"DELETE FROM {table} WHERE id IN ({part}) AND at < ?", (before,)).rowcount  # noqa: S608
        base.execute("COMMIT")
        return removed

    def close(self) -> None:
        """Close, under the lock: closing checkpoints."""
        with self._lock:
            self._base.close()
        self._lock.close()


_Kept = TypeVar("_Kept")


def readable(value: _Kept) -> _Kept:
    """The same value with `\\xNN` in place of bytes that are no UTF-8."""
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return cast(_Kept, text)
    if isinstance(value, tuple):
        return cast(_Kept, tuple(readable(one) for one in value))
    if isinstance(value, msgspec.Struct):
        return type(value)(*(readable(getattr(value, name)) for name in value.__struct_fields__))
    return value


def _rows(records: Sequence[Record], outcomes: Sequence[Outcome]) -> tuple[list[Row], list[End]]:
    rows = [_row(record) for record in records]
    ends = [(o.when, o.number, o.status, o.address, o.original, _encode(o)) for o in outcomes]
    for row in rows:
        "".join(row[3:7]).encode()
    return rows, ends


def _row(record: Record) -> Row:
    recipients = _SEPARATOR.join(record.recipients).lower()
    client = f"{record.client}{_SEPARATOR}{record.client_name}{_SEPARATOR}{record.helo or ''}".lower()
    ok = int(record.accepted) * ACCEPTED + bool(record.refusals) * REFUSED
    ok += any(one.by for one in record.refusals) * JUDGED
    named = record.named_sender
    sender = "" if named is None else f"<{named.lower()}>"
    return record.when, record.number, ok, client, sender, recipients, record.login.lower(), _encode(record)


class Reader:
    """The reading side, for the tools. Raises sqlite3.Error and FileNotFoundError."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(str(path))
        self._base = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
        made = {name for (name,) in self._base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not made >= {"record", "code", "outcome"}:
            self._base.close()
            raise FileNotFoundError(str(path))  # the server that makes it has only just begun

    def records(self, where: str = "1", values: Iterable[object] = (), most: int = 0) -> list[Record]:
        """The newest `most` (0: all) that fit, oldest first."""
        limit = f"LIMIT {int(most)}" if most else ""
        rows = self._base.execute(
            f"SELECT body FROM record WHERE {where} ORDER BY id DESC {limit}",  # noqa: S608  clauses of query.py
            tuple(values),
        )
        return [_records.decode(body) for (body,) in rows][::-1]

    def each(self, since: float) -> Iterator[Record]:
        """All records since a time, oldest first, a page at a time."""
        number = self._first(since) - 1
        while True:
            rows = self._base.execute(
                "SELECT id, body FROM record WHERE id > ? AND at >= ? ORDER BY id LIMIT 500", (number, since)
            ).fetchall()
            if not rows:
                return
            number = rows[-1][0]
            for _, body in rows:
                yield _records.decode(body)

    def _first(self, since: float) -> int:
        """An id shortly before the first record since a time, by halving."""
        low, high = self._base.execute("SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM record").fetchone()
        while low < high:
            middle = (low + high) // 2
            at = self._base.execute("SELECT at FROM record WHERE id >= ? ORDER BY id LIMIT 1", (middle,)).fetchone()[
                0
            ]
            if at < since - MARGIN:
                low = middle + 1
            else:
                high = middle
        return int(low)

    def by_code(self, code: str) -> list[Record]:
        """Those with a refusal of this code, oldest first."""
        return self.records("id IN (SELECT record FROM code WHERE code = ?)", (code,))

    def outcomes(self, number: int) -> list[Outcome]:
        """What became of message `number`, oldest first."""
        rows = self._base.execute("SELECT body FROM outcome WHERE number = ? ORDER BY id", (number,))
        return [_outcomes.decode(body) for (body,) in rows]

    def close(self) -> None:
        """Close."""
        self._base.close()
