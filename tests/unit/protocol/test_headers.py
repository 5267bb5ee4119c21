"""Header blocks and fields (RFC 5322)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.headers import fields, header_end


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (b"", 0),
        (b"\nbody", 0),
        (b"A: b\n\nbody", 5),
        (b"A: b\n c\n\td\n\nbody", 11),
        (b"A : b\n\n", 6),
        (b"A: b\nno field\nC: d\n", 5),
        (b" A: b\n", 0),
        (b"A: b", 0),
        (b"\xc3\xa9: b\n", 0),
    ],
)
def test_header_end(content: bytes, end: int) -> None:
    assert header_end(content) == end


def test_fields() -> None:
    found = fields(b"Subject : one\n two\nX-Y: \n\n")
    assert [(one.name, one.value) for one in found] == [("subject", b"one\n two"), ("x-y", b"")]
    assert found[0].raw == b"Subject : one\n two\n"


@given(st.binary(max_size=300))
def test_fields_cover_the_block(content: bytes) -> None:
    end = header_end(content)
    assert b"".join(one.raw for one in fields(content[:end])) == content[:end]
