"""File work of large contents, beside the event loop: a disk that is slow holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tayori.queue.content import Content, blocks

_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="content")
T = TypeVar("T")


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """What `function` returns or raises."""
    return await asyncio.get_running_loop().run_in_executor(_threads, function, *arguments)


def later(function: Callable[[], None]) -> None:
    """The same, with nobody waiting."""
    _threads.submit(function)


async def read(content: Content) -> AsyncIterator[bytes]:
    """`blocks`, each read in a thread. Raises Unreadable."""
    found = blocks(content)
    while data := await in_thread(next, found, b""):
        yield data
