"""The writer thread: group commit, errors that reach only whom they concern, numbers, free space, the end."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tayori.queue import engine
from tayori.queue.engine import SqliteQueue
from tayori.queue.model import Attributes, Message, QueueBroken, QueueFull, Recipient, Settlement
from tayori.queue.store import Store


def message(number: int, content: bytes = b"x\n") -> Message:
    return Message(number, 1.0, "a@b.example", len(content), Attributes(), (Recipient(1, "c@d.example"),), content)


def run(folder: Path, work: Callable[[SqliteQueue], Awaitable[None]], **options: object) -> None:
    async def main() -> None:
        queue = SqliteQueue(str(folder), 1, **options)  # type: ignore[arg-type]
        await queue.start()
        try:
            await asyncio.wait_for(work(queue), 30)
        finally:
            await queue.stop()

    asyncio.run(main())


def test_many_messages_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = Store.apply

    def apply(self: Store, accepts: list[object], settlements: list[object], owner: int | None) -> list[int]:
        sizes.append(len(accepts))
        return real(self, accepts, settlements, owner)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "apply", apply)

    async def work(queue: SqliteQueue) -> None:
        await asyncio.gather(*(queue.accept(message(queue.next_number())) for _ in range(200)))
        assert await queue.call(lambda store: store.count()) == 200

    run(tmp_path, work)
    assert sum(sizes) == 200 and len(sizes) < 20


def test_kept_means_on_disk(tmp_path: Path) -> None:
    """When the future ends, another process can see it."""

    async def work(queue: SqliteQueue) -> None:
        number = queue.next_number()
        await queue.accept(message(number))
        other = sqlite3.connect(tmp_path / "queue.sqlite")
        assert other.execute("SELECT number, owner FROM message").fetchall() == [(number, 1)]
        other.close()
        await queue.settle(Settlement(number, finished=True))
        assert await queue.call(lambda store: store.count()) == 0

    run(tmp_path, work)


def test_one_that_cannot_be_written_harms_no_other(tmp_path: Path) -> None:
    async def work(queue: SqliteQueue) -> None:
        taken = queue.next_number()
        await queue.accept(message(taken))
        numbers = [queue.next_number() for _ in range(5)]
        waiting = [queue.accept(message(n)) for n in (*numbers[:2], taken, *numbers[2:])]
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [type(None)] * 2 + [QueueBroken] + [type(None)] * 3
        assert await queue.call(lambda store: store.count()) == 6

    run(tmp_path, work)


def test_a_settlement_that_fails_is_tried_until_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 3
    real = Store.apply

    def apply(self: Store, accepts: list[object], settlements: list[object], owner: int | None) -> list[int]:
        nonlocal failures
        if settlements and failures:
            failures -= 1
            raise QueueFull("no room")
        return real(self, accepts, settlements, owner)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "apply", apply)
    monkeypatch.setattr(engine, "RETRY_WAIT", 0.01)

    async def work(queue: SqliteQueue) -> None:
        one, two = queue.next_number(), queue.next_number()
        await queue.accept(message(one))
        end, new = queue.settle(Settlement(one, finished=True)), queue.accept(message(two))
        await asyncio.gather(end, new)
        assert await queue.call(lambda store: store.get(one)) is None

    run(tmp_path, work)
    assert failures == 0


def test_a_poisoned_settlement_does_not_stop_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RETRY_WAIT", 0.01)

    async def work(queue: SqliteQueue) -> None:
        kept = [queue.next_number() for _ in range(3)]
        for number in kept:
            await queue.accept(message(number))
        # a birth with a number that is taken can never be written
        poison = queue.settle(Settlement(kept[0], finished=True, messages=(message(kept[2]),)))
        await queue.settle(Settlement(kept[1], finished=True))
        await queue.accept(message(queue.next_number()))
        assert not poison.done()
        assert await queue.call(lambda store: store.get(kept[1])) is None
        # it holds as soon as it can
        await queue.settle(Settlement(kept[2], finished=True))
        await asyncio.wait_for(poison, 5)

    run(tmp_path, work)


def test_errors_of_calls_reach_the_caller_and_nobody_else(tmp_path: Path) -> None:
    def broken(store: Store) -> None:
        store._db.execute("SELECT nonsense")

    async def work(queue: SqliteQueue) -> None:
        with pytest.raises(QueueBroken):
            await queue.call(broken)
        with pytest.raises(ZeroDivisionError):
            await queue.call(lambda store: 1 // 0)
        await queue.accept(message(queue.next_number()))

    run(tmp_path, work)


def test_a_writer_that_ends_tells_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []

    def apply(*_: object) -> list[int]:
        raise MemoryError

    async def work(queue: SqliteQueue) -> None:
        monkeypatch.setattr(Store, "apply", apply)
        monkeypatch.setattr("threading.excepthook", lambda *_: None)
        waiting = [queue.accept(message(queue.next_number())) for _ in range(3)]
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [QueueBroken] * 3
        with pytest.raises(QueueBroken):
            await queue.accept(message(1))
        for _ in range(200):  # told in a later turn of the loop
            if told:
                break
            await asyncio.sleep(0.01)
        assert told == [True]

    run(tmp_path, work, on_ended=lambda: told.append(True))


def test_no_queue_no_start(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").write_bytes(b"this is no database" * 1000)

    async def main() -> None:
        with pytest.raises(QueueBroken):
            await asyncio.wait_for(SqliteQueue(str(tmp_path), 1).start(), 10)

    asyncio.run(main())


def test_numbers_across_restarts(tmp_path: Path) -> None:
    seen: list[int] = []

    async def work(queue: SqliteQueue) -> None:
        seen.extend(queue.next_number() for _ in range(100))

    for _ in range(3):
        run(tmp_path, work)
    assert len(set(seen)) == 300 and seen == sorted(seen)


def test_numbers_are_reserved_before_they_run_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store.reserve_numbers, "__defaults__", (50,))
    monkeypatch.setattr(engine, "LOW_NUMBERS", 20)

    async def work(queue: SqliteQueue) -> None:
        seen = set()
        for _ in range(500):
            seen.add(queue.next_number())
            await asyncio.sleep(0)
            if len(queue._numbers) == 1 and len(queue._numbers[0]) < 5:
                await asyncio.sleep(0.05)
        assert len(seen) == 500

    run(tmp_path, work)


def test_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """queue_minfree, and 1.5 × the message (postconf(5) queue_minfree)."""

    class Usage:
        free = 3000

    monkeypatch.setattr(engine.shutil, "disk_usage", lambda _: Usage)

    async def work(queue: SqliteQueue) -> None:
        assert queue.room(0) and queue.room(2000) and not queue.room(2001)
        queue.minfree = 3001
        assert not queue.room(0)

    run(tmp_path, work)


def test_two_workers_take_turns(tmp_path: Path) -> None:
    async def main() -> None:
        one, two = SqliteQueue(str(tmp_path), 1), SqliteQueue(str(tmp_path), 2)
        await one.start()
        await two.start()
        accepts = [q.accept(message(q.next_number()), owned=False) for _ in range(100) for q in (one, two)]
        await asyncio.gather(*accepts)
        first, second = await asyncio.gather(one.claim(10.0, 120), two.claim(10.0, 120))
        assert len(first) + len(second) == 200
        assert not {m.number for m in first} & {m.number for m in second}
        await one.stop()
        await two.stop()

    asyncio.run(main())


def test_what_is_accepted_last_is_freed_too(tmp_path: Path) -> None:
    """A worker that ends must own nothing: nobody would look for its messages."""
    numbers: list[int] = []

    async def main() -> None:
        queue = SqliteQueue(str(tmp_path), 5)
        await queue.start()
        numbers.append(queue.next_number())
        queue.accept(message(numbers[0]))
        await queue.stop()
        assert queue.released

    asyncio.run(main())
    store = Store(tmp_path)
    assert [one.number for one in store.claim(time.time(), 9, 6)] == numbers
    store.close()
