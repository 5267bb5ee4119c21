"""The MIME walk: every byte of the body once, each in its kind (RFC 2046, header_checks(5))."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.mime import walk

MIXED = [("content-type", b'multipart/mixed; charset=x; boundary="b b"')]
BODY = (
    b"\npreamble\n--b b\nContent-Type: text/html;\n name=x\n\nhtml\n--b b\nContent-Type: multipart/alternative;"
    b" boundary=in\n\n--in\n\nleft\n--in--\n--b b\nContent-Type: message/rfc822\n\nSubject: inside\n"
    b"Content-Type: text/plain\n\ntext\n--b b--\nepilogue\n"
)


def kinds(body: bytes, primary: list[tuple[str, bytes]], **limits: int) -> list[tuple[str, bytes]]:
    return [(item.kind, body[item.start : item.end]) for item in walk(body, 0, primary, **limits)]


def test_kinds() -> None:
    found = kinds(BODY, MIXED)
    assert [raw for kind, raw in found if kind == "mime"] == [
        b"Content-Type: text/html;\n name=x\n",
        b"Content-Type: multipart/alternative; boundary=in\n",
        b"Content-Type: message/rfc822\n",
        b"Content-Type: text/plain\n",
    ]
    assert [raw for kind, raw in found if kind == "nested"] == [b"Subject: inside\n"]
    assert ("body", b"epilogue\n") in found and ("body", b"--in--\n") in found


def test_no_mime_is_all_body() -> None:
    assert {kind for kind, _ in kinds(BODY, [])} == {"body"}
    assert {kind for kind, _ in kinds(BODY, [("content-type", b"text/plain; boundary=b")])} == {"body"}


def test_limits() -> None:
    assert [kind for kind, raw in kinds(BODY, MIXED, body_limit=0)] == ["mime"] * 3 + ["nested", "mime"]
    assert ("body", b"--in\n") in kinds(BODY, MIXED, nesting_limit=1)
    started = time.perf_counter()
    assert kinds(b"x\n" * 2_000_000, MIXED, body_limit=0) == []
    assert time.perf_counter() - started < 1


def test_encoded_messages_are_not_looked_into() -> None:
    body = b"\n--x\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nSubject: no\n\n--x--\n"
    assert not [
        raw for kind, raw in kinds(body, [("content-type", b"multipart/mixed; boundary=x")]) if kind == "nested"
    ]


@given(st.lists(st.sampled_from([b"\n", b"--x\n", b"--x--\n", b"A: b\n", b"Content-Type: message/rfc822\n", b"z"])))
def test_items_are_in_order(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    at = 0
    for item in walk(body, 0, [("content-type", b"multipart/mixed; boundary=x")]):
        assert at <= item.start < item.end
        at = item.end
    assert at <= len(body)
