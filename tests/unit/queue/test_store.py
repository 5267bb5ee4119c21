"""The queue file: accept, claim, settle, release; numbers; content files; errors that leave nothing behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tayori.queue import schema
from tayori.queue.content import THRESHOLD as FILE_THRESHOLD
from tayori.queue.lock import TurnLock
from tayori.queue.model import Attributes, Message, QueueBroken, QueueFull, Recipient, Settlement
from tayori.queue.store import Store, translate


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path)
    yield found
    found.close()


def message(number: int, content: bytes = b"Subject: x\n\nx\n", **changes: object) -> Message:
    values: dict[str, object] = {
        "number": number, "arrival": 1000.0, "sender": "a@b.example", "size": len(content),
        "attributes": Attributes(helo="x"), "recipients": (Recipient(1, "c@d.example"), Recipient(2, "e@f.example")),
        "content": content,
    }  # fmt: skip
    return Message(**{**values, **changes})  # type: ignore[arg-type]


def keep(store: Store, *messages: Message, owner: int | None = None) -> None:
    store.apply([(m, owner) for m in messages], [], owner)


def test_what_is_kept_comes_back(store: Store) -> None:
    sent = message(7, attributes=Attributes(client_name="host", smtputf8=True, uid=5))
    keep(store, sent)
    [found] = store.claim(2000.0, 10, owner=3)
    assert found.recovered and found.content is None
    assert (found.sender, found.size, found.attributes, found.recipients) == (
        sent.sender, sent.size, sent.attributes, sent.recipients,
    )  # fmt: skip
    assert store.body(7) == sent.content


def test_a_claim_is_exclusive_until_released(store: Store) -> None:
    keep(store, message(1), message(2))
    assert [m.number for m in store.claim(2000.0, 1, owner=3)] == [1]
    assert [m.number for m in store.claim(2000.0, 9, owner=4)] == [2]
    assert store.claim(2000.0, 9, owner=5) == []
    assert store.release_owner(3) == 1
    assert [m.number for m in store.claim(2000.0, 9, owner=5)] == [1]


def test_release_spares_the_living_and_those_started_later(store: Store) -> None:
    """A worker that starts frees the dead, not one that was forked after it and is already at work."""
    for number, owner in ((1, 2), (2, 3), (3, 4), (4, 5)):
        keep(store, message(number), owner=owner)
    assert store.release(living=(3,), below=4) == 1
    assert [m.number for m in store.claim(2000.0, 9, owner=9)] == [1]


def test_claim_stops_at_the_room_but_takes_one(store: Store) -> None:
    keep(store, *(message(n, b"x" * 100) for n in range(1, 6)))
    assert [m.number for m in store.claim(2000.0, 9, 1, room=250)] == [1, 2]
    assert [m.number for m in store.claim(2000.0, 9, 1, room=10)] == [3]


def test_due_and_hold(store: Store) -> None:
    later = (Recipient(1, "c@d.example", due=5000.0),)
    keep(store, message(1, recipients=later), message(2, hold=True))
    assert store.claim(2000.0, 9, 1) == []
    assert store.next_due() == 5000.0
    assert store.set_hold(2, False) and not store.set_hold(99, False)
    assert [m.number for m in store.claim(2000.0, 9, 1)] == [2]
    assert store.make_due(3000.0) == 1
    assert [m.number for m in store.claim(3000.0, 9, 1)] == [1]


def test_settlement_of_a_part(store: Store) -> None:
    keep(store, message(1), owner=3)
    deferred = Recipient(2, "e@f.example", attempts=1, due=9000.0, reason="no route", enhanced="4.4.1")
    assert store.apply([], [Settlement(1, done=(1,), later=(deferred,))], 3) == []
    left = store.get(1)
    assert left is not None and left.recipients == (deferred,)
    assert store.next_due() == 9000.0
    assert store.apply([], [Settlement(1, done=(2,))], 3) == [1]
    assert store.count() == 0
    with pytest.raises(KeyError):
        store.body(1)


def test_members_of_an_alias_get_numbers_of_their_own(store: Store) -> None:
    keep(store, message(1), owner=3)
    extra = Recipient(3, "member@d.example", original="c@d.example", due=4000.0, expanded=True)
    store.apply([], [Settlement(1, done=(1, 2), extra=(extra,))], 3)
    left = store.get(1)
    assert left is not None and left.recipients == (extra,)


def test_a_file_of_an_earlier_version_gets_the_new_columns(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    Store(folder).close()
    with closing(sqlite3.connect(folder / "queue.sqlite")) as old:
        for table, column, _ in schema.ADDED:
            old.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        old.execute("INSERT INTO message VALUES (1, 0.0, 's@x', 1, x'80', NULL, 0.0, 0)")
        old.execute("INSERT INTO recipient VALUES (1, 1, 'a@x', '', '', '', 0, 0.0, '', '', 0, 0)")
        old.commit()
    for _ in range(2):
        store = Store(folder)
        left = store.get(1)
        assert left is not None and left.recipients == (Recipient(1, "a@x"),)
        store.close()
    store = Store(folder)
    member = Recipient(2, "a@x", expanded=True, member="\\", origin=1, delivered="b@x")
    store.apply([], [Settlement(1, done=(1,), extra=(member,))], 3)
    left = store.get(1)
    assert left is not None and left.recipients == (member,)
    store.close()


def test_not_released_means_still_owned(store: Store) -> None:
    keep(store, message(1), owner=3)
    store.apply([], [Settlement(1, done=(1,), release=False)], 3)
    assert store.claim(2000.0, 9, 4) == []


def test_births_and_ends_are_one_transaction(store: Store) -> None:
    keep(store, message(1), owner=3)
    bounce = message(2, sender="")
    assert store.apply([], [Settlement(1, finished=True, messages=(bounce,))], 3) == [1]
    assert [m.number for m in store.claim(2000.0, 9, 3)] == [2]
    with pytest.raises(QueueBroken):
        store.apply([], [Settlement(2, finished=True, messages=(message(2),))], 3)
    assert store.get(2) is not None


def test_a_failed_commit_leaves_nothing(store: Store) -> None:
    keep(store, message(1))
    with pytest.raises(QueueBroken):
        keep(store, message(2, b"y" * (FILE_THRESHOLD + 1)), message(1))
    assert store.count() == 1
    assert list(store.content_folder.iterdir()) == []


def test_large_content_lies_in_a_file(store: Store) -> None:
    content = b"z" * (FILE_THRESHOLD + 1)
    keep(store, message(0xABC, content))
    assert store.content_path(0xABC).read_bytes() == content and store.body(0xABC) == len(content)
    assert store.delete(0xABC)
    assert not store.content_path(0xABC).exists()


def test_recover_frees_all_and_drops_orphans(tmp_path: Path) -> None:
    first = Store(tmp_path)
    keep(first, message(1, b"z" * (FILE_THRESHOLD + 1)), message(2), owner=3)
    (first.content_folder / "DEAD").write_bytes(b"half")
    (first.content_folder / "README").write_bytes(b"not ours")
    first.close()
    second = Store(tmp_path)
    assert second.recover() == (2, 1)
    assert {p.name for p in second.content_folder.iterdir()} == {"1", "README"}
    assert len(second.claim(2000.0, 9, 1)) == 2
    second.close()


def test_numbers_are_never_given_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when the clock was set back between two runs."""
    first = Store(tmp_path)
    one = first.reserve_numbers(1000)
    first.close()
    monkeypatch.setattr("tayori.queue.store.time.time", lambda: 1.0)
    second = Store(tmp_path)
    two, three = second.reserve_numbers(1000), second.reserve_numbers(10)
    second.close()
    assert two.start >= one.stop and three.start >= two.stop


