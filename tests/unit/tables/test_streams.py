"""tcp and socketmap against servers in the same loop: answers, garbage, lost connections, time limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tayori.config.settings import Settings
from tayori.tables import tcp as tcp_module
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, TempFail
from tayori.tables.registry import Tables
from tayori.tables.tcp import decode, encode

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def against(serve: Serve, make_spec: Callable[[int], str], *keys: str) -> list[Outcome]:
    async def run() -> list[Outcome]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        tables = Tables(Settings.of({}))
        table = tables.open(make_spec(port))
        try:
            return [await table.lookup(key) for key in keys]
        finally:
            tables.close()
            server.close()

    return asyncio.run(run())


def tcp_server(answers: dict[bytes, bytes], after: int = 1000) -> tuple[Serve, list[int]]:
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        for _ in range(after):
            line = await reader.readline()
            if not line:
                break
            writer.write(answers.get(line.strip().removeprefix(b"get "), b"500 none\n"))
            await writer.drain()
        writer.close()

    return serve, connections


def test_tcp_answers() -> None:
    serve, connections = tcp_server(
        {
            b"A": b"200 one%20two\n",
            b"bytes": b"200 %ff\n",
            b"x%20y": b"200 blank\n",
            b"t": b"400 later\n",
            b"g": b"hello\n",
            b"p": b"200 %zz\n",
        }
    )
    found = against(serve, lambda port: f"tcp:127.0.0.1:{port}", "A", "x y", "none", "t", "g", "p", "bytes", "A", "a")
    assert found[:3] == [Found("one two"), Found("blank"), NOT_FOUND]
    assert all(isinstance(answer, TempFail) for answer in found[3:7])
    assert found[7:] == [Found("one two"), NOT_FOUND], "a key is sent as it is"
    assert len(connections) == 4, "good exchanges share a connection, bad ones end it"


def test_a_closed_connection_is_replaced_within_the_lookup() -> None:
    serve, connections = tcp_server({b"a": b"200 1\n"}, after=1)
    assert against(serve, lambda port: f"tcp:127.0.0.1:{port}", "a", "a", "a") == [Found("1")] * 3
    assert len(connections) == 3


def test_silence_is_try_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_module, "LIMIT_SECONDS", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    found = against(serve, lambda port: f"tcp:127.0.0.1:{port}", "a", "a")
    assert all(isinstance(answer, TempFail) for answer in found)


def test_endless_lines_are_try_later() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        try:
            for _ in range(100):
                writer.write(b"2" * 10_000)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    (answer,) = against(serve, lambda port: f"tcp:127.0.0.1:{port}", "a")
    assert isinstance(answer, TempFail)


def test_no_server_is_try_later() -> None:
    async def run() -> Outcome:
        return await Tables(Settings.of({})).open("tcp:127.0.0.1:1").lookup("a")

    assert isinstance(asyncio.run(run()), TempFail)


def test_encoding_is_its_own_inverse() -> None:
    for text in ("plain", "a b%c\n", "ü@d"):
        assert decode(encode(text)) == text
    assert encode("a b%") == b"a%20b%25"


def test_socketmap_answers() -> None:
    replies = {
        "Ok": b"OK one two",
        "bare": b"OK",
        "no": b"NOTFOUND ",
        "temp": b"TEMP why",
        "perm": b"PERM x",
        "odd": b"WHAT",
    }
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b":")
            body = (await reader.readexactly(int(head[:-1]) + 1))[:-1]
            asked.append(body)
            reply = replies.get(body.split()[1].decode(), b"")
            writer.write(b"9999999:x" if not reply else b"%d:%s," % (len(reply), reply))
            await writer.drain()

    found = against(
        serve, lambda port: f"socketmap:inet:127.0.0.1:{port}:mymap", "Ok", "no", "bare", "temp", "perm", "odd", "bad"
    )
    assert found[:3] == [Found("one two"), NOT_FOUND, NOT_FOUND]
    assert all(isinstance(answer, TempFail) for answer in found[3:])
    assert asked[0] == b"mymap Ok"
