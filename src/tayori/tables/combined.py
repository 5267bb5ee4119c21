"""Tables made of tables: unionmap, pipemap, and randmap (DATABASE_README).

    unionmap:{type:name, …}   all are asked; what they find is joined by commas
    pipemap:{type:name, …}    each answer is the key for the next; the last one's answer counts
    randmap:{a, b, …}         one of the words, by chance, whatever the key

A part that fails makes the whole fail: a union without one of its parts would be a wrong answer.
"""

from __future__ import annotations

import random

from tayori.config.origin import ConfigError
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, Table, TempFail
from tayori.tables.rules import inline_items
from tayori.tables.spec import Spec


def parts_of(spec: Spec) -> list[str]:
    """The items in braces. Raises ConfigError for none."""
    try:
        items = inline_items(spec.rest)
    except ConfigError as error:
        raise spec.bad(error.message, f"write {spec.kind}:{{…, …}}") from None
    if not items:
        raise spec.bad("the list is empty", f"write {spec.kind}:{{…, …}}")
    return items


class _Combined:
    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        self._tables: list[Table] = [spec.open(item) for item in parts_of(spec)]
        self.partial = all(getattr(table, "partial", True) for table in self._tables)

    def close(self) -> None:
        """The parts are closed by the registry."""


class UnionTable(_Combined):
    """unionmap:{…}."""

    async def lookup(self, key: str) -> Outcome:
        """Ask all parts."""
        values = []
        for table in self._tables:
            answer = await table.lookup(key)
            if isinstance(answer, TempFail):
                return answer
            if isinstance(answer, Found):
                values.append(answer)
        if not values:
            return NOT_FOUND
        return values[0] if len(values) == 1 else Found(",".join(found.value for found in values), values[0].origin)


class PipeTable(_Combined):
    """pipemap:{…}."""

    async def lookup(self, key: str) -> Outcome:
        """Ask one after the other."""
        answer: Outcome = Found(key)
        for table in self._tables:
            assert isinstance(answer, Found)
            answer = await table.lookup(answer.value)
            if not isinstance(answer, Found):
                return answer
        return answer


class RandomTable:
    """randmap:{…}. Words may repeat, for more weight."""

    partial = False

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        self._answers = [Found(item, spec.origin) for item in parts_of(spec)]

    async def lookup(self, key: str) -> Outcome:
        """One of them."""
        return random.choice(self._answers)  # noqa: S311  spreading load, not guarding a secret

    def close(self) -> None:
        """Nothing to release."""
