"""What a SCRAM log-in costs here, so that an unknown name costs the same and looks the same.

From plain passwords keys are derived each time; stored keys cost nothing but show their iteration count. Which of
the two a store holds is guessed from its verifier at first, then learnt from what it gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tayori.sasl import secrets
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Verifier

SALT_SIZE = 16


@dataclass(slots=True)
class Cost:
    """`plain`: keys are derived for each log-in; `iterations`, `salt_size`: what unknown names are told."""

    plain: bool = True
    iterations: int = secrets.DEFAULT_ITERATIONS
    salt_size: int = SALT_SIZE

    @classmethod
    def of(cls, verifiers: Iterable[Verifier]) -> Cost:
        """The first guess: stores that say what they hold (`properties`) and name no plain password are not plain."""
        kinds = [getattr(verifier, "properties", None) for verifier in verifiers if verifier.secrets]
        plain = any(kind is None or "userPassword" in kind for kind in kinds)
        rounds = [getattr(verifier, "scram_iterations", 0) for verifier in verifiers]
        return cls(plain, max([0, *rounds]) or secrets.DEFAULT_ITERATIONS)

    def learn(self, answer: Secret, mechanism: str) -> None:
        """What the store holds for a name that exists."""
        hash_ = mechanism.removeprefix("SCRAM-").removesuffix("-PLUS")
        for value in answer.values.values():
            for line in value.decode("utf-8", "replace").splitlines():
                keys = secrets.parse(line) if "SCRAM-" in line[:8].upper() else None
                if keys is not None and keys.hash == hash_:
                    self.plain, self.iterations = False, keys.iterations
                    self.salt_size = min(len(keys.salt), 64)
                    return
        self.plain, self.salt_size = True, SALT_SIZE
        self.iterations = secrets.DEFAULT_ITERATIONS
