"""The history of one worker: takes notes on the event loop, writes them in a thread of its own.

Contract: nothing here ever waits on the event loop, raises into it, or holds more than WAITING entries: beyond that
entries are dropped and counted, and the log says how many. The history is not the queue: losing it loses no mail.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections import deque
from pathlib import Path
from typing import Protocol

from tayori.config.settings import Settings
from tayori.programs.history.config_text import NO_TEXT, ConfigText
from tayori.programs.history.convert import local_record, record
from tayori.programs.history.record import TEXT, Outcome, Record
from tayori.programs.history.store import FILE_NAME, Store
from tayori.programs.history.trail import NO_TRAIL, Left, NoTrail, Trail
from tayori.queue.model import Message

WAITING = 20_000
"""Entries that may wait in memory for the disk; some 20 MB at worst."""
PAUSE = 1.0
PRUNE_SECONDS = 60.0
_CODES = 32**5
_log = logging.getLogger("tayori.history")

Entry = Left | Record | Outcome


class Ends(Protocol):
    """What `outcome` needs of delivery's outcomes."""

    @property
    def text(self) -> str:
        """As in the log."""
        ...

    @property
    def enhanced(self) -> str:
        """The enhanced status code."""
        ...

    @property
    def relay(self) -> str:
        """The host or agent."""
        ...


class NoHistory:
    """Keeps nothing."""

    def start(self) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""

    def trail(self) -> Trail | NoTrail:
        """NO_TRAIL."""
        return NO_TRAIL

    def handed_in(self, message: Message) -> None:
        """Nothing."""

    def outcome(self, number: int, status: str, address: str, original: str, ends: Ends) -> None:
        """Nothing."""

    def born(self, number: int, child: Message) -> None:
        """Nothing."""


class History(NoHistory):
    """Writes `history.sqlite` in `folder` for up to `days` days and `size` bytes. `prunes`: this worker cleans up."""

    def __init__(
        self, folder: Path, days: int, size: int, codes: bool, prunes: bool, *,
        heads: int = 0, config: ConfigText = NO_TEXT,
    ) -> None:  # fmt: skip
        self._path = folder / FILE_NAME
        self._days = days
        self._size = size
        self._shown = codes
        self._prunes = prunes
        self._heads = heads
        self._config = config
        self._waiting: deque[Entry] = deque()
        self._dropped = 0
        self._code = random.randrange(_CODES)  # noqa: S311  a name for people, not a secret
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    @classmethod
    def of(cls, settings: Settings, folder: Path, prunes: bool) -> NoHistory:
        """By tayori_history_days, _size and _headers, and tayori_refusal_codes. Raises ConfigError."""
        days = settings.number("tayori_history_days")
        if not days:
            return NoHistory()
        codes = settings.flag("tayori_refusal_codes")
        size, heads = settings.number("tayori_history_size"), settings.number("tayori_history_headers")
        return cls(folder, days, size, codes, prunes, heads=heads, config=ConfigText.read(settings.directory))

    def start(self) -> None:
        """Begin to write. After the fork, for threads do not survive one."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        self._end.set()
        self._thread.join(5.0)

    def trail(self) -> Trail | NoTrail:
        """A new session's."""
        return Trail(self._keep, self._next_code, self._shown, self._heads)

    def handed_in(self, message: Message) -> None:
        """A message that came without a session (sendmail)."""
        self._keep(local_record(message))

    def outcome(self, number: int, status: str, address: str, original: str, ends: Ends) -> None:
        """What became of one recipient."""
        self._keep(
            Outcome(number, time.time(), status, address, original, ends.relay, ends.enhanced, ends.text[:TEXT])
        )

    def born(self, number: int, child: Message) -> None:
        """A report or a forwarded copy came of message `number`."""
        status = "forward" if child.sender and child.attributes.kind == "mail" else "notice"
        self._keep(Outcome(number, time.time(), status, text=child.id))

    def _keep(self, entry: Entry) -> None:
        if len(self._waiting) < WAITING:
            self._waiting.append(entry)
        else:
            self._dropped += 1

    def _again(self, entries: list[Entry]) -> None:
        """What could not be written waits for the next time, as far as there is room."""
        room = WAITING - len(self._waiting)
        self._waiting.extendleft(reversed(entries[:room]))
        self._dropped += max(0, len(entries) - room)

    def _next_code(self) -> int:
        # steps by a large odd number, so that two workers' codes and neighbouring ones do not look alike
        self._code = (self._code + 7_654_321) % _CODES
        return self._code

    def _run(self) -> None:
        store: Store | None = None
        told = ""
        pruned = 0.0
        while True:
            ending = self._end.wait(PAUSE)
            entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
            dropped, self._dropped = self._dropped, 0
            if dropped:
                _log.warning("%d entries of the history were dropped: the disk is too slow for them", dropped)
            try:
                if store is None:
                    store = Store(self._path)
                store.write(*_sorted(entries, self._config))
                if self._prunes and time.monotonic() - pruned > PRUNE_SECONDS:
                    pruned = time.monotonic()
                    store.prune(time.time() - self._days * 86400, self._size)
                told = ""
            except (sqlite3.Error, OSError, ValueError) as error:
                if not isinstance(error, ValueError):
                    self._again(entries)
                if str(error) != told:
                    told = str(error)
                    _log.warning("the history cannot be written: %s", error)
                if store is not None:
                    store.close()
                    store = None
            if ending:
                break
        if store is not None:
            store.close()


def _sorted(entries: list[Entry], config: ConfigText) -> tuple[list[Record], list[Outcome]]:
    records: list[Record] = []
    outcomes: list[Outcome] = []
    for entry in entries:
        if isinstance(entry, Outcome):
            outcomes.append(entry)
        elif isinstance(entry, Left):
            records.append(record(entry, config))
        else:
            records.append(entry)
    return records, outcomes
