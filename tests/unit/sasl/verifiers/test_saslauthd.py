from __future__ import annotations

import asyncio
from pathlib import Path

from tayori.protocol.saslauthd import (
    ProtocolError,
    Request,
    RequestReader,
    decode_reply,
    encode_reply,
    encode_request,
)
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater
from tayori.sasl.verifiers.saslauthd import Saslauthd


def test_wire() -> None:
    wire = encode_request(Request(b"taro", b"pw", b"smtp", b"r"))
    assert wire == b"\x00\x04taro\x00\x02pw\x00\x04smtp\x00\x01r"
    for size in range(1, len(wire) + 1):
        reader, got = RequestReader(), None
        for at in range(0, len(wire), size):
            got = reader.feed(wire[at : at + size])
        assert got == Request(b"taro", b"pw", b"smtp", b"r")
    assert decode_reply(encode_reply("OK")) == (True, "OK")
    assert decode_reply(b"\x00\x02O") is None
    assert decode_reply(b"\x00\x03NO\x00") == (False, "NO")
    for bad in (b"\x00\x01O", b"\xff\xff", b"\x00\x02ok"):
        try:
            decode_reply(bad)
        except ProtocolError:
            continue
        raise AssertionError(bad)
    assert "pw" not in repr(Request(b"taro", b"pw"))


async def daemon(path: Path, answer: bytes, seen: list[Request]) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wanted, request = RequestReader(), None
        while request is None:
            data = await reader.read(100)
            if not data:
                return
            request = wanted.feed(data)
        seen.append(request)
        writer.write(answer)
        writer.close()

    return await asyncio.start_unix_server(serve, path)


def test_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[Request] = []
        path = tmp_path / "mux"
        verifier = Saslauthd(str(tmp_path), seconds=2)
        assert "No such file" in await verifier.probe()
        assert isinstance(await verifier.verify("taro", "pw", "", "smtp"), TryLater)
        answers = {
            encode_reply('OK "Success."'): Accepted("taro@example.com", verifier.name),
            encode_reply("NO authentication failed"): Refused("it said NO: authentication failed", verifier.name),
            b"": TryLater("it hung up without an answer", verifier.name),
            b"\x00\x04junk": TryLater("a reply that is neither OK nor NO", verifier.name),
        }
        for wire, expected in answers.items():
            server = await daemon(path, wire, seen)
            assert await verifier.probe() == ""
            assert await verifier.verify("taro", "pw", "example.com", "smtp") == expected
            server.close()
            path.unlink(missing_ok=True)
        assert seen[0] == Request(b"taro", b"pw", b"smtp", b"example.com")
        assert isinstance(await verifier.verify("ta\0ro", "pw", "", "smtp"), Refused)

    asyncio.run(scenario())


def test_a_daemon_that_never_answers_costs_the_time_limit_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(2)

        server = await asyncio.start_unix_server(hang, tmp_path / "mux")
        verifier = Saslauthd(str(tmp_path / "mux"), seconds=0.05, connections=1)
        answers = await asyncio.gather(*(verifier.verify("a", "b", "", "smtp") for _ in range(8)))
        assert all(isinstance(answer, TryLater) for answer in answers)
        later = await verifier.verify("a", "b", "", "smtp")
        assert isinstance(later, TryLater) and later.why.startswith("not asked again yet")
        server.close()

    asyncio.run(scenario())


def test_a_socket_left_behind_is_noticed(tmp_path: Path) -> None:
    async def scenario() -> None:
        import socket

        left = socket.socket(socket.AF_UNIX)
        left.bind(str(tmp_path / "mux"))
        left.close()
        assert "left its socket" in await Saslauthd(str(tmp_path / "mux")).probe()
        (tmp_path / "plain").write_text("")
        assert "not a socket" in await Saslauthd(str(tmp_path / "plain")).probe()

    asyncio.run(scenario())
