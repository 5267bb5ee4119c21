"""Rounds of deliveries into mailboxes, with each recipient's rights: what the local process does between two looks at
its sockets. Grouped by user, written, synced once; knows nothing of sockets.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from tayori.config.settings import Settings
from tayori.delivery import mbox
from tayori.delivery.forward import NotNow, Unsafe, include, look
from tayori.delivery.local import LocalMailboxes
from tayori.delivery.maildir import Batch
from tayori.delivery.passwd import Users
from tayori.delivery.place import Place
from tayori.delivery.request import Deliver, Result, Target
from tayori.delivery.rights import Rights
from tayori.delivery.virtual import VirtualMailboxes
from tayori.programs.daemons.layout import Layout
from tayori.queue.content import Content, Unreadable, close, opened

_log = logging.getLogger("tayori.local")


class Asker(Protocol):
    """Who wants a delivery."""

    def gone(self) -> bool:
        """Whether he does not want it any more."""
        ...


A = TypeVar("A", bound=Asker)


@dataclass(slots=True, eq=False)
class Job(Generic[A]):
    """One Deliver until its Done, and who wants that."""

    asker: A
    request: Deliver
    results: list[Result] = field(default_factory=list)
    content: Content = b""

    def end(self) -> None:
        """Close what was opened for it."""
        close(self.content)
        self.content = b""


@dataclass(slots=True, eq=False)
class Locked:
    """An mbox delivery that waits for somebody else's lock. `due` is monotonic seconds."""

    job: Job[Any]
    place: Place
    target: Target
    attempts: int
    due: float


