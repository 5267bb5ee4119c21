"""socketmap: Sendmail's netstring protocol, socketmap_table(5).

`socketmap:inet:host:port:name` or `socketmap:unix:/path:name`; the request is `name key`, the answer begins with
OK, NOTFOUND, TEMP, TIMEOUT or PERM. PERM is "try later" too: the table has not said that the key is absent.
The key is sent as it is, as with tcp:.
"""

from __future__ import annotations

import asyncio

from tayori.tables.outcome import NOT_FOUND, Found, Outcome, TempFail
from tayori.tables.spec import Spec
from tayori.tables.streams import StreamPool, Unreachable, answer_text, parse_endpoint

LIMIT_SECONDS = 100.0
MAX_REPLY = 100_000
MAX_DIGITS = 6


async def read_netstring(reader: asyncio.StreamReader) -> bytes:
    """One netstring. Raises ValueError and EOFError."""
    head = await reader.readuntil(b":")
    digits = head[:-1]
    if not digits.isdigit() or len(digits) > MAX_DIGITS or int(digits) > MAX_REPLY:
        raise ValueError(f"the length {digits[:20]!r} is no number up to {MAX_REPLY}")
    body = await reader.readexactly(int(digits) + 1)
    if body[-1:] != b",":
        raise ValueError("the netstring does not end with a comma")
    return body[:-1]


class SocketmapTable:
    """socketmap:…:name."""

    partial = False

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        where, colon, name = spec.rest.rpartition(":")
        try:
            if not colon or not name or not where.startswith(("inet:", "unix:")):
                raise ValueError("the place of the server or the name of the map is missing")
            endpoint = parse_endpoint(where)
        except ValueError as error:
            raise spec.bad(str(error), "write socketmap:inet:host:port:name or socketmap:unix:/path:name") from None
        self._map = name.encode()
        self._pool = StreamPool(self.name, endpoint, LIMIT_SECONDS, spec.clock)

    async def lookup(self, key: str) -> Outcome:
        """Ask the server."""
        body = self._map + b" " + key.encode("utf-8", "surrogateescape")
        try:
            answer = await self._pool.exchange(b"%d:%s," % (len(body), body), read_netstring)
        except Unreachable as error:
            return TempFail(f"{self.name}: {error}")
        word, blank, data = answer.partition(b" ")
        status = word.decode("ascii", "replace")
        if status == "OK":
            try:  # a bare OK has no answer, as in Postfix
                return Found(answer_text(data)) if blank else NOT_FOUND
            except ValueError as error:
                return TempFail(f"{self.name}: {error}")
        if status == "NOTFOUND":
            return NOT_FOUND
        return TempFail(f"{self.name}: {status[:20]} {data.decode(errors='replace')}".strip())

    def close(self) -> None:
        """Close connections."""
        self._pool.close()
