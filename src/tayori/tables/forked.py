"""Databases whose client library may hang with the interpreter's lock in its hand: asked in processes of their own.

Contract: as tables.blocking, but each of the CHILDREN connections lives in a child (net.children) that is killed when
its answer does not come in time; so a directory that hangs stops a look-up and never the worker.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tayori.net.children import Children
from tayori.tables.blocking import Backend, BlockingTable, Lost, Wrong
from tayori.tables.spec import Spec
from tayori.tables.template import Frame

CHILDREN = 4


class ForkedTable(BlockingTable):
    """One database table."""

    def __init__(self, spec: Spec, frame: Frame, backend: Backend, hosts: tuple[str, ...], limit: float) -> None:
        super().__init__(spec, frame, backend, hosts, limit)
        self._children = Children(self._in_child, Lost)
        self._places: asyncio.Semaphore | None = None
        self._parent = True

    async def _values(self, key: str) -> list[str] | None:
        if self._places is None:
            self._places = asyncio.Semaphore(CHILDREN)
        async with self._places:
            try:
                kind, said = await self._children.ask(key)
            except asyncio.CancelledError:
                # too late: this server is asked no more for a while
                self._breaks(f"no answer within {self._limit:g} s")
                raise
        if kind == "lost":
            self._breaks(said)
            raise Lost(said)
        self._works()
        if kind == "wrong":
            raise Wrong(said)
        return None if said is None else [str(value) for value in said]

    def _in_child(self, key: str) -> tuple[str, Any]:
        self._parent = False
        self._broken_until = 0.0
        try:
            return "found", self._fetch(key)
        except Lost as error:
            return "lost", str(error)
        except Wrong as error:
            return "wrong", str(error)

    def _works(self) -> None:
        if self._parent:
            super()._works()

    def _breaks(self, why: str) -> None:
        if self._parent:
            super()._breaks(why)

    def close(self) -> None:
        """End the children."""
        self._children.close()
        super().close()
