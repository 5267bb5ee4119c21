"""tcp: the line protocol of tcp_table(5), `tcp:host:port`: `get KEY` answered by 200, 400 or 500 and a text.

The key is sent as it is: a server that makes addresses (SRS) would otherwise lose the case of a local part.
"""

from __future__ import annotations

import asyncio
import re

from tayori.tables.outcome import NOT_FOUND, Found, Outcome, TempFail
from tayori.tables.spec import Spec
from tayori.tables.streams import StreamPool, Unreachable, answer_text, parse_endpoint

LIMIT_SECONDS = 100.0
MAX_REPLY = 4096
_CODED = re.compile(rb"%([0-9A-Fa-f]{2})?")


def encode(text: str) -> bytes:
    """%XX for `%`, white space and everything that does not print."""
    raw = text.encode("utf-8", "surrogateescape")
    return b"".join(b"%%%02X" % byte if byte <= 32 or byte >= 127 or byte == 37 else bytes([byte]) for byte in raw)


def decode(raw: bytes) -> str:
    """The text behind %XX. Raises ValueError for a `%` without two digits."""

    def one(found: re.Match[bytes]) -> bytes:
        if found.group(1) is None:
            raise ValueError("a % without two hexadecimal digits")
        return bytes([int(found.group(1), 16)])

    return answer_text(_CODED.sub(one, raw))


async def read_reply(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """(code, text). Raises ValueError and EOFError."""
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    if len(line) > MAX_REPLY:
        raise ValueError(f"longer than {MAX_REPLY} characters")
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    code, text = line[:3], line[4:]
    if code not in (b"200", b"400", b"500") or line[3:4] not in (b" ", b"\t"):
        raise ValueError(f"it begins with {line[:20]!r}")
    return code, decode(text)


class TcpTable:
    """tcp:host:port."""

    partial = False

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        try:
            endpoint = parse_endpoint(spec.rest)
        except ValueError as error:
            raise spec.bad(str(error), "write tcp:host:port") from None
        self._pool = StreamPool(self.name, endpoint, LIMIT_SECONDS, spec.clock)

    async def lookup(self, key: str) -> Outcome:
        """Ask the server."""
        request = b"get " + encode(key) + b"\n"
        if len(request) > MAX_REPLY:
            return NOT_FOUND
        try:
            code, text = await self._pool.exchange(request, read_reply)
        except Unreachable as error:
            return TempFail(f"{self.name}: {error}")
        if code == b"200":
            return Found(text)
        return NOT_FOUND if code == b"500" else TempFail(f"{self.name}: {text}")

    def close(self) -> None:
        """Close connections."""
        self._pool.close()
