"""sasldb: accounts in Cyrus's sasldb2 (pwcheck_method: auxprop, auxprop_plugin: sasldb).

A name without realm is looked up in the realm $myhostname, as the Cyrus library does. When a user exists in another
realm the refusal says so. Answers, also that there is nobody, are remembered until the file changes; either costs the
same to find.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable
from typing import TypeVar

from tayori.sasl import hashes, sasldb
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble

T = TypeVar("T")
_MOST = 10_000
_FRESH_NS = 2_000_000_000  # a file this young may change again within one tick of its time stamp


class Sasldb:
    """Verifier."""

    secrets = True
    libraries = ("berkeleydb",)

    def __init__(self, path: str, *, hostname: str, seconds: float = 5.0) -> None:
        self.name = f"sasldb:{path}"
        self._path = path
        self._hostname = hostname
        self._guard = Guard(self.name, at_once=2, seconds=seconds)
        self._signature: tuple[int, int, int] | None = None
        self._known: dict[tuple[str, str, tuple[str, ...]], dict[str, bytes] | Refused] = {}
        self._realms: dict[str, list[str]] | None = None

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Compare with userPassword."""
        found = await self._fetch(username, realm or self._hostname, (sasldb.PASSWORD,))
        if not isinstance(found, dict):
            return found
        if not hmac.compare_digest(found[sasldb.PASSWORD], hashes.prepare(password)):
            return Refused(f"wrong password (realm {realm or self._hostname})", self.name)
        return Accepted(f"{username}@{realm}" if realm else username, self.name)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """Those of the wanted properties that are stored."""
        found = await self._fetch(username, realm or self._hostname, wanted)
        return Secret(found, self.name) if isinstance(found, dict) else found

    async def probe(self) -> str:
        """Empty when the file can be opened."""
        path = self._path

        def look() -> str:
            with sasldb.opened(path):
                return ""

        answer = await self._in_thread(look)
        return answer.why if isinstance(answer, TryLater) else answer

    def close(self) -> None:
        """Forget what was read."""
        self._known.clear()
        self._guard.close()

    async def _fetch(self, user: str, realm: str, names: tuple[str, ...]) -> dict[str, bytes] | Refused | TryLater:
        question = (user, realm, names)
        try:
            status = os.stat(self._path)
        except OSError as error:
            return TryLater(f"{self._path}: {error.strerror}", self.name)
        signature = (status.st_mtime_ns, status.st_size, status.st_ino)
        if signature != self._signature or len(self._known) > _MOST:
            self._known.clear()
            self._signature, self._realms = signature, None
        known = self._known.get(question)
        if known is not None:
            return known

        def ask() -> dict[str, bytes] | Refused:
            found = sasldb.fetch(self._path, user, realm, names)
            realms = self._realms
            if realms is None:
                realms = {}
                for name, place, _ in sasldb.users(self._path):
                    places = realms.setdefault(name, [])
                    if place not in places:
                        places.append(place)
                self._realms = realms
            return found or Refused(self._why_not(user, realm, realms.get(user, [])), self.name)

        answer = await self._in_thread(ask)
        if not isinstance(answer, TryLater) and time.time_ns() - status.st_mtime_ns > _FRESH_NS:
            self._known[question] = answer
        return answer

    def _why_not(self, user: str, realm: str, realms: list[str]) -> str:
        if realm in realms:
            return f"{user} in realm {realm} has no secret for this mechanism"
        if not realms:
            return f"{user} is in no realm of the file"
        return (
            f"{user} exists in realm {realms[0]}, the client asked for {realm}: log in as {user}@{realms[0]}, "
            f"or set smtpd_sasl_local_domain = {realms[0]}"
        )

    async def _in_thread(self, work: Callable[[], T]) -> T | TryLater:
        def guarded() -> T:
            try:
                return work()
            except sasldb.SasldbError as error:
                raise Trouble(str(error)) from error

        return await self._guard.run_in_thread(guarded)