def test_text_that_was_no_utf8_can_be_kept(store: Store) -> None:
    """A message-id of raw bytes once stopped the writer thread for good."""
    raw = b"<\xff@x>".decode("utf-8", "surrogateescape")
    keep(
        store,
        message(1, sender=raw, attributes=Attributes(message_id=raw), recipients=(Recipient(1, raw, reason=raw),)),
    )
    found = store.get(1)
    assert found is not None and found.sender == found.attributes.message_id == found.recipients[0].reason == "<�@x>"


def test_delete_waits_for_the_worker_that_holds_it(store: Store) -> None:
    """Deleted is deleted, whoever has it: gone from listings at once, from the queue when that worker lets go or dies,
    and nothing brings it back."""
    later = Recipient(1, "c@d.example", attempts=1, due=9000.0)
    keep(store, message(1), message(2), message(3, b"x" * (FILE_THRESHOLD + 1)), message(4), owner=3)
    keep(store, message(5))
    assert store.delete(5) and not store.delete(5) and not store.delete(6)
    for number in (1, 2, 3):
        assert store.delete(number)
        assert not store.set_hold(number, False)
    assert [m.number for m, _ in store.page(0, 9)] == [4]
    assert store.count() == 4
    store.apply([], [Settlement(1, later=(later,), release=False)], 3)
    assert store.has_row(1)
    assert store.apply([], [Settlement(1, later=(later,))], 3) == [1]
    assert not store.has_row(1)
    assert store.release_owner(3) == 3
    assert store.count() == 1 and list(store.content_folder.iterdir()) == []
    assert [m.number for m in store.claim(2000.0, 9, 4)] == [4]


