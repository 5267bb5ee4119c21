"""passwd-file: a text file of `name:password`, as htpasswd makes it or as Dovecot's passwd-file driver reads it.

The password is `{SCHEME}value`, or crypt(3)'s `$id$…`; what has neither is of `default_scheme`. Further fields are
passed over. Read again when it changes.
"""

from __future__ import annotations

import os
from pathlib import Path

from tayori.sasl import hashes, secrets
from tayori.sasl.accounts import key_of
from tayori.sasl.decoy import Decoys
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard


class PasswdFile:
    """Verifier. `domains` are realms for which a bare name counts."""

    secrets = True

    def __init__(
        self,
        path: str | Path,
        *,
        default_scheme: str = "CRYPT",
        domains: tuple[str, ...] = (),
        threads: int = 2,
        seconds: float = 15.0,
    ) -> None:
        self.path = Path(path)
        self.name = f"passwd-file:{path}"
        self._default = default_scheme.upper()
        self._domains = {domain.casefold() for domain in domains}
        self._guard = Guard(self.name, at_once=threads, seconds=seconds)
        self._seen: tuple[int, int, int] | None = None
        self._users: dict[str, tuple[str, str]] = {}
        self._decoys = Decoys((), self._default)
        self._common: frozenset[str] = frozenset()

    @property
    def scram_iterations(self) -> int:
        """What names that do not exist are told; 0 where nobody has keys."""
        found = (secrets.parse(stored) for _, stored in self._users.values() if "SCRAM-" in stored[:8].upper())
        return next((keys.iterations for keys in found if keys is not None), 0)

    @property
    def properties(self) -> frozenset[str]:
        """What `fetch` can give for every user: a mechanism that fails for some would be tried first by clients."""
        try:
            self._load()
        except OSError:
            return frozenset()
        return self._common

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Check in a thread; a name that does not exist costs the same."""
        try:
            self._load()
        except OSError as error:
            return TryLater(f"{self.path}: {error.strerror}", self.name)
        user = self._find(username, realm)
        locked = user is not None and hashes.never(user[1], self._default)
        stored = user[1] if user and not locked else self._decoys.pick(key_of(f"{username}@{realm}"))

        def check() -> bool | TryLater:
            try:
                return hashes.matches(stored, password, self._default)
            except hashes.UnknownScheme as error:
                if user is None or locked:
                    return False
                return TryLater(str(error), self.name)

        fits = await self._guard.run_in_thread(check)
        if isinstance(fits, TryLater):
            return fits
        if user is None:
            return Refused("no such user", self.name)
        if locked or not fits:
            return Refused("locked" if locked else "wrong password", self.name)
        return Accepted(user[0], self.name)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """Plain passwords and SCRAM keys."""
        try:
            self._load()
        except OSError as error:
            return TryLater(f"{self.path}: {error.strerror}", self.name)
        user = self._find(username, realm)
        if user is None:
            return Refused("no such user", self.name)
        name, value = self._property(user[1])
        if name not in wanted:
            return Refused("the password is stored in a form that this mechanism cannot use", self.name)
        return Secret({name: value.encode("utf-8", "surrogateescape")}, self.name, user[0])

    async def probe(self) -> str:
        """Empty when the file can be read."""
        try:
            self._load()
        except OSError as error:
            return f"{self.path}: {error.strerror}"
        return ""

    def close(self) -> None:
        """Let go of the threads."""
        self._guard.close()

    def _property(self, stored: str) -> tuple[str, str]:
        if not hashes.split(stored)[0]:
            stored = f"{{{self._default}}}{stored}"
        return hashes.property_of(stored)

    def _find(self, username: str, realm: str) -> tuple[str, str] | None:
        if realm:
            found = self._users.get(key_of(f"{username}@{realm}"))
            if found is not None or realm.casefold() not in self._domains:
                return found
        return self._users.get(key_of(username))

    def _load(self) -> None:
        status = os.stat(self.path)
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen == self._seen:
            return
        users: dict[str, tuple[str, str]] = {}
        for line in self.path.read_text("utf-8", "surrogateescape").split("\n"):
            name, colon, rest = line.strip().partition(":")
            if not colon or not name or name.startswith("#"):
                continue
            users[key_of(name)] = (name, rest if rest.upper().startswith("{PLAIN}") else rest.split(":")[0])
        self._decoys = Decoys((stored for _, stored in users.values()), self._default)
        self._users, self._seen = users, seen
        kinds = {self._property(stored)[0] for _, stored in users.values()}
        # A plain password serves whatever stored keys serve; so one plain and one keyed user share the key's kind.
        keyed = kinds - {"userPassword"}
        self._common = frozenset(() if "" in kinds or len(keyed) > 1 else keyed or kinds)
