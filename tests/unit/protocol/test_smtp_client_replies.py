from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.smtp_client_content import wire
from tayori.protocol.smtp_client_replies import MAX_LINE, MAX_LINES, BrokenReply, ReplyReader, ServerReply


def test_one_line_and_many() -> None:
    assert ReplyReader().feed(b"250 2.0.0 Ok\r\n") == [ServerReply(250, ("2.0.0 Ok",), "250 2.0.0 Ok", "2.0.0")]
    (reply,) = ReplyReader().feed(b"550-5.1.1 no such user\r\n550 5.1.1 second line\r\n")
    assert reply.text == "550-5.1.1 no such user 550 5.1.1 second line"
    assert (reply.status, reply.good, reply.temporary) == ("5.1.1", False, False)


def test_code_alone_and_bare_lf() -> None:
    assert [r.code for r in ReplyReader().feed(b"250\r\n354 go\n")] == [250, 354]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"550 5.7.1 no", "5.7.1"),
        (b"550 4.7.1 classes differ", "5.0.0"),
        (b"450 no code", "4.0.0"),
        (b"250 2.1.5x", "2.0.0"),
        (b"450 4.1234.1 x", "4.0.0"),
    ],
)
def test_enhanced_code_counts_only_when_its_class_agrees(line: bytes, status: str) -> None:
    assert ReplyReader().feed(line + b"\r\n")[0].status == status


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n",
        b"\r\n",
        b"25 x\r\n",
        b"250x\r\n",
        b"199 x\r\n",
        b"650 x\r\n",
        b"250-a\r\n550 b\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"250 a\0b\r\n",
        b"250 " + b"x" * MAX_LINE + b"\r\n",
        b"x" * (MAX_LINE + 1),
        b"250-x\r\n" * MAX_LINES,
    ],
)
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenReply):
        ReplyReader().feed(data)


@given(
    st.lists(
        st.tuples(
            st.integers(200, 599),
            st.lists(
                st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30), min_size=1, max_size=4
            ),
        ),
        max_size=5,
    ),
    st.data(),
)
def test_any_split_gives_the_same_replies(replies: list[tuple[int, list[str]]], data: st.DataObject) -> None:
    raw = b"".join(
        f"{code}{' ' if n == len(lines) - 1 else '-'}{line}\r\n".encode()
        for code, lines in replies
        for n, line in enumerate(lines)
    )
    reader, found, at = ReplyReader(), [], 0
    while at < len(raw):
        step = data.draw(st.integers(1, 20))
        found += reader.feed(raw[at : at + step])
        at += step
    assert [(r.code, list(r.lines)) for r in found] == replies
    assert not reader.pending()


@given(st.binary(max_size=300))
def test_garbage_never_does_worse_than_broken_reply(raw: bytes) -> None:
    try:
        for reply in ReplyReader().feed(raw):
            assert 200 <= reply.code <= 599 and "\n" not in reply.text
    except BrokenReply as error:
        assert str(error).isprintable()


def unstuffed(data: bytes) -> bytes:
    return b"\n".join(line[1:] if line.startswith(b".") else line for line in data.split(b"\r\n"))


@given(st.binary(max_size=300).map(lambda raw: raw.replace(b"\r", b"")))
def test_wire_form_can_be_undone_and_never_holds_an_end(content: bytes) -> None:
    data = wire(content, 0)
    assert unstuffed(data) == content + (b"\n" if content and not content.endswith(b"\n") else b"")
    assert not any(line == b"." for line in data.split(b"\r\n"))
    assert b"\r" not in data.replace(b"\r\n", b"") and b"\n" not in data.replace(b"\r\n", b"")


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"x"]), max_size=40).map(b"".join))
def test_no_stray_line_end_is_ever_sent(content: bytes) -> None:
    data = wire(content) + b".\r\n"
    assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
    assert (b"\r\n" + data).index(b"\r\n.\r\n") == len(data) - 3


def test_long_lines_are_broken_at_the_limit() -> None:
    data = wire(b"a" * 998 + b"\n" + b"b" * 999 + b"\n" + b"c" * 2500 + b"\n")
    lines = data.split(b"\r\n")[:-1]
    assert lines[0] == b"a" * 998
    assert lines[1:3] == [b"b" * 998, b" b"]
    assert [len(line) for line in lines[3:]] == [998, 998, 506]
    assert all(line.startswith(b" ") for line in lines[4:])
    assert wire(b"x" * 5000, 0) == b"x" * 5000 + b"\r\n"
