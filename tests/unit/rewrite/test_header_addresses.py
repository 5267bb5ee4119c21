"""Values of a Reply-To field, and what cleanup(8) of Postfix 3.7.11 made of each (header_addresses.jsonl, recorded with
myorigin = mydomain = example.com and append_dot_mydomain = yes)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tayori.config.settings import Settings
from tayori.protocol.headers import Field
from tayori.rewrite.classes import Classes
from tayori.rewrite.headerfix import HeaderFix
from tayori.rewrite.mapping import Canonical, Mapper
from tayori.tables.registry import Tables

RECORDED = Path(__file__).with_name("header_addresses.jsonl")
MAIN = {
    "myhostname": "mail.example.com",
    "mydomain": "example.com",
    "myorigin": "example.com",
    "append_dot_mydomain": "yes",
}


def fixed(values: list[str], **more: str) -> list[str]:
    settings = Settings.of({**MAIN, **more})
    tables = Tables(settings)
    mapper = Mapper(settings, Classes(settings, tables))
    fix = HeaderFix(settings, mapper, Canonical(settings, tables, mapper))
    header = [Field("reply-to", f"Reply-To: {value}\n".encode()) for value in values]
    found = asyncio.run(fix.rewritten(header, False))
    assert isinstance(found, list)
    return [one.raw.decode().removeprefix("Reply-To: ").rstrip() for one in found]


def test_as_recorded() -> None:
    rows = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]
    assert len(rows) > 800
    found = fixed([value for value, _ in rows])
    assert [(value, got) for (value, _), got in zip(rows, found, strict=True)] == [tuple(row) for row in rows]


def test_token_limit() -> None:
    values = ["x, b, c", "x (c) b", "<x@y.example> z"]
    assert fixed(values, header_address_token_limit="2") == [
        "x@example.com,",
        "x@example.com (c)",
        '"<x"@example.com',
    ]
