"""Header blocks, fields and the addresses inside them (RFC 5322)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.headers import addresses, fields, header_end, replace_addresses


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.c", ["a@b.c"]),
        ("a, b@c, <d>", ["a", "b@c", "d"]),
        ('"D, E" <d@e.org>, x (a, comment) , y', ["d@e.org", "x", "y"]),
        ("group: a, b@c;, d", ["a", "b@c", "d"]),
        ("undisclosed-recipients:;", []),
        ("<@r.org,@s.org:a@b.c>", ["a@b.c"]),
        ('"a b"@c.d', ["a b@c.d"]),
        ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("two words", []),
        ("<>", []),
        ("broken <a@b", []),
    ],
)
def test_addresses(value: str, expected: list[str]) -> None:
    assert [span.address for span in addresses(value)] == expected


@given(st.text(max_size=80))
def test_spans_never_overlap_and_nothing_raises(value: str) -> None:
    spans = addresses(value)
    at = 0
    for span in spans:
        assert at <= span.start < span.end <= len(value)
        at = span.end


def test_replacing_touches_nothing_else() -> None:
    value = ' "X, Y" <a@b> ,\n\tc@d (note)'
    changes = [(span, f"new {number}@x.org") for number, span in enumerate(addresses(value))]
    assert replace_addresses(value, changes) == ' "X, Y" <"new 0"@x.org> ,\n\t"new 1"@x.org (note)'
