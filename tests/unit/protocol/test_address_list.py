"""Address lists of header fields (RFC 5322 3.4); how they are written is in tests/unit/rewrite/test_header_addresses."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.address_list import addresses, parse, written


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.c", ["a@b.c"]),
        ("a, b@c, <d>", ["a", "b@c", "d"]),
        ('"D, E" <d@e.org>, x (a, comment) , y', ["d@e.org", "x", "y"]),
        ("group: a, b@c;, d", ["a", "b@c", "d"]),
        ("undisclosed-recipients:;", []),
        ("<@r.org,@s.org:a@b.c>", ["@r.org, @s.org:a@b.c"]),
        ('"a b"@c.d', ["a b@c.d"]),
        ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("two words", ["two", "words"]),
        ("<>", []),
        ("(note)", []),
        ("broken <a@b", ["broken <a@b"]),
    ],
)
def test_addresses(value: str, expected: list[str]) -> None:
    assert [found.address for found in addresses(parse(value))] == expected


@given(st.text(max_size=80))
def test_everything_is_taken(value: str) -> None:
    items = parse(value)
    text = written("To", items)
    assert text.startswith("To: ") and text.endswith("\n")
    assert all(found.text for found in addresses(items))


@given(st.lists(st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,9})?@[a-z]{1,9}\.example", fullmatch=True), min_size=1))
def test_plain_addresses_come_out_as_they_went_in(names: list[str]) -> None:
    lines = written("Cc", parse(", ".join(names))).splitlines()
    assert all(len(line.strip()) < 70 or "," not in line.rstrip(",") for line in lines)
    assert "".join(line.strip() + " " for line in lines).strip() == "Cc: " + ", ".join(names)


@given(st.text(max_size=40), st.integers(1, 9))
def test_a_limit_takes_the_first(value: str, limit: int) -> None:
    assert sum(len(list(found.address)) > 0 for found in addresses(parse(value, limit))) <= limit


@pytest.mark.parametrize(
    "value", ["a," * 50_000, "(" * 100_000, "<" * 100_000, "a " * 50_000, '"\\' * 50_000, "\\" * 99_999]
)
def test_long_ones_take_no_long_time(value: str) -> None:
    begun = time.process_time()
    written("To", parse(value))
    assert time.process_time() - begun < 10
