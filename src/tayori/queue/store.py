"""The queue file itself: blocking operations on SQLite, used by the writer thread and by tools.

Contract: every method that changes something does so in one transaction under the turn lock, and has
reached stable storage (WAL, synchronous=FULL) when it returns. Content larger than content.THRESHOLD lies in
`content/ID`, written and synced before the row that names it (spool.py). Not thread-safe: one Store per thread.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from tayori.queue import schema
from tayori.queue.content import THRESHOLD, Content, weight
from tayori.queue.lock import TurnLock
from tayori.queue.model import (
    Attributes,
    Message,
    QueueBroken,
    QueueFull,
    Recipient,
    Settlement,
    Slice,
    Stored,
)
from tayori.queue.spool import Copy, sweep

CHECKPOINT_PAGES = 8192
WAL_INDEX_FRAMES = 16
"""Where the WAL index says how many frames the WAL holds (sqlite.org/walformat.html 2.1, `mxFrame`)."""
NUMBERS_PER_RESERVE = 4_000_000
ROWS_AT_ONCE = 64

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Attributes).decode
_FRAMES = struct.Struct("=I")
_FULL_CODES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}


def translate(error: sqlite3.Error | OSError | ValueError | OverflowError) -> QueueFull | QueueBroken:
    """The queue's own exception for a failed write; a value that no column can hold is one, too."""
    if isinstance(error, OSError):
        return QueueFull(error.strerror or "disk full") if error.errno in (28, 122) else QueueBroken(str(error))
    code = getattr(error, "sqlite_errorcode", 0)
    return QueueFull(str(error)) if code in _FULL_CODES else QueueBroken(str(error))


