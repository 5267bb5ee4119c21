"""OAuth access tokens for logging in to other servers: from a file, or from a command, renewed in time.

`file:PATH`: read again whenever the file changes, as a helper writes it. `command:PATH [arguments]`: run without a
shell; the first line of its output is the token, remembered for `keep` seconds. Both are asked anew once a server has
refused the token (`forget`). One command runs at a time, for at most `seconds`.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path

KEEP = 300.0
SECONDS = 30.0
MAX_BYTES = 65_536


class TokenTrouble(Exception):
    """No token now; the text is for the log and holds none."""


class TokenSource:
    """One source; `place` is the text of the table."""

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic, keep: float = KEEP) -> None:
        """Raises TokenTrouble for a text that is neither."""
        self.kind, _, self._where = place.strip().partition(":")
        if self.kind not in ("file", "command") or not self._where.startswith("/"):
            raise TokenTrouble("tayori_smtp_sasl_token_maps wants name:file:/PATH or name:command:/PATH")
        self._clock, self._keep = clock, keep
        self._token, self._until = "", 0.0
        self._signature: tuple[int, int, int] | None = None
        self._turn = asyncio.Lock()

    async def token(self) -> str:
        """The token as of now. Raises TokenTrouble."""
        async with self._turn:
            try:
                return self._read() if self.kind == "file" else await self._run()
            except OSError as error:
                raise TokenTrouble(f"{self._where}: {error.strerror}") from error

    def forget(self) -> None:
        """The server refused it: ask again next time."""
        self._token, self._signature = "", None

    def _read(self) -> str:
        status = os.stat(self._where)
        signature = (status.st_mtime_ns, status.st_size, status.st_ino)
        if signature != self._signature or not self._token:
            with Path(self._where).open("rb") as file:
                self._token = self._first_line(file.read(MAX_BYTES))
            self._signature = signature
        return self._token

    async def _run(self) -> str:
        if self._token and self._clock() < self._until:
            return self._token
        words = shlex.split(self._where)
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(SECONDS):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise TokenTrouble(f"{words[0]}: no token within {SECONDS:g} seconds") from None
        if process.returncode:
            raise TokenTrouble(f"{words[0]}: exit code {process.returncode}")
        self._token, self._until = self._first_line(said[:MAX_BYTES]), self._clock() + self._keep
        return self._token

    def _first_line(self, data: bytes) -> str:
        text = data.split(b"\n", 1)[0].strip().decode("ascii", "replace")
        if not text or not text.isprintable() or " " in text:
            raise TokenTrouble(f"{self._where.split()[0]}: no token in its first line")
        return text
