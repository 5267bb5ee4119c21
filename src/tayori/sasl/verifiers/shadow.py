"""shadow: the passwords of /etc/shadow (shadow(5)), for root alone; expired accounts and passwords are refused."""

from __future__ import annotations

import time

from tayori.sasl import hashes
from tayori.sasl.decoy import Decoys
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard

_DAY = 86400


class Shadow:
    """Verifier."""

    secrets = False

    def __init__(self, path: str = "/etc/shadow", *, threads: int = 2, seconds: float = 15.0) -> None:
        self.name = f"shadow:{path}"
        self._path = path
        self._guard = Guard(self.name, at_once=threads, seconds=seconds)

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Check in a thread. The realm is passed over, as by Cyrus's saslauthd."""
        return await self._guard.run_in_thread(lambda: self._check(username, password))

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """Hashes only."""
        return Refused("shadow passwords are hashes", self.name)

    async def probe(self) -> str:
        """Empty when the file can be read."""
        try:
            with open(self._path, "rb"):
                return ""
        except OSError as error:
            return f"{self._path}: {error.strerror}"

    def close(self) -> None:
        """Let go of the threads."""
        self._guard.close()

    def _check(self, username: str, password: str) -> Verdict:
        entries = self._entries()
        fields = entries.get(username)
        locked = fields is not None and hashes.never(fields[1])
        decoy = Decoys(entry[1] for entry in entries.values()).pick(username)
        stored = fields[1] if fields and not locked else decoy
        try:
            fits = hashes.crypt(stored, hashes.prepare(password))
        except hashes.UnknownScheme as error:
            return TryLater(str(error), self.name)
        if not fields:
            return Refused("no such user", self.name)
        if locked or not fits:
            return Refused("locked" if locked else "wrong password", self.name)
        why = _expired(fields, int(time.time()) // _DAY)
        return Refused(why, self.name) if why else Accepted(username, self.name)

    def _entries(self) -> dict[str, list[str]]:
        """The whole file, each time: somebody may just have changed a password."""
        with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.rstrip("\n").split(":") for line in file]
        return {row[0]: row + [""] * (9 - len(row)) for row in reversed(rows) if len(row) >= 2}


def _expired(fields: list[str], today: int) -> str:
    """Why an entry is no longer good: shadow(5)'s days since 1970-01-01."""
    changed, longest, grace, end = (int(text) if text.lstrip("-").isdigit() else -1 for text in
                                    (fields[2], fields[4], fields[6], fields[7]))  # fmt: skip
    if 0 <= end <= today:
        return "the account has expired"
    if changed == 0:
        return "the password must be changed first"
    if changed > 0 and 0 <= longest < 99999 and today > changed + longest + max(grace, 0):
        return "the password has expired"
    return ""
