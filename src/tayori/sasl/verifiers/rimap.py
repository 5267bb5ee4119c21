"""rimap: the password is right when an IMAP server takes it (saslauthd's `-a rimap`), RFC 9051 6.2.3 LOGIN.

`host[/port]`; port 993 or the service name imaps means TLS from the start with the certificate checked; without it
the password crosses the wire in the clear, as with Cyrus, so that only the loopback is taken without TLS.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl

from tayori.config.origin import ConfigError
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble

_LITERAL = re.compile(rb"[\x00\r\n\"\\\x80-\xff]")


class Rimap:
    """Verifier. `context` is the TLS context for port 993 (None: the system's trusted names)."""

    secrets = False

    def __init__(
        self,
        host: str,
        port: int = 143,
        *,
        tls: bool | None = None,
        seconds: float = 20.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = f"rimap:{host}/{port}"
        self._host, self._port = host, port
        self._tls = port == 993 if tls is None else tls
        self._context = context
        self._guard = Guard(self.name, at_once=20, seconds=seconds)

    @classmethod
    def from_option(cls, option: str) -> Rimap:
        """From saslauthd's `-O host[/port]`. Raises ConfigError."""
        host, _, port = option.partition("/")
        try:
            number = int(port) if port.isdigit() else socket.getservbyname(port or "imap", "tcp")
        except OSError as error:
            raise ConfigError(f"{port} is not a port", mend="write host/143 or host/993") from error
        if number != 993 and not _is_local(host):
            raise ConfigError(
                f"rimap to {host}/{number} would send every password unencrypted", mend=f"write {host}/993"
            )
        return cls(host, number)

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Log in, and out again."""
        name = f"{username}@{realm}" if realm else username

        async def ask() -> Verdict:
            answer, text = await self._login(name, password)
            if answer == "OK":
                return Accepted(name, self.name)
            if answer == "NO" and "UNAVAILABLE" not in text.upper():
                return Refused(f"the IMAP server said NO {text}", self.name)
            why = f"the IMAP server said {answer} {text}"
            if answer == "BAD":
                return TryLater(why, self.name)  # it does not like this name: others may do
            raise Trouble(why)

        return await self._guard.run(ask)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """An IMAP server gives no secrets."""
        return Refused("an IMAP server can only check passwords", self.name)

    async def probe(self) -> str:
        """Empty when it greets."""

        async def look() -> str:
            _, writer = await self._connect()
            writer.transport.abort()
            return ""

        answer = await self._guard.run(look)
        return answer.why if isinstance(answer, TryLater) else answer

    def close(self) -> None:
        """Nothing is kept open."""
        self._guard.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = (self._context or ssl.create_default_context()) if self._tls else None
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=context, limit=16384)
        greeting = await _line(reader)
        if not greeting.startswith(b"* OK"):
            writer.transport.abort()
            raise Trouble(f"the IMAP server greets with {greeting[:60].decode('ascii', 'replace')!r}")
        return reader, writer

    async def _login(self, name: str, password: str) -> tuple[str, str]:
        reader, writer = await self._connect()
        try:
            pieces = [b"a LOGIN "]
            for at, text in enumerate((name, password)):
                data = text.encode("utf-8", "surrogateescape")
                if _LITERAL.search(data):
                    pieces[-1] += b"{%d}\r\n" % len(data)
                    pieces.append(data)
                else:
                    pieces[-1] += b'"' + data + b'"'
                pieces[-1] += b" " if at == 0 else b"\r\n"
            for at, piece in enumerate(pieces):
                writer.write(piece)
                await writer.drain()
                if at + 1 < len(pieces):
                    answer = await self._answer(reader, b"+")
                    if answer[0] != "+":
                        return answer
            return await self._answer(reader, b"a ")
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, wanted: bytes) -> tuple[str, str]:
        for _ in range(100):
            line = await _line(reader)
            if line.startswith(b"+") and wanted == b"+":
                return "+", ""
            if line.startswith(b"a "):
                word, _, text = line[2:].decode("utf-8", "replace").strip().partition(" ")
                return word.upper(), text[:100]
            if line.startswith(b"* BYE"):
                raise Trouble("the IMAP server hung up")
        raise Trouble("the IMAP server talks without end")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Trouble("the IMAP server hung up") from error


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
