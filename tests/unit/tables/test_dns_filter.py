from __future__ import annotations

import asyncio

import pytest

from tayori.config.settings import Settings
from tayori.net.dns import Answer, DnsTempFail, Record, Records, Resolver
from tayori.tables.dns_filter import filtered, line
from tayori.tables.registry import Tables

RULES = "inline:{ {example.com. 60 IN MX 10 bad.example.com. = IGNORE}, {one.example. 60 IN A 192.0.2.1 = ignore}, \
{odd.example. 60 IN A 192.0.2.9 = DROP} }"


class Known(Resolver):
    async def _lookup(self, name: str, kind: str) -> Answer:
        found = {
            ("example.com", "MX"): (Record("bad.example.com", 10, ttl=60), Record("good.example.com", 20, ttl=60)),
            ("one.example", "A"): (Record("192.0.2.1", ttl=60),),
            ("odd.example", "A"): (Record("192.0.2.9", ttl=60),),
        }
        return Records(found[name, kind])


def resolver(rules: str = RULES) -> Resolver:
    settings = Settings.of({"smtp_dns_reply_filter": rules})
    return filtered(Known(["127.0.0.1"]), settings, Tables(settings), "smtp_dns_reply_filter")


def test_a_record_that_is_ignored_is_not_there() -> None:
    answer = asyncio.run(resolver().lookup("example.com", "MX"))
    assert isinstance(answer, Records) and answer.values == ("good.example.com",)


def test_nothing_left_means_later_and_so_does_a_word_that_is_no_action() -> None:
    for name in ("one.example", "odd.example"):
        answer = asyncio.run(resolver().lookup(name, "A"))
        assert isinstance(answer, DnsTempFail) and "smtp_dns_reply_filter" in answer.why


def test_a_table_that_fails_means_later() -> None:
    assert isinstance(asyncio.run(resolver("fail:x").lookup("one.example", "A")), DnsTempFail)


def test_without_a_filter_the_resolver_is_the_same() -> None:
    plain = Resolver(["127.0.0.1"])
    settings = Settings.of({})
    assert filtered(plain, settings, Tables(settings), "smtp_dns_reply_filter") is plain


@pytest.mark.parametrize(
    ("kind", "record", "text"),
    [
        ("A", Record("192.0.2.1", ttl=60), "a.example. 60 IN A 192.0.2.1"),
        ("MX", Record("mx.example", 10, ttl=5), "a.example. 5 IN MX 10 mx.example."),
        ("NS", Record("ns.example", ttl=5), "a.example. 5 IN NS ns.example."),
        ("TXT", Record("words of text", ttl=5), "a.example. 5 IN TXT words of text"),
    ],
)
def test_a_record_as_the_tables_see_it(kind: str, record: Record, text: str) -> None:
    assert line("a.example", kind, record) == text
