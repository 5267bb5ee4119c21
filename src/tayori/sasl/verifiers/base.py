"""What a verifier answers: Accepted, Refused or TryLater, each with its source and its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tayori.sasl.steps import Secret


@dataclass(frozen=True, slots=True)
class Accepted:
    """The credential holds. `username` as the verifier knows it (with realm where there is one)."""

    username: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The credential does not hold. `why` is for the log and explain-login, never for the client."""

    why: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class TryLater:
    """The verifier could not be asked: 454, never "wrong password"."""

    why: str
    source: str = ""


Verdict = Accepted | Refused | TryLater


class Verifier(Protocol):
    """One place where passwords live. `name` as in logs ("saslauthd:/run/saslauthd/mux").

    `secrets` is False when only `verify` works, so that no mechanism which needs stored secrets is offered.
    """

    name: str

    @property
    def secrets(self) -> bool:
        """Whether `fetch` can answer at all."""
        ...

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Check a plain password. Never raises for trouble; has its own time limit."""
        ...

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """Fetch stored secrets for challenge-response mechanisms."""
        ...

    async def probe(self) -> str:
        """Empty when it can be reached, else why not, for `check` and the log."""
        ...

    def close(self) -> None:
        """Release sockets and pools."""
        ...