def test_pages(store: Store) -> None:
    keep(store, *(message(n) for n in range(1, 6)))
    assert [m.number for m, _ in store.page(2, 2)] == [3, 4]
    store.claim(2000.0, 1, 7)
    assert [held for _, held in store.page(0, 2)] == [True, False]


def test_make_due_for_a_site(store: Store) -> None:
    for number, address in ((1, "u@one.example"), (2, "u@two.example")):
        keep(store, message(number, recipients=(Recipient(1, address, due=5000.0),)))
    assert store.make_due(2000.0, site="two.example") == 1
    assert [m.number for m in store.claim(2000.0, 9, 1)] == [2]


class Watch(TurnLock):
    """Knows whether it is held."""

    held = False

    def __enter__(self) -> None:
        super().__enter__()
        self.held = True

    def __exit__(self, *about: object) -> None:
        self.held = False
        super().__exit__(*about)  # type: ignore[arg-type]


def test_the_lock_covers_every_write_checkpoint_and_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite before 3.51.3 can corrupt a WAL that several connections reset at once (queue/lock.py)."""
    monkeypatch.setattr("tayori.queue.store.CHECKPOINT_PAGES", 3)
    monkeypatch.setattr("tayori.queue.store.TurnLock", Watch)
    store = Store(tmp_path)
    seen: list[tuple[str, bool]] = []
    store._db.set_trace_callback(lambda statement: seen.append((statement.split()[0], store.lock.held)))  # type: ignore[attr-defined]
    for number in range(1, 30):
        keep(store, message(number))
    store.claim(2000.0, 3, 1)
    store.release((), 9)
    store.delete(20)
    db = store._db

    class Closing:
        def close(self) -> None:
            seen.append(("CLOSE", store.lock.held))  # type: ignore[attr-defined]
            db.close()

    store._db = Closing()  # type: ignore[assignment]
    store.close()
    words = {word for word, _ in seen}
    assert {"BEGIN", "COMMIT", "PRAGMA", "CLOSE", "INSERT", "UPDATE", "DELETE"} <= words
    assert [word for word, held in seen if not held and word != "SELECT"] == []


def test_the_wal_is_not_folded_at_every_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file keeps its length once it has been long; only what is in it now counts."""
    monkeypatch.setattr("tayori.queue.store.CHECKPOINT_PAGES", 100)
    store = Store(tmp_path)
    folds: list[str] = []
    store._db.set_trace_callback(lambda statement: folds.append(statement) if "checkpoint" in statement else None)
    for number in range(1, 201):
        keep(store, message(number))
        store.apply([], [Settlement(number, finished=True)], None)
    assert 3 < len(folds) < 60
    assert (tmp_path / "queue.sqlite-wal").stat().st_size < 2 << 20
    store.close()


def test_a_reader_is_not_blocked_by_a_writer(store: Store) -> None:
    keep(store, message(1))
    other = sqlite3.connect(f"file:{store.folder / 'queue.sqlite'}?mode=ro", uri=True, timeout=0)
    with store.transaction() as db:
        db.execute("DELETE FROM message")
        assert other.execute("SELECT COUNT(*) FROM message").fetchone() == (1,)
    assert other.execute("SELECT COUNT(*) FROM message").fetchone() == (0,)
    other.close()


def test_errors_by_kind() -> None:
    assert isinstance(translate(OSError(28, "No space left on device")), QueueFull)
    assert isinstance(translate(OSError(5, "Input/output error")), QueueBroken)
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert isinstance(translate(full), QueueFull)
    assert isinstance(translate(sqlite3.DatabaseError("malformed")), QueueBroken)