class Store:
    """An open queue folder: `queue.sqlite`, `queue.lock`, `content/`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.content_folder = self.folder / "content"
        self.content_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lock = TurnLock(str(self.folder / "queue.lock"))
        with self.lock:
            self._db = sqlite3.connect(
                self.folder / "queue.sqlite", isolation_level=None, check_same_thread=False, cached_statements=512
            )
            # one wait is enough: the turn lock leaves only readers' recovery to wait for
            self._db.execute("PRAGMA busy_timeout=5000")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA wal_autocheckpoint=0")
            self._db.execute("PRAGMA cache_size=-16384")
            self._db.execute("PRAGMA temp_store=MEMORY")
            for statement in schema.STATEMENTS:
                self._db.execute(statement)
            for table, column, statement in schema.ADDED:
                if column not in {row[1] for row in self._db.execute(f"PRAGMA table_info({table})")}:
                    self._db.execute(statement)
            self._shm_fd = _shared_memory(self.folder / "queue.sqlite-shm")

    def close(self) -> None:
        """Close; the closing checkpoint runs under the lock."""
        with self.lock:
            self._db.close()
        self.lock.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction under the turn lock. Raises QueueFull or QueueBroken, with nothing changed."""
        with self.lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
                self._rollback()
                raise translate(error) from error
            except BaseException:
                self._rollback()
                raise
            self._checkpoint()

    def _rollback(self) -> None:
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def _checkpoint(self) -> None:
        """Fold a long WAL into the file; a checkpoint that finds readers in its way just comes later."""
        try:
            # a WAL that begins anew keeps its length, since overwriting syncs faster: only the frame count tells
            frames = _FRAMES.unpack(os.pread(self._shm_fd, 4, WAL_INDEX_FRAMES))[0]
            if frames > CHECKPOINT_PAGES:
                self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except (OSError, struct.error, sqlite3.Error):
            return

    def reserve_numbers(self, count: int = NUMBERS_PER_RESERVE) -> range:
        """A range of message numbers that nobody else gets, ever: microseconds of the clock, or beyond the last."""
        with self.transaction() as db:
            row = db.execute("SELECT value FROM meta WHERE name = 'next_number'").fetchone()
            start = max(int(time.time() * 1e6), row[0] if row else 0)
            db.execute("INSERT OR REPLACE INTO meta VALUES ('next_number', ?)", (start + count,))
        return range(start, start + count)

    def apply(
        self, accepts: list[tuple[Message, int | None]], settlements: list[Settlement], owner: int | None
    ) -> list[int]:
        """Commit new messages (each with its owner) and settlements together; numbers that left the queue and whose
        content files can go.

        Raises QueueFull, QueueBroken: nothing of it was kept.
        """
        gone: list[int] = []
        born = [(message, None) for settlement in settlements for message in settlement.messages]
        files = self._write_files([message for message, _ in (*accepts, *born)])
        try:
            with self.transaction() as db:
                self._insert(db, [*accepts, *born])
                delete_all(db, [s.number for s in settlements if s.finished])
                for settlement in settlements:
                    if (settlement.finished or self._settle(db, settlement)) and settlement.filed:
                        gone.append(settlement.number)
        except BaseException:
            for file in files:
                file.end(kept=False)
            raise
        for file in files:
            file.end(kept=True)
        return gone

    def _insert(self, db: sqlite3.Connection, messages: Sequence[tuple[Message, int | None]]) -> None:
        rows, bodies, recipients = [], [], []
        for message, owner in messages:
            content = message.content if message.content is not None else b""
            number = message.number
            due = min((r.due for r in message.recipients), default=0.0)
            rows.append(
                (
                    number,
                    message.arrival,
                    storable(message.sender),
                    message.size,
                    _attributes(message.attributes),
                    owner,
                    due,
                    int(message.hold),
                )
            )
            if not self._filed(content):
                bodies.append((number, content))
            recipients += [_row(number, r) for r in message.recipients]
        insert_rows(db, schema.INSERT_MESSAGE, rows)
        drops = [(f"drop:{m.attributes.drop}", m.number) for m, _ in messages if m.attributes.drop]
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", drops)
        insert_rows(db, schema.INSERT_CONTENT, bodies)
        insert_rows(db, schema.INSERT_RECIPIENT, recipients)

    @staticmethod
    def _filed(content: Content) -> bool:
        return isinstance(content, Stored) or len(content) > THRESHOLD

    def _write_files(self, messages: Iterable[Message]) -> list[Copy]:
        """The content files that are not there yet, held until the rows are there."""
        written: list[Copy] = []
        try:
            for message in messages:
                content = message.content
                if content is not None and self._filed(content) and not self.in_place(message):
                    written.append(Copy(self.content_folder, message.number))
                    written[-1].write(content)
        except BaseException:
            for copy in written:
                copy.end(kept=False)
            raise
        return written

    def in_place(self, message: Message) -> bool:
        """Whether the content lies in the message's own file."""
        content = message.content
        if not isinstance(content, Stored):
            return False
        last = content.parts[-1]
        return isinstance(last, Slice) and last.path == str(self.content_path(message.number))

    def _settle(self, db: sqlite3.Connection, settlement: Settlement) -> bool:
        number = settlement.number
        kept = (*settlement.later, *settlement.extra)
        for n in settlement.done:
            db.execute(schema.DELETE_RECIPIENT, (number, n))
        db.executemany(schema.INSERT_RECIPIENT, [_row(number, r) for r in kept])
        row = db.execute("SELECT MIN(due) FROM recipient WHERE number = ?", (number,)).fetchone()
        if row[0] is None:
            delete_all(db, [number])
            return True
        if settlement.release:
            db.execute("UPDATE message SET owner = NULL, due = ? WHERE number = ?", (row[0], number))
            return bool(_delete_doomed(db, "number = ?", number))
        return False

    def forget_files(self, numbers: Iterable[int]) -> None:
        """Remove content files of messages that have left the queue."""
        for number in numbers:
            self.content_path(number).unlink(missing_ok=True)

    def has_drop(self, name: str) -> bool:
        """Whether the maildrop file of this name is a message already."""
        return self._db.execute("SELECT 1 FROM meta WHERE name = ?", (f"drop:{name}",)).fetchone() is not None

    def forget_drop(self, name: str) -> None:
        """The maildrop file is gone."""
        with self.transaction() as db:
            db.execute("DELETE FROM meta WHERE name = ?", (f"drop:{name}",))

    def content_path(self, number: int) -> Path:
        """Where a large message's content lies."""
        return self.content_folder / f"{number:X}"

    def claim(self, now: float, limit: int, owner: int, room: int = 1 << 62) -> list[Message]:
        """Own up to `limit` messages that are due and that nobody owns, oldest due first; with contents that take at
        most `room` bytes of memory together, but always one."""
        with self.transaction() as db:
            rows = db.execute(
                schema.SELECT_MESSAGES + " WHERE owner IS NULL AND hold = 0 AND due <= ? ORDER BY due LIMIT ?",
                (now, limit),
            ).fetchall()
            taken = 0
            for at, row in enumerate(rows):
                taken += weight(row[3])
                if at and taken > room:
                    del rows[at:]
                    break
            db.executemany("UPDATE message SET owner = ? WHERE number = ?", [(owner, row[0]) for row in rows])
            return [self._message(row) for row in rows]

    def next_due(self) -> float | None:
        """When the next unowned message is due; None when nothing waits."""
        row = self._db.execute("SELECT MIN(due) FROM message WHERE owner IS NULL AND hold = 0").fetchone()
        return row[0] if row else None

    def release(self, living: Iterable[int], below: int = 1 << 62) -> int:
        """Free what dead workers have owned: those with a number less than `below` that are not `living`; how many
        messages that were. A worker started later has a greater number: it may be at work already."""
        marks = ",".join(str(int(owner)) for owner in living) or "-1"
        return self._free(f"owner < ? AND owner NOT IN ({marks})", below)

    def release_owner(self, owner: int) -> int:
        """Free what one worker still owns; how many messages."""
        return self._free("owner = ?", owner)

    def _free(self, which: str, value: int) -> int:
        with self.transaction() as db:
            freed = db.execute(f"UPDATE message SET owner = NULL WHERE {which}", (value,)).rowcount  # noqa: S608
            gone = _delete_doomed(db)
        self.forget_files(gone)
        return freed

    def recover(self) -> tuple[int, int]:
        """At start, nobody else running: free everything, drop content files no row names.

        Returns (messages in the queue, orphaned files removed).
        """
        self.release(())
        orphans = self.sweep(path.name for path in self.content_folder.iterdir())
        return self.count(), orphans

    def sweep(self, names: Iterable[str]) -> int:
        """Remove content files of these names that dead processes have left; how many."""
        return sweep(self.content_folder, names, self.has_row)

    def has_row(self, number: int) -> bool:
        """Whether the message is in the queue."""
        return self._db.execute("SELECT 1 FROM message WHERE number = ?", (number,)).fetchone() is not None

    def body(self, number: int) -> bytes | int:
        """The content of a message where it lies in a row, else its size. Raises KeyError when it is gone."""
        try:
            row = self._db.execute("SELECT body FROM content WHERE number = ?", (number,)).fetchone()
            if row is not None:
                return bytes(row[0])
            row = self._db.execute("SELECT size FROM message WHERE number = ?", (number,)).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise translate(error) from error
        if row is None:
            raise KeyError(number)
        return int(row[0])

    def page(self, after: int, limit: int) -> list[tuple[Message, bool]]:
        """Messages with number > `after` in order, each with whether a worker holds it; for listings."""
        rows = self._db.execute(
            schema.SELECT_MESSAGES + " WHERE number > ? AND hold <> ? ORDER BY number LIMIT ?",
            (after, schema.DOOMED, limit),
        ).fetchall()
        return [(self._message(row), row[5] is not None) for row in rows]

    def get(self, number: int) -> Message | None:
        """One message without content."""
        row = self._db.execute(schema.SELECT_MESSAGES + " WHERE number = ?", (number,)).fetchone()
        return self._message(row) if row else None

    def count(self) -> int:
        """How many messages are in the queue."""
        return int(self._db.execute("SELECT COUNT(*) FROM message").fetchone()[0])

    def delete(self, number: int) -> bool:
        """Delete a message; False when it is gone. One that a worker holds goes when the attempts under way end, and
        is not tried again."""
        with self.transaction() as db:
            found = db.execute("UPDATE message SET hold = ? WHERE number = ?", (schema.DOOMED, number)).rowcount > 0
            gone = _delete_doomed(db, "number = ?", number)
        self.forget_files(gone)
        return found

    def set_hold(self, number: int, hold: bool) -> bool:
        """Put on hold or release; False when it is gone."""
        with self.transaction() as db:
            changed = db.execute(
                "UPDATE message SET hold = ? WHERE number = ? AND hold <> ?", (int(hold), number, schema.DOOMED)
            )
            return changed.rowcount > 0

    def make_due(self, now: float, number: int | None = None, site: str = "") -> int:
        """Let one, all, or a site's deferred messages be tried now; how many."""
        chosen = -1 if number is None else number
        mark = f"%@{site}" if site else "%"
        with self.transaction() as db:
            db.execute(
                "UPDATE recipient SET due = ?1 WHERE due > ?1 AND (?2 < 0 OR number = ?2) AND address LIKE ?3",
                (now, chosen, mark),
            )
            return db.execute(
                "UPDATE message SET due = ?1 WHERE owner IS NULL AND due > ?1"
                " AND number IN (SELECT number FROM recipient WHERE due <= ?1 AND (?2 < 0 OR number = ?2))",
                (now, chosen),
            ).rowcount

    def _message(self, row: tuple[int, float, str, int, bytes, int | None, float, int]) -> Message:
        recipients = tuple(_recipient(fields) for fields in self._db.execute(schema.SELECT_RECIPIENTS, (row[0],)))
        return Message(
            number=row[0],
            arrival=row[1],
            sender=row[2],
            size=row[3],
            attributes=_decode(row[4]),
            recipients=recipients,
            hold=bool(row[7]),
            recovered=True,
        )


