"""One POST at a time over httpx, for httpform and oauth. Redirects are not followed: a secret goes nowhere else."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

from tayori.sasl.verifiers.guard import Trouble, describe

_MOST = 1 << 20
LIBRARIES = ("httpx", "httpcore", "anyio._backends._asyncio", "h11", "encodings.idna")


class Web:
    """A client. `seconds` is the limit of one request."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._tls = ssl.create_default_context()  # the system's authorities; read once, while they can be read

    async def post(self, url: str, body: str, auth: tuple[str, str] | None = None) -> tuple[int, bytes]:
        """(status, body). Raises Trouble."""
        try:
            import httpx
        except ImportError as error:
            raise Trouble("needs the httpx library: pip install 'tayori[oauth]'") from error
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            async with httpx.AsyncClient(timeout=self._seconds, trust_env=False, verify=self._tls) as client:
                answer = await client.post(url, content=body, headers=headers, auth=auth or httpx.USE_CLIENT_DEFAULT)
        except httpx.HTTPError as error:
            raise Trouble(f"{urlsplit(url).hostname}: {type(error).__name__}") from error
        if len(answer.content) > _MOST:
            raise Trouble("an answer of more than 1 MiB")
        return answer.status_code, answer.content

    async def probe(self, url: str) -> str:
        """Empty when the host takes connections."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection(parts.hostname, port)
        except (OSError, TimeoutError) as error:
            return f"{parts.hostname}:{port}: {describe(error) or 'no answer'}"
        writer.transport.abort()
        return ""
