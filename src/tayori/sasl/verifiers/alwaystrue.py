"""alwaystrue: everybody is let in, for tests alone; refused unless forced by name (see verifier_choice)."""

from __future__ import annotations

from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict


class AlwaysTrue:
    """Verifier that accepts any password."""

    name = "alwaystrue"
    secrets = False

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Yes."""
        return Accepted(f"{username}@{realm}" if realm else username, self.name)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """Nothing is stored."""
        return Refused("alwaystrue has no secrets", self.name)

    async def probe(self) -> str:
        """Always there."""
        return ""

    def close(self) -> None:
        """Nothing to close."""
