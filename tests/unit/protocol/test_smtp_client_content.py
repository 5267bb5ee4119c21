"""Content in pieces goes out exactly as in one piece."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.smtp_client_content import LONG, Wire, wire

CONTENT = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"\n.", b"a", b"hello there", b"x" * 40, b" "]), max_size=30
).map(b"".join)


@given(CONTENT, st.lists(st.integers(0, 900), max_size=12), st.sampled_from([0, 2, 7, 30]), st.integers(1, 60))
def test_pieces_make_the_whole(data: bytes, places: list[int], limit: int, long: int) -> None:
    out = Wire(limit, long)
    marks = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    found = [out.feed(data[a:b]) for a, b in itertools.pairwise(marks)]
    assert b"".join((*found, out.end())) == wire(data, limit)


@pytest.mark.parametrize("limit", [0, 998])
def test_a_line_without_an_end_is_not_gathered(limit: int) -> None:
    out = Wire(limit)
    sent = 0
    for _ in range(64):
        sent += len(out.feed(b"x" * LONG))
    assert sent >= 63 * LONG
