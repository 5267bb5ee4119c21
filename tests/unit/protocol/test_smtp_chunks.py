"""BDAT's counted content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.smtp_chunks import Chunks, chunk_of
from tayori.protocol.smtp_framing import Framing


@pytest.mark.parametrize(
    ("argument", "asked"),
    [
        (b"0", (0, False)),
        (b"10 LAST", (10, True)),
        (b"003\t last ", (3, True)),
        (b"9223372036854775807", (2**63 - 1, False)),
        (b"9223372036854775808", None),
        (b"99999999999999999999", None),
        (b"", None),
        (b"LAST", None),
        (b"3LAST", None),
        (b"3 LAST x", None),
        (b"3 first", None),
        (b"-1", None),
        (b"+1", None),
        (b"0x1", None),
        (b"1 2", None),
        ("٣".encode(), None),
    ],
)
def test_the_argument(argument: bytes, asked: tuple[int, bool] | None) -> None:
    assert chunk_of(argument) == asked


def whole(*pieces: bytes, stray_cr: bool = True) -> tuple[bytes, int, bool]:
    chunks = Chunks(stray_cr)
    text = b"".join(chunks.feed(piece) for piece in pieces) + chunks.end()
    assert chunks.received == sum(map(len, pieces))
    return text, chunks.size, chunks.bare


@pytest.mark.parametrize(
    ("sent", "text", "size", "bare"),
    [
        (b"", b"", 0, False),
        (b"abc", b"abc\n", 5, False),
        (b"a\r\n.\r\n..\r\n", b"a\n.\n..\n", 10, False),
        (b"\r", b" \n", 3, False),
        (b"ab\nc", b"ab\nc\n", 7, True),
        (b"x" * 3100, b"x" * 3100 + b"\n", 3104, False),
        (b"\r\na\r\r\nb\rc\r\n\rd\r\r\n\r\n", b"\na \nb c\n d \n\n", 18, False),
    ],
)
def test_what_comes_out(sent: bytes, text: bytes, size: int, bare: bool) -> None:
    assert whole(sent) == (text, size, bare)


def test_stray_crs_may_stay() -> None:
    assert whole(b"a\rb\r", stray_cr=False) == (b"a\rb\r\n", 6, False)


@given(st.lists(st.text("\r\n.a", max_size=6).map(str.encode), max_size=6))
def test_borders_mean_nothing(pieces: list[bytes]) -> None:
    assert whole(*pieces) == whole(b"".join(pieces))


@given(st.text("\r\n.a", max_size=20).map(str.encode))
def test_the_same_content_as_by_data(sent: bytes) -> None:
    sent = sent.rstrip(b"\r\n") + b"\r\n"
    framing = Framing("normalize")
    framing.start_body(0)
    stuffed = (b"." if sent.startswith(b".") else b"") + sent.replace(b"\n.", b"\n..")
    framing.feed(stuffed + b".\r\n")
    body = framing.body()
    assert body is not None
    text, _, bare = whole(sent)
    assert (body.content, body.bare) == (text, bare)


def test_raw_bytes_leave_the_rest() -> None:
    framing = Framing()
    framing.feed(b"abcNOOP\r\n")
    assert framing.take_raw(3) == b"abc"
    line = framing.line()
    assert line is not None and line.text == b"NOOP"
    assert framing.take_raw(3) == b""
