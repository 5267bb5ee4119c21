"""A Unix socket with too many waiting: the kernel answers EAGAIN at once, and the client asks again."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import uvloop

from tayori.net.stream import connect_unix


def test_asked_again_until_there_is_room(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/s")
        listener.listen(0)

        async def run() -> int:
            first = await connect_unix(f"{tmp_path}/s", timeout=5)
            second = asyncio.ensure_future(connect_unix(f"{tmp_path}/s", timeout=5))
            await asyncio.sleep(0.2)
            assert not second.done(), "the backlog was meant to be full"
            listener.accept()[0].close()
            for stream in (first, await second):
                stream.close()
            return 2

        assert uvloop.run(run()) == 2


def test_not_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/s")
        listener.listen(0)

        async def run() -> None:
            first = await connect_unix(f"{tmp_path}/s", timeout=5)
            try:
                with pytest.raises(BlockingIOError):
                    await connect_unix(f"{tmp_path}/s", timeout=0.2)
            finally:
                first.close()

        uvloop.run(run())
