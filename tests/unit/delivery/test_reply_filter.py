from __future__ import annotations

import asyncio

import pytest

from tayori.config.settings import Settings
from tayori.delivery.reply_filter import ReplyFilter
from tayori.tables.maps import Maps
from tayori.tables.registry import Tables


def filter_of(rules: str) -> ReplyFilter:
    settings = Settings.of({"smtp_reply_filter": rules})
    return ReplyFilter(Maps.from_settings(Tables(settings), settings, "smtp_reply_filter"))


def test_lines_are_changed_one_by_one_however_they_come() -> None:
    async def all_three() -> list[bytes]:
        replies = filter_of("regexp:{{/^550(.*)/ 450$$1}}")
        return [await replies.feed(some) for some in (b"250-one\r\n55", b"0 5.1.1 no", b"\r\n250 two\n")]

    assert asyncio.run(all_three()) == [b"250-one\r\n", b"", b"450 5.1.1 no\r\n250 two\r\n"]


def test_a_table_that_fails_ends_the_session() -> None:
    with pytest.raises(ConnectionError):
        asyncio.run(filter_of("fail:x").feed(b"250 ok\r\n"))
