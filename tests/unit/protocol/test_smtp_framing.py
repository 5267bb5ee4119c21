"""Framing: however the bytes are cut, the lines and bodies are the same; only the right sequence ends a body."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.smtp_framing import TAIL, Body, Framing, Line

PIECES = st.lists(
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"hello", b"\0", b"\r\n.\r\n", b"\n.\n", b"\r\n.", b" "]
    ),
    max_size=30,
).map(b"".join)
MODES = ("no", "normalize", "note", "reject")


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


def reference(data: bytes, mode: str) -> int | None:
    """Where the body's end is, by the definition and in one piece: the number of bytes it takes, end included."""
    pattern = rb"(?:\A|\n)\.\r{0,8}\n" if mode == "no" else rb"(?:\A|\r\n)\.\r\n"
    found = re.search(pattern, data)
    return found.end() if found else None


@given(PIECES, st.lists(st.integers(0, 400), max_size=12), st.sampled_from(MODES))
def test_a_body_is_the_same_however_it_is_cut(data: bytes, places: list[int], mode: str) -> None:
    framing = Framing(mode)
    framing.start_body(0)
    found: Body | None = None
    for part in cut(data, places):
        framing.feed(part)
        found = found or framing.body()
    end = reference(data, mode)
    if end is None:
        assert found is None
        return
    assert found is not None and found.content is not None
    assert framing.pending() == len(data) - end
    whole = Framing(mode)
    whole.start_body(0)
    whole.feed(data)
    assert whole.body() == found
    assert b"\r" not in found.content
    assert found.size == len(re.split(rb"\.\r*\n\Z", data[:end])[0])


@given(
    PIECES,
    st.lists(st.integers(0, 400), max_size=12),
    st.sampled_from(MODES),
    st.booleans(),
    st.sampled_from([0, 20, 200]),
)
def test_a_body_in_pieces_is_the_same(data: bytes, places: list[int], mode: str, stray: bool, limit: int) -> None:
    data += b"\r\n.\r\nNOOP\r\n"
    whole = Framing(mode, stray_cr=stray)
    whole.start_body(limit)
    whole.feed(data)
    wanted = whole.body()
    framing = Framing(mode, stray_cr=stray)
    framing.start_body(limit)
    taken: list[bytes] = []
    found: Body | None = None
    for part in cut(data, places):
        framing.feed(part)
        found = found or framing.body()
        if found is None and framing.pending() > 2 * TAIL:
            taken.append(framing.take())
    assert found is not None and wanted is not None
    assert (found.size, found.content is None) == (wanted.size, wanted.content is None)
    if wanted.content is not None and found.content is not None:
        assert b"".join((*taken, found.content)) == wanted.content
        assert found.bare == wanted.bare
    assert framing.line() == whole.line()


@given(PIECES, st.lists(st.integers(0, 400), max_size=12), st.sampled_from(MODES), st.integers(1, 40))
def test_a_body_over_the_limit_ends_at_the_same_place(data: bytes, places: list[int], mode: str, limit: int) -> None:
    framing = Framing(mode)
    framing.start_body(limit)
    found: Body | None = None
    for part in cut(data, places):
        framing.feed(part)
        found = found or framing.body()
        if found is None:
            assert framing.pending() <= max(limit + 11, len(part))
    end = reference(data, mode)
    assert (found is None) == (end is None)
    if found is not None and end is not None:
        assert framing.pending() == len(data) - end
        assert (found.content is None) == (found.size > limit)


@given(PIECES, st.lists(st.integers(0, 400), max_size=12))
def test_lines_are_the_same_however_they_are_cut(data: bytes, places: list[int]) -> None:
    framing, lines = Framing(), []
    for part in cut(data, places):
        framing.feed(part)
        while (line := framing.line()) is not None:
            lines.append(line)
    wanted = [Line(row.removesuffix(b"\r"), not row.endswith(b"\r")) for row in data.split(b"\n")[:-1]]
    assert lines == wanted


def test_an_overlong_line_is_cut_and_bounded() -> None:
    framing = Framing(line_limit=10)
    for _ in range(1000):
        framing.feed(b"x" * 100)
        assert framing.line() is None
        assert framing.pending() <= 110
    framing.feed(b"\r\nnext\r\n")
    line = framing.line()
    assert line == Line(b"x" * 10, bare=False, overlong=True)
    assert framing.line() == Line(b"next")


@pytest.mark.parametrize(
    ("sent", "content", "bare"),
    [
        (b"a\r\n.\r\n", b"a\n", False),
        (b".\r\n", b"", False),
        (b"..a\r\n...\r\n.\r\n", b".a\n..\n", False),
        (b"a\nb\r\n.\r\n", b"a\nb\n", True),
        (b"a\rb\r\n.\r\n", b"a b\n", False),
        (b"a\r\n.b\r\n.\r\n", b"a\nb\n", False),
    ],
)
def test_content(sent: bytes, content: bytes, bare: bool) -> None:
    """Dots unstuffed (RFC 5321 4.5.2), LF line ends, stray CR as a blank, bare LF reported."""
    framing = Framing("normalize")
    framing.start_body(0)
    framing.feed(sent)
    assert framing.body() == Body(content, len(sent) - 3, bare)


def test_what_follows_the_end_stays() -> None:
    framing = Framing()
    framing.start_body(0)
    framing.feed(b"x\r\n.\r\nQUIT\r\n")
    assert framing.body() is not None
    assert framing.line() == Line(b"QUIT")
    framing.feed(b"EHLO evil\r\n")
    framing.discard()
    assert framing.line() is None and framing.pending() == 0


def test_stray_cr_may_be_kept() -> None:
    framing = Framing(stray_cr=False)
    framing.start_body(0)
    framing.feed(b"a\rb\r\n.\r\n")
    body = framing.body()
    assert body is not None and body.content == b"a\rb\n"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"hi\n.\nfoo", b"hi\nfoo\n"),
        (b"hi\r\n.\nfoo", b"hi\nfoo\n"),
        (b"hi\n.\r\nfoo", b"hi\nfoo\n"),
        (b"hi\n..\nfoo", b"hi\n.\nfoo\n"),
        (b".\nfoo", b"foo\n"),
        (b".\n.\n..foo", b".foo\n"),
        (b"hi\n.\r\n.\n.\nfoo", b"hi\nfoo\n"),
        (b"hi\r\n.\r\r\nfoo", b"hi\n \nfoo\n"),
    ],
)
def test_a_dot_that_ends_nothing_is_left_out(sent: bytes, kept: bytes) -> None:
    framing = Framing("normalize")
    framing.start_body(0)
    framing.feed(sent + b"\r\n.\r\n")
    body = framing.body()
    assert body is not None and body.content == kept


def test_a_lone_dot_between_two_pieces() -> None:
    for lines in (
        b"x" * 40 + b"\n.\nfoo",
        (b"x" * 40 + b"\n.\n.\r\n..\n") * 3,
        b".\n" * 60 + b"foo",
        b".\n.\r\n" * 50,
    ):
        whole = Framing("normalize")
        whole.start_body(0)
        whole.feed(lines + b"\r\n.\r\n")
        body = whole.body()
        for at in range(1, len(lines)):
            framing = Framing("normalize")
            framing.start_body(0)
            taken = b""
            for part in (lines[:at], lines[at:], b"\r\n", b".\r\n"):
                framing.feed(part)
                found = framing.body()
                if found is None and framing.pending() > 2 * TAIL:
                    taken += framing.take()
            assert found is not None and body is not None and found.content is not None
            assert taken + found.content == body.content, at
