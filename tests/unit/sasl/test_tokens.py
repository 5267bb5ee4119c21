"""Tokens for relays: from a file that changes, from a command, anew after a refusal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tayori.sasl.tokens import TokenSource, TokenTrouble


def test_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    source = TokenSource(f"file:{file}")

    async def run() -> None:
        with pytest.raises(TokenTrouble, match="No such file"):
            await source.token()
        file.write_text("one\n")
        assert await source.token() == "one"
        file.write_text("second\nrest\n")
        assert await source.token() == "second"
        file.write_text("\n")
        with pytest.raises(TokenTrouble, match="no token"):
            await source.token()

    asyncio.run(run())


def test_command(tmp_path: Path) -> None:
    now = [0.0]
    script = tmp_path / "fetch"
    script.write_text('#!/bin/sh\necho run >> "$1"\necho "token-$(wc -l < "$1" | tr -d " ")"\n')
    script.chmod(0o755)
    source = TokenSource(f"command:{script} {tmp_path}/count", lambda: now[0])

    async def run() -> None:
        assert await asyncio.gather(source.token(), source.token()) == ["token-1", "token-1"]
        source.forget()
        assert await source.token() == "token-2"
        now[0] = 301.0
        assert await source.token() == "token-3"
        script.write_text("#!/bin/sh\nexit 3\n")
        source.forget()
        with pytest.raises(TokenTrouble, match="exit code 3"):
            await source.token()

    asyncio.run(run())


def test_other_words_are_refused() -> None:
    for place in ("", "secret", "file:relative", "http://x"):
        with pytest.raises(TokenTrouble):
            TokenSource(place)
