"""accounts: tayori's own account file (`tayori user`), hashed with argon2id.

Hashing runs in at most two threads, never on the event loop. A name that does not exist costs the same time as a
wrong password. A right password is remembered for `remember` seconds as a keyed digest that depends on the stored
hash, in memory only, so that a client which logs in for each mail does not pay each time.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable
from pathlib import Path

from tayori.config.origin import ConfigError
from tayori.sasl import hashes, secrets
from tayori.sasl.accounts import Account, key_of, parse
from tayori.sasl.decoy import Decoys
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble

_MOST_REMEMBERED = 10_000


class Accounts:
    """Verifier. The file is read again when it changes. `domains` are realms for which a bare name counts."""

    def __init__(
        self,
        path: str | Path,
        *,
        domains: tuple[str, ...] = (),
        remember: float = 60.0,
        threads: int = 2,
        seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path)
        self.name = f"accounts:{path}"
        self._domains = {domain.casefold() for domain in domains}
        self._remember = remember
        self._clock = clock
        self._guard = Guard(self.name, at_once=threads, seconds=seconds, clock=clock)
        self._seen: tuple[int, int, int] | None = None
        self._accounts: dict[str, Account] = {}
        self._decoys = Decoys(())
        self._common: frozenset[str] = frozenset()
        self._key = os.urandom(32)
        self._good: dict[str, tuple[bytes, float]] = {}

    @property
    def secrets(self) -> bool:
        """True while every account has SCRAM keys."""
        return bool(self.properties)

    @property
    def properties(self) -> frozenset[str]:
        """What `fetch` can give for every account; one that works for some would be tried first by all."""
        try:
            self._load()
        except (Trouble, OSError):
            return frozenset()
        return self._common

    @property
    def scram_iterations(self) -> int:
        """What names that do not exist are told, so that they look like those that do."""
        stored = (text for account in self._accounts.values() for text in account.stored[1:])
        keys = next((keys for text in stored if (keys := secrets.parse(text)) is not None), None)
        return keys.iterations if keys else hashes.SCRAM_ROUNDS

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Check. Refused says whether the name or the password was wrong (for the log only)."""
        try:
            self._load()
        except (Trouble, OSError) as error:
            return TryLater(str(error), self.name)
        account = self._find(username, realm)
        locked = account is not None and hashes.never(account.hash)
        stored = account.hash if account and not locked else self._decoys.pick(key_of(f"{username}@{realm}"))
        mark = hmac.digest(self._key, b"\0".join((stored.encode(), hashes.prepare(password))), hashlib.sha256)
        if account is not None and not locked and self._remembered(account, mark):
            return Accepted(account.name, self.name)

        def check() -> bool | TryLater:
            try:
                return hashes.matches(stored, password)
            except hashes.UnknownScheme as error:
                if account is None or locked:
                    return False
                return TryLater(str(error), self.name)

        fits = await self._guard.run_in_thread(check)
        if isinstance(fits, TryLater):
            return fits
        if account is None:
            return Refused("no such account", self.name)
        if locked or not fits:
            return Refused("locked" if locked else "wrong password", self.name)
        self._note(account, mark)
        return Accepted(account.name, self.name)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """The SCRAM keys of an account that has some (`tayori user add --scram`)."""
        try:
            self._load()
        except (Trouble, OSError) as error:
            return TryLater(str(error), self.name)
        account = self._find(username, realm)
        if account is None:
            return Refused("no such account", self.name)
        values = {}
        for text in account.stored[1:]:
            scheme, value = hashes.split(text)
            name = f"cmusaslsecret{scheme}"
            if name in wanted:
                values[name] = f"{{{scheme}}}{value}".encode()
        if not values:
            return Refused("this account has no key for the mechanism (tayori user passwd --scram)", self.name)
        return Secret(values, self.name, account.name)

    async def probe(self) -> str:
        """Empty when the file can be read and holds an account."""
        try:
            self._load()
        except (Trouble, OSError) as error:
            return str(error)
        return "" if self._accounts else f"{self.path}: no account yet (tayori user add NAME)"

    def close(self) -> None:
        """Forget remembered passwords and let go of the threads."""
        self._good.clear()
        self._guard.close()

    def _find(self, username: str, realm: str) -> Account | None:
        if realm:
            found = self._accounts.get(key_of(f"{username}@{realm}"))
            if found is not None or realm.casefold() not in self._domains:
                return found
        return self._accounts.get(key_of(username))

    def _load(self) -> None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            self._accounts, self._seen, self._common = {}, None, frozenset()
            return
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen == self._seen:
            return
        try:
            accounts = parse(self.path.read_text("utf-8", "surrogateescape"), str(self.path))
        except ConfigError as error:
            raise Trouble(str(error)) from error
        except OSError as error:
            raise Trouble(f"{self.path}: {error.strerror}") from error
        self._decoys = Decoys(account.hash for account in accounts.values())
        self._accounts, self._seen = accounts, seen
        kinds = [{f"cmusaslsecret{hashes.split(text)[0]}" for text in a.stored[1:]} for a in accounts.values()]
        self._common = frozenset(set.intersection(*kinds)) if kinds else frozenset()

    def _remembered(self, account: Account, mark: bytes) -> bool:
        good = self._good.get(account.name)
        return good is not None and good[1] > self._clock() and hmac.compare_digest(good[0], mark)

    def _note(self, account: Account, mark: bytes) -> None:
        if self._remember <= 0:
            return
        if len(self._good) >= _MOST_REMEMBERED:
            self._good.clear()
        self._good[account.name] = (mark, self._clock() + self._remember)
