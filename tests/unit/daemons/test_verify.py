"""verify(8): what is remembered, for how long, and what a session waits for; the clock and the probe are fakes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.policy.services import Verified
from tayori.programs.daemons.verify import Verifier

OK = Delivered("250 2.1.5 Ok", "2.1.5")
GONE = BouncedDelivery("host x said: 550 no", "5.1.1")
LATER = DeferredDelivery("connect to x: Connection refused", "4.4.1")
DAY = 86400.0


class Fake:
    """A probe with answers by address, and a clock."""

    def __init__(self, **answers: DeliveryOutcome) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.now = 1_000_000.0
        self.gate: asyncio.Event | None = None

    async def ask(self, address: str) -> DeliveryOutcome:
        self.asked.append(address)
        if self.gate is not None:
            await self.gate.wait()
        return self.answers[address.partition("@")[0]]

    def verifier(self, folder: Path | None = None, **main: str) -> Verifier:
        return Verifier(Settings.of(main), self, folder, lambda: self.now)


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(body(), 10)

    asyncio.run(bounded())


async def settled(verifier: Verifier) -> None:
    for _ in range(200):
        if not verifier._pending:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("a probe never ended")


def test_three_outcomes_are_told_and_remembered() -> None:
    async def body() -> None:
        fake = Fake(good=OK, gone=GONE, later=LATER)
        verifier = fake.verifier()
        for _ in range(2):
            assert await verifier.query("good@b.example", 5) == Verified("ok", OK.text, "2.1.5")
            assert await verifier.query("gone@b.example", 5) == Verified("undeliverable", GONE.text, "5.1.1")
            assert await verifier.query("later@B.EXAMPLE", 5) == Verified("deferred", LATER.text, "4.4.1")
        assert fake.asked == ["good@b.example", "gone@b.example", "later@B.EXAMPLE"]
        await verifier.close()

    run(body)


def test_states_outlive_a_restart_in_the_file(tmp_path: Path) -> None:
    async def body() -> None:
        fake = Fake(good=OK)
        for main in ({}, {}, {"address_verify_map": ""}):
            verifier = fake.verifier(tmp_path, **main)
            assert (await verifier.query("good@b.example", 5)).state == "ok"
            await verifier.close()
        assert len(fake.asked) == 2, "once for the file, once for the memory that has no file"

    run(body)


def test_a_broken_file_is_begun_anew(tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "verify.sqlite").write_bytes(b"this is no data base" * 400)
        fake = Fake(good=OK)
        verifier = fake.verifier(tmp_path)
        for _ in range(2):
            assert (await verifier.query("good@b.example", 5)).state == "ok"
        assert len(fake.asked) == 1
        await verifier.close()

    run(body)


@pytest.mark.parametrize(("name", "refresh", "expire"), [("good", 7 * DAY, 31 * DAY), ("gone", 3 * 3600, 3 * DAY)])
def test_refresh_answers_the_old_state_and_probes_then_it_expires(name: str, refresh: float, expire: float) -> None:
    async def body() -> None:
        fake = Fake(good=OK, gone=GONE)
        verifier = fake.verifier()
        begun = fake.now
        address = f"{name}@b.example"
        first = await verifier.query(address, 5)
        fake.now = begun + refresh - 1
        await verifier.query(address, 5)
        assert len(fake.asked) == 1
        fake.now = begun + refresh
        fake.gate = asyncio.Event()
        assert await verifier.query(address, 5) == first
        await asyncio.sleep(0.01)
        assert len(fake.asked) == 2
        fake.gate.set()
        await settled(verifier)
        fake.gate = asyncio.Event()
        fake.now += expire
        assert (await verifier.query(address, 0.01)).state == "unknown"
        await verifier.close()

    run(body)


def test_a_failed_probe_does_not_replace_a_good_state_before_it_expires() -> None:
    async def body() -> None:
        fake = Fake(a=OK)
        verifier = fake.verifier()
        begun = fake.now
        await verifier.query("a@b.example", 5)
        fake.answers["a"] = GONE
        fake.now = begun + 8 * DAY
        assert (await verifier.query("a@b.example", 5)).state == "ok"
        await settled(verifier)
        assert (await verifier.query("a@b.example", 5)).state == "ok"
        await settled(verifier)
        assert len(fake.asked) == 2, "not a probe for each session that asks"
        fake.now = begun + 31 * DAY
        assert (await verifier.query("a@b.example", 5)).state == "undeliverable"
        await verifier.close()

    run(body)


def test_polls_bound_the_wait_and_the_probe_goes_on() -> None:
    async def body() -> None:
        fake = Fake(good=OK)
        fake.gate = asyncio.Event()
        verifier = fake.verifier()
        once = verifier.waiting(Settings.of({"address_verify_poll_count": "1", "address_verify_poll_delay": "9s"}))
        assert (await once("good@b.example")).state == "unknown"
        assert (await verifier.query("good@b.example", 0.01)).state == "unknown"
        assert len(fake.asked) == 1, "one probe for all who ask"
        waiting = asyncio.ensure_future(
            verifier.waiting(Settings.of({"address_verify_poll_count": "2", "address_verify_poll_delay": "5s"}))(
                "good@b.example"
            )
        )
        await asyncio.sleep(0.02)
        fake.gate.set()
        assert (await waiting).state == "ok", "the answer is not waited for longer than it takes"
        await verifier.close()

    run(body)


def test_limit_of_probes_and_no_memory_of_failures() -> None:
    async def body() -> None:
        fake = Fake(gone=GONE, good=OK)
        fake.gate = asyncio.Event()
        verifier = fake.verifier(address_verify_pending_request_limit="1", address_verify_negative_cache="no")
        assert (await verifier.query("gone@b.example", 0)).state == "unknown"
        assert (await verifier.query("good@b.example", 5)).state == "unknown"
        await asyncio.sleep(0)
        assert fake.asked == ["gone@b.example"]
        fake.gate.set()
        await settled(verifier)
        fake.gate = None
        assert (await verifier.query("gone@b.example", 5)).state == "undeliverable"
        assert fake.asked == ["gone@b.example"] * 2
        await verifier.close()

    run(body)


def test_cleanup_forgets_what_has_expired(tmp_path: Path) -> None:
    async def body() -> None:
        fake = Fake(good=OK, gone=GONE, new=OK)
        verifier = fake.verifier(tmp_path)
        await verifier.query("good@b.example", 5)
        await verifier.query("gone@b.example", 5)
        fake.now += 4 * DAY
        await verifier.query("new@b.example", 5)
        store = verifier._store
        assert store is not None
        assert store.get("gone@b.example") is None
        assert store.get("good@b.example") is not None
        await verifier.close()

    run(body)
