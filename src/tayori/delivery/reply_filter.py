"""smtp_reply_filter, lmtp_reply_filter (postconf(5)): replies of other servers, changed line by line before they are
read."""

from __future__ import annotations

from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail


class ReplyFilter:
    """One session's filter: whole lines go through the tables, the rest waits for its end."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._rest = b""

    async def feed(self, data: bytes) -> bytes:
        """What to read instead of `data`; b"" while no line is whole. Raises ConnectionError when a table cannot be
        asked: the session cannot go on without it."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        out = []
        for one in lines:
            text = one.rstrip(b"\r").decode("utf-8", "surrogateescape")
            answer = await self._maps.lookup(text)
            if isinstance(answer, TempFail):
                raise ConnectionError(answer.why)
            if isinstance(answer, Found):
                text = answer.value
            out.append(text.encode("utf-8", "surrogateescape") + b"\r\n")
        return b"".join(out)
