"""Streams over a real socket pair: time limits, back pressure both ways, the end in all its forms."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from tayori.net import stream as module
from tayori.net.stream import HIGH_WATER, Stream


def run(work: Callable[[Stream, socket.socket], Awaitable[None]]) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(Stream, sock=ours)
        stream.timeout = 0.3
        try:
            await asyncio.wait_for(work(stream, theirs), 20)
        finally:
            stream.abort()
            theirs.close()

    asyncio.run(main())


def test_what_comes_together_is_read_together() -> None:
    async def work(stream: Stream, peer: socket.socket) -> None:
        peer.send(b"one")
        await asyncio.sleep(0.05)
        peer.send(b"two")
        await asyncio.sleep(0.05)
        assert stream.pending()
        assert await stream.read() == b"onetwo"
        assert not stream.pending()

    run(work)


def test_reading_has_a_limit_of_time() -> None:
    async def work(stream: Stream, peer: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            peer.send(b"x")
            assert await stream.read() == b"x"
        began = loop.time()
        with pytest.raises(TimeoutError):
            await stream.read()
        assert 0.25 < loop.time() - began < 0.6
        stream.timeout = 0.05
        began = loop.time()
        with pytest.raises(TimeoutError):
            await stream.read()
        assert loop.time() - began < 0.25
        peer.send(b"late")
        assert await stream.read() == b"late"

    run(work)


def test_the_end_of_input_leaves_what_we_say() -> None:
    async def work(stream: Stream, peer: socket.socket) -> None:
        peer.send(b"last")
        peer.shutdown(socket.SHUT_WR)
        assert await stream.read() == b"last"
        assert await stream.read() == b"" == await stream.read()
        stream.write(b"answer")
        await stream.drain()
        stream.close()
        await asyncio.sleep(0.05)
        assert peer.recv(100) == b"answer" and peer.recv(100) == b""

    run(work)


def test_a_flood_that_nobody_reads_is_not_kept() -> None:
    async def work(stream: Stream, peer: socket.socket) -> None:
        sent = 0
        for _ in range(200):
            try:
                sent += peer.send(b"x" * 65536)
            except BlockingIOError:
                await asyncio.sleep(0.005)
        assert stream._size < HIGH_WATER + 600_000 and stream.pending()
        got = 0
        while got < sent:
            got += len(await stream.read())
        assert got == sent
        peer.send(b"more")
        assert await stream.read() == b"more"

    run(work)


def test_throwing_away_lets_reading_go_on() -> None:
    async def work(stream: Stream, peer: socket.socket) -> None:
        for _ in range(20):
            try:
                peer.send(b"x" * 65536)
            except BlockingIOError:
                await asyncio.sleep(0.005)
        assert stream.discard() > HIGH_WATER
        while True:
            # what was still in the kernel comes after
            await asyncio.sleep(0.02)
            if not stream.discard():
                break
        peer.send(b"after")
        assert await stream.read() == b"after"

    run(work)


def test_a_peer_that_reads_nothing_clogs_us_and_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAREWELL", 0.1)

    async def work(stream: Stream, peer: socket.socket) -> None:
        assert not stream.clogged
        await stream.drain()
        stream.write(b"x" * 5_000_000)
        assert stream.clogged
        with pytest.raises(TimeoutError):
            await stream.drain()
        stream.close()
        await asyncio.sleep(0.3)
        assert stream.lost and not stream.clogged

    run(work)


def test_drain_goes_on_when_the_peer_reads() -> None:
    async def work(stream: Stream, peer: socket.socket) -> None:
        stream.timeout = 5
        stream.write(b"x" * 1_000_000)

        async def read() -> int:
            got, loop = 0, asyncio.get_running_loop()
            while got < 1_000_000:
                got += len(await loop.sock_recv(peer, 65536))
            return got

        _, got = await asyncio.gather(stream.drain(), read())
        assert got == 1_000_000 and not stream.clogged

    run(work)


def test_writing_to_one_who_is_gone() -> None:
    async def work(stream: Stream, peer: socket.socket) -> None:
        peer.close()
        await asyncio.sleep(0.05)
        assert await stream.read() == b""
        stream.write(b"x")
        await asyncio.sleep(0.05)
        stream.write(b"x")
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectionError):
            await stream.drain()

    run(work)