class Deliverer:
    """Does rounds of deliveries; knows nothing of sockets. Answers are left in each job's `results`."""

    def __init__(self, settings: Settings, single_user: bool, owner: int) -> None:
        """`owner`: the user whose content files are read."""
        self.rights = Rights(single_user)
        self._local = LocalMailboxes(settings, Users.configured(settings))
        self._virtual = VirtualMailboxes(settings, self.rights.fixed)
        # in single-user mode root writes mailboxes as root, but files that aliases and users name never
        self._file_rights = Rights(single_user=False)
        self._locks = {
            "local": _locks(settings, "mailbox_delivery_lock"),
            "virtual": _locks(settings, "virtual_mailbox_lock"),
        }
        self._attempts = settings.number("deliver_lock_attempts")
        self._delay = settings.seconds("deliver_lock_delay")
        self._stale = settings.seconds("stale_lock_time")
        self.waiting: list[Locked] = []
        self._contents = Layout.of(settings).queue / "content"
        self._owner = owner

    def round(self, jobs: list[Job[Any]]) -> None:
        """Deliver everything in `jobs`; "sent" only after the sync. mbox files that are locked stay in `waiting`."""
        by_user: dict[tuple[int, int], list[tuple[Job[Any], Target, Place]]] = {}
        count = 0
        for job in jobs:
            if not self._open(job):
                continue
            for target in job.request.targets:
                if target.kind in ("file", "include"):
                    self._named(job, target)
                    continue
                place = self._virtual.place(target) if target.kind == "virtual" else self._local.place(target)
                if isinstance(place, Result):
                    job.results.append(place)
                else:
                    by_user.setdefault((place.uid, place.gid), []).append((job, target, place))
                    count += place.maildir
        batch = Batch(self.rights, count)
        for (uid, gid), entries in by_user.items():
            try:
                self.rights.become(uid, gid)
            except OSError as error:
                self.rights.root()
                for job, target, place in entries:
                    job.results.append(place.failed(target, error, "4.3.0"))
                continue
            for job, target, place in entries:
                self._one(batch, job, target, place)
        self.rights.root()
        for key, result in batch.sync():
            assert isinstance(key, Job)
            key.results.append(result)

    def _open(self, job: Job[Any]) -> bool:
        """Get at the content; False when it cannot be had, which is the answer then."""
        request = job.request
        job.content = request.content
        if not request.size:
            return True
        try:
            job.content = opened(f"{self._contents}/{request.number:X}", request.size, self._owner)
        except Unreadable as error:
            _log.error("%X: %s", request.number, error)
            text = "queue file read error"
            job.results += [Result(target.n, "deferred", "4.3.0", text) for target in request.targets]
            return False
        return True

    def _one(self, batch: Batch, job: Job[Any], target: Target, place: Place) -> None:
        """One target, with the recipient's rights."""
        result: Result | None
        if place.forward and (found := forward_of(target, place)) is not None:
            result = found
        elif target.kind == "forward":
            result = Result(target.n, "none", "2.0.0", "")
        elif place.home and (missing := _home_missing(target, place.home)):
            result = missing
        elif place.maildir:
            result = batch.add(job, place, target, job.content, job.request.recovered)
        else:
            result = self._append(job, target, place, 1)
        if result is not None:
            job.results.append(result)

    def _named(self, job: Job[Any], target: Target) -> None:
        """A file or list that an alias or .forward names, with the rights that the asker found out."""
        rights = self._file_rights
        if target.kind == "include":
            with self.rights.of(target.uid, target.gid):
                job.results.append(list_of(target))
            return
        place = self._local.file(target)
        if not rights.fixed and (target.uid <= 0 or target.gid <= 0):
            job.results.append(place.failed(target, "never as root", "4.3.5"))
            return
        self.rights.root()
        result: Result | None
        if place.maildir:
            batch = Batch(rights, 1)
            with rights.of(target.uid, target.gid):
                result = batch.add(job, place, target, job.content, job.request.recovered)
            for _, done in batch.sync():
                result = done
            if result is not None and result.status == "sent":
                result = Result(target.n, "sent", "2.0.0", f"delivered to file: {target.mailbox}")
        else:
            result = self._append(job, target, place, 1)
        if result is not None:
            job.results.append(result)

    def _append(self, job: Job[Any], target: Target, place: Place, attempt: int) -> Result | None:
        """One attempt at an mbox file; None when it is locked and will be tried again."""
        try:
            locks = self._locks["virtual" if target.kind == "virtual" else "local"]
            rights = self._file_rights if place.file else self.rights
            return mbox.deliver(place, target, job.content, rights, locks, self._stale, job.request.recovered)
        except mbox.Busy as busy:
            if attempt >= self._attempts:
                return place.failed(target, busy.text)
            self.waiting.append(Locked(job, place, target, attempt, time.monotonic() + self._delay))
            return None

    def again(self, now: float, last: bool = False) -> list[Job[Any]]:
        """Try those whose time has come (all, for the last time, when stopping); the jobs that got an answer."""
        due = [locked for locked in self.waiting if last or locked.due <= now]
        self.waiting = [locked for locked in self.waiting if not last and locked.due > now]
        answered: list[Job[Any]] = []
        for locked in due:
            attempt = self._attempts if last else locked.attempts + 1
            if locked.place.file:
                self.rights.root()
                result = self._append(locked.job, locked.target, locked.place, attempt)
            else:
                with self.rights.of(locked.place.uid, locked.place.gid):
                    result = self._append(locked.job, locked.target, locked.place, attempt)
            if result is not None:
                locked.job.results.append(result)
                answered.append(locked.job)
        self.rights.root()
        return answered

    def forget_gone(self) -> None:
        """Wait for no mbox file of those who are gone."""
        gone = [locked for locked in self.waiting if locked.job.asker.gone()]
        for locked in gone:
            locked.job.end()
        self.waiting = [locked for locked in self.waiting if locked not in gone]


def _locks(settings: Settings, name: str) -> tuple[str, ...]:
    return tuple(lock for lock in settings.items(name) if lock in mbox.LOCKS)


def forward_of(target: Target, place: Place) -> Result | None:
    """What ~/.forward says, if there is one that counts; with the user's rights."""
    try:
        found = look(place.forward, place.owner, place.uid)
    except NotNow as trouble:
        return Result(target.n, "deferred", "4.3.0", str(trouble))
    if found is None:
        return None
    return Result(target.n, "forward", "2.0.0", found.path, found.text, found.whole)


def list_of(target: Target) -> Result:
    """An :include: list; one that is not fit is a permanent failure, as in local(8)."""
    try:
        text, uid = include(target.mailbox)
    except NotNow as trouble:
        return Result(target.n, "deferred", "4.3.0", str(trouble))
    except Unsafe as trouble:
        _log.warning("%s: %s", target.address, trouble)
        return Result(target.n, "bounced", "5.3.5", "mail system configuration error")
    return Result(target.n, "include", "2.0.0", target.mailbox, text, uid=uid)


def _home_missing(target: Target, home: str) -> Result | None:
    """require_home_directory (local(8))."""
    try:
        os.stat(home)
    except OSError as error:
        text = f"cannot access home directory {home}: {error.strerror}"
        return Result(target.n, "deferred", "4.3.0", text)
    return None
