"""verify(8): what is known of addresses, and the probes that find it out (ADDRESS_VERIFICATION_README).

`Verifier.waiting` makes the question that a Policy asks. A known address is answered from the store at once; for any
other a probe begins in the background and the question waits for it, at most `address_verify_poll_count` - 1 times
`address_verify_poll_delay`. A state that is due for a refresh is answered as it is while a new probe runs. A probe
that fails never replaces a positive state before that expires. At most `address_verify_pending_request_limit` probes
run; beyond that an address stays unknown, which is temporary. Each worker probes for itself; they share the store.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, Delivered, DeliveryOutcome
from tayori.policy.services import Verified, Verify
from tayori.programs.daemons.verify_store import Known, Store

_log = logging.getLogger("tayori.verify")
PROBE_SECONDS = 1000.0
"""A probe that takes longer is given up; mail that has to wait is tried again anyway."""
UNKNOWN = Verified("unknown")
_T = TypeVar("_T")


class Probe(Protocol):
    """`verify_probe.Prober`."""

    async def ask(self, address: str) -> DeliveryOutcome:
        """What would become of mail for this address."""
        ...


class Times(msgspec.Struct, frozen=True):
    """Seconds after which a state is no longer believed (`expire`) or asked for again (`refresh`)."""

    positive_expire: float
    positive_refresh: float
    negative_expire: float
    negative_refresh: float
    cleanup: float
    keeps_negative: bool

    @classmethod
    def of(cls, settings: Settings) -> Times:
        """By the address_verify_… parameters. Raises ConfigError."""
        seconds = settings.seconds
        return cls(
            seconds("address_verify_positive_expire_time"),
            seconds("address_verify_positive_refresh_time"),
            seconds("address_verify_negative_expire_time"),
            seconds("address_verify_negative_refresh_time"),
            seconds("address_verify_cache_cleanup_interval"),
            settings.flag("address_verify_negative_cache"),
        )

    def expires(self, known: Known) -> float:
        """When the state is no longer believed."""
        return known.at + (self.positive_expire if known.state == "ok" else self.negative_expire)

    def refreshes(self, known: Known) -> float:
        """When it should be asked for again."""
        return known.at + (self.positive_refresh if known.state == "ok" else self.negative_refresh)


class Verifier:
    """All addresses of one worker. The store is opened at the first question, in a thread of its own."""

    def __init__(
        self, settings: Settings, probe: Probe, folder: Path | None, clock: Callable[[], float] = time.time
    ) -> None:
        """`folder` None, or an empty address_verify_map: states live in memory only. Raises ConfigError."""
        self._probe = probe
        self._path = folder / "verify.sqlite" if folder is not None and settings.text("address_verify_map") else None
        self._times = Times.of(settings)
        self._most = settings.number("address_verify_pending_request_limit")
        self._clock = clock
        self._store: Store | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._pending: dict[str, asyncio.Task[Verified]] = {}

    def waiting(self, settings: Settings) -> Verify:
        """The question of one smtpd service, which waits as long as its polls would. Raises ConfigError."""
        polls = max(0, settings.number("address_verify_poll_count") - 1)
        seconds = polls * settings.seconds("address_verify_poll_delay")

        async def verify(address: str) -> Verified:
            return await self.query(address, seconds)

        return verify

    async def query(self, address: str, seconds: float) -> Verified:
        """The state of `address`; waits at most `seconds` for a probe, then "unknown"."""
        key = key_of(address)
        known = await self._do(lambda store: store.get(key))
        now = self._clock()
        if known is not None and self._times.expires(known) > now:
            if self._times.refreshes(known) <= now and known.probed + PROBE_SECONDS <= now:
                self._begin(key, address)
            return Verified(known.state, known.reason, known.enhanced)
        task = self._begin(key, address)
        if task is None or seconds <= 0:
            return UNKNOWN
        done, _ = await asyncio.wait([task], timeout=seconds)
        return task.result() if done and not task.cancelled() else UNKNOWN

    async def close(self) -> None:
        """Give up the probes under way and close the store."""
        tasks = list(self._pending.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        if self._thread is not None:
            store, self._store = self._store, None
            if store is not None:
                self._thread.submit(store.close)
            self._thread.shutdown(wait=True)
            self._thread = None

    def _begin(self, key: str, address: str) -> asyncio.Task[Verified] | None:
        """The probe of this address, begun if there is none; None beyond the limit."""
        task = self._pending.get(key)
        if task is None:
            if self._most and len(self._pending) >= self._most:
                _log.warning("probe limit reached: %s is not verified", address)
                return None
            task = asyncio.get_running_loop().create_task(self._find_out(key, address))
            self._pending[key] = task
            task.add_done_callback(lambda _: self._pending.pop(key, None))
        return task

    async def _find_out(self, key: str, address: str) -> Verified:
        try:
            outcome = await asyncio.wait_for(self._probe.ask(address), PROBE_SECONDS)
        except TimeoutError:
            return UNKNOWN
        except Exception:
            # one address that cannot be asked about must not end the session that asks
            _log.exception("probe of %s failed unexpectedly", address)
            return UNKNOWN
        found = _verified(outcome)
        now = self._clock()
        known = Known(found.state, found.reason, found.enhanced, now, now)
        if found.state == "ok" or self._times.keeps_negative:
            await self._do(lambda store: self._keep(store, key, known))
        return found

    def _keep(self, store: Store, key: str, known: Known) -> None:
        times, old = self._times, store.get(key)
        if known.state != "ok" and old is not None and old.state == "ok" and times.expires(old) > known.at:
            known = msgspec.structs.replace(old, probed=known.at)
        store.put(key, known)
        if times.cleanup and store.cleaned + times.cleanup <= known.probed:
            store.clean(known.probed, known.probed - times.positive_expire, known.probed - times.negative_expire)

    async def _do(self, work: Callable[[Store], _T]) -> _T | None:
        """Run `work` in the store's thread; None when the store cannot answer."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "verify")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    def _guarded(self, work: Callable[[Store], _T]) -> _T | None:
        try:
            if self._store is None:
                self._store = Store(self._path, self._clock())
            return work(self._store)
        except (sqlite3.Error, OSError) as error:
            # without its memory verification still works: each question then needs a probe
            _log.warning("the address verification cache cannot be used: %s", error)
            return None


def key_of(address: str) -> str:
    """The domain's case does not matter, the local part's may."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def _verified(outcome: DeliveryOutcome) -> Verified:
    if isinstance(outcome, Delivered):
        return Verified("ok", outcome.text, outcome.enhanced)
    state = "undeliverable" if isinstance(outcome, BouncedDelivery) else "deferred"
    return Verified(state, outcome.text, outcome.enhanced)