def storable(text: str) -> str:
    """A text that came from bytes that were no UTF-8 (headers, other servers' replies), with those replaced: neither
    SQLite nor msgpack can hold a lone surrogate."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _attributes(attributes: Attributes) -> bytes:
    try:
        return _encode(attributes)
    except UnicodeEncodeError:
        texts = {name: getattr(attributes, name) for name in attributes.__struct_fields__}
        clean = {name: storable(value) for name, value in texts.items() if isinstance(value, str)}
        return _encode(msgspec.structs.replace(attributes, **clean))


_shm_fds: dict[tuple[int, int], int] = {}


def _shared_memory(path: Path) -> int:
    """The WAL index, open for reading until the process ends: closing any descriptor of the file would drop the locks
    that SQLite holds on it in this process (fcntl(2), "close")."""
    status = os.stat(path)
    key = status.st_dev, status.st_ino
    if key not in _shm_fds:
        _shm_fds[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return _shm_fds[key]


def _recipient(row: tuple[Any, ...]) -> Recipient:
    n, address, original, notify, orcpt, attempts, due, enhanced, reason, warned, expanded, *member = row
    return Recipient(
        n, address, original, notify, orcpt, attempts, due, enhanced, reason, bool(warned), bool(expanded), *member
    )


def _row(number: int, r: Recipient) -> tuple[object, ...]:
    return (
        number,
        r.n,
        storable(r.address),
        storable(r.original),
        r.notify,
        storable(r.orcpt),
        r.attempts,
        r.due,
        r.enhanced,
        storable(r.reason),
        int(r.warned),
        int(r.expanded),
        storable(r.member),
        r.origin,
        storable(r.delivered),
    )


def insert_rows(db: sqlite3.Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Insert in one statement per ROWS_AT_ONCE rows: each sqlite3 step gives the interpreter lock away and must win
    it back from a busy event loop, so few steps matter more than short ones. `statement` ends in one `(?,…)`."""
    head, _, marks = statement.rpartition(" VALUES ")
    for at in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[at : at + ROWS_AT_ONCE]
        db.execute(f"{head} VALUES {','.join([marks] * len(some))}", tuple(chain.from_iterable(some)))


def _delete_doomed(db: sqlite3.Connection, which: str = "1", *values: int) -> list[int]:
    """Delete what shall go and nobody holds; the numbers."""
    found = db.execute(
        f"SELECT number FROM message WHERE owner IS NULL AND hold = {schema.DOOMED} AND {which}",  # noqa: S608
        values,
    ).fetchall()
    numbers = [row[0] for row in found]
    delete_all(db, numbers)
    return numbers


def delete_all(db: sqlite3.Connection, numbers: list[int]) -> None:
    """Delete messages with their recipients and contents."""
    for at in range(0, len(numbers), ROWS_AT_ONCE):
        some = numbers[at : at + ROWS_AT_ONCE]
        marks = ",".join("?" * len(some))
        for statement in schema.DELETE_ALL:
            db.execute(statement.format(marks=marks), some)
