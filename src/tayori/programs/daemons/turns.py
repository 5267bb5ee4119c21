"""How many things run at once: `most` for one name, `total` for all. A name that nobody waits for is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """`most` 0: no limit for one name."""

    def __init__(self, most: int, total: int) -> None:
        self._most = most
        self._all = asyncio.Semaphore(max(1, total))
        self._named: dict[str, tuple[asyncio.Semaphore, list[None]]] = {}

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Wait for a turn, first in first out; the name's own before the total, so that one name blocks no other."""
        if not self._most:
            async with self._all:
                yield
            return
        own, users = self._named.setdefault(name, (asyncio.Semaphore(self._most), []))
        users.append(None)
        try:
            async with own, self._all:
                yield
        finally:
            users.pop()
            if not users:
                self._named.pop(name, None)
