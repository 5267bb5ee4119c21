"""Limits over all workers: never passed, nobody starved, and gone with a worker that dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tayori.config.settings import Settings
from tayori.programs.daemons.dispatch import slots
from tayori.programs.daemons.dispatch.board import SLOTS, DeliveryBoard, Share
from tayori.programs.daemons.dispatch.slots import Slots
from tayori.schedule.destinations import Busy, Dead, Destinations, Go
from tayori.schedule.feedback import Limits


@pytest.fixture
def board() -> DeliveryBoard:
    found = DeliveryBoard(4)
    for region in range(3):
        found.clear(region)
    return found


def worker(board: DeliveryBoard, region: int, limits: Limits, clock: Callable[[], float] | None = None) -> Slots:
    destinations = Destinations(lambda _: limits, rest=300, longest_rest=4000)
    share = Share(board, region)
    return (
        Slots(destinations, lambda _: limits, share, clock) if clock else Slots(destinations, lambda _: limits, share)
    )


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))  # type: ignore[arg-type]


def test_a_share_counts_the_others(board: DeliveryBoard) -> None:
    one, two = Share(board, 0), Share(board, 1)
    slot = Share.slot("smtp", "a.example")
    assert slot == Share.slot("smtp", "a.example") != Share.slot("smtp", "b.example") and 0 <= slot < SLOTS
    assert all(one.take(slot, 3) for _ in range(2)) and two.take(slot, 3)
    assert not one.take(slot, 3) and not two.take(slot, 3)
    assert (one.others(slot), two.others(slot)) == (1, 2)
    assert two.take(slot, 0), "no limit"
    one.give(slot)
    two.give(slot)
    assert two.take(slot, 3)
    board.clear(1)
    assert one.others(slot) == 0 and one.take(slot, 3)
    for _ in range(9):
        one.give(slot)
    assert two.others(slot) == 0


def test_who_has_much_gives_way_to_who_waits(board: DeliveryBoard) -> None:
    one, two, slot = Share(board, 0), Share(board, 1), 7
    assert all(one.take(slot, 10) for _ in range(10))
    two.wait(slot, 3)
    one.give(slot)
    assert not one.take(slot, 10), "more than half, and somebody waits"
    assert two.take(slot, 10)
    two.wait(slot, 0)
    one.give(slot)
    assert one.take(slot, 10)


def test_a_clock_that_was_set_back_keeps_nothing_shut(board: DeliveryBoard) -> None:
    now = [5000.0]
    limits = Limits(concurrency=1, initial=1, delay=20)

    async def work() -> None:
        mine = worker(board, 0, limits, lambda: now[0])
        for _ in range(2):
            go = await mine.take("smtp", "a.example")
            assert isinstance(go, Go)
            mine.give("smtp", "a.example", go, True)
            now[0] = 1000.0

    run(work)


@pytest.mark.parametrize("limit", [1, 3, 20])
def test_many_workers_never_pass_the_limit_and_all_get_through(board: DeliveryBoard, limit: int) -> None:
    limits = Limits(concurrency=limit, initial=limit)
    now = most = 0
    done = [0, 0, 0]

    async def one(region: int, mine: Slots) -> None:
        nonlocal now, most
        go = await mine.take("smtp", "a.example")
        assert isinstance(go, Go)
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        mine.give("smtp", "a.example", go, True)
        done[region] += 1

    async def work() -> None:
        workers = [worker(board, region, limits) for region in range(3)]
        first = [one(0, workers[0]) for _ in range(150)]
        await asyncio.gather(*first, *(one(r, workers[r]) for r in (1, 2) for _ in range(30)))

    run(work)
    assert most <= limit and done == [150, 30, 30]
    assert not any(board.busy) and not any(board.waiting)


def test_a_dead_worker_holds_nothing(board: DeliveryBoard) -> None:
    limits = Limits(concurrency=2, initial=2)

    async def work() -> None:
        dead, alive = worker(board, 0, limits), worker(board, 1, limits)
        for _ in range(2):
            await dead.take("smtp", "a.example")
        waiting = asyncio.create_task(alive.take("smtp", "a.example"))
        await asyncio.sleep(0.15)
        assert not waiting.done()
        board.clear(0)
        assert await waiting == Go()

    run(work)


def test_a_dead_site_is_told_to_all_who_wait_and_a_probe_is_one(board: DeliveryBoard) -> None:
    limits = Limits(concurrency=1, initial=1)

    async def work() -> None:
        mine = worker(board, 0, limits)
        go = await mine.take("smtp", "a.example")
        assert isinstance(go, Go)
        waiting = [asyncio.create_task(mine.take("smtp", "a.example")) for _ in range(5)]
        await asyncio.sleep(0)
        mine.give("smtp", "a.example", go, False, "refused")
        assert all(isinstance(found, Dead) for found in await asyncio.gather(*waiting))
        assert await mine.take("smtp", "b.example") == Go()

    run(work)
    assert sum(board.busy) == 1 and not any(board.waiting)


@pytest.mark.parametrize(
    ("limits", "names"),
    [(Limits(concurrency=1, initial=1, delay=1), "a"), (Limits(concurrency=20, initial=5, gate=1), "abcd")],
    ids=["destination", "transport"],
)
def test_a_pause_from_the_end_of_one_to_the_next_in_all_workers(
    board: DeliveryBoard, limits: Limits, names: str
) -> None:
    ends: list[float] = []
    begins: list[float] = []

    async def one(mine: Slots, name: str) -> None:
        loop = asyncio.get_running_loop()
        go = await mine.take("smtp", name)
        assert isinstance(go, Go)
        begins.append(loop.time())
        await asyncio.sleep(0.05)
        ends.append(loop.time())
        mine.give("smtp", name, go, True)

    async def work() -> None:
        workers = [worker(board, region, limits) for region in range(2)]
        await asyncio.gather(*(one(workers[n % 2], names[n % len(names)]) for n in range(4)))

    run(work)
    assert all(begin - end >= 0.99 for end, begin in zip(ends, begins[1:], strict=False))
    assert ends[-1] - begins[0] < 5


def test_long_pauses_are_spent_in_the_queue_one_after_the_other(board: DeliveryBoard) -> None:
    now = 1000.0
    limits = Limits(concurrency=1, initial=1, delay=60)

    async def work() -> None:
        mine = worker(board, 0, limits, lambda: now)
        go = await mine.take("smtp", "a.example")
        assert isinstance(go, Go)
        mine.give("smtp", "a.example", go, True)
        waiting = asyncio.create_task(mine.take("smtp", "a.example"))
        await asyncio.sleep(0)
        found = [await mine.take("smtp", "a.example") for _ in range(3)]
        assert found == [Busy(1015.0 if n == 0 else 1015.0 + 60 * n) for n in range(3)]
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not any(board.waiting)

    run(work)


def test_more_than_may_wait_in_memory_go_back(board: DeliveryBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "MAX_WAITING", 3)
    limits = Limits(concurrency=1, initial=1)

    async def work() -> None:
        mine = worker(board, 0, limits, lambda: 1000.0)
        assert await mine.take("smtp", "a.example") == Go()
        tasks = [asyncio.create_task(mine.take("smtp", "a.example")) for _ in range(3)]
        await asyncio.sleep(0)
        assert await mine.take("smtp", "a.example") == Busy(1015.0)
        for task in tasks:
            task.cancel()

    run(work)


def test_without_limits_nothing_is_counted(board: DeliveryBoard) -> None:
    async def work() -> None:
        mine = worker(board, 0, Limits(concurrency=0, initial=5))
        for _ in range(5):
            assert await mine.take("smtp", "a.example") == Go()

    run(work)
    assert not any(board.busy)


def test_limits_of_a_transport() -> None:
    settings = Settings.of({"default_destination_rate_delay": "3s", "slow_transport_rate_delay": "1m"})
    assert (Limits.of(settings, "smtp").delay, Limits.of(settings, "smtp").concurrency) == (3, 1)
    assert (Limits.of(settings, "slow").gate, Limits.of(settings, "smtp").gate) == (60, 0)
