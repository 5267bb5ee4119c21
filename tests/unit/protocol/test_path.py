"""Paths of MAIL and RCPT: what RFC 5321 4.1.2 allows and what a real smtpd(8) was seen to accept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.address import quote
from tayori.protocol.path import BadPath, Path, parse_path

GOOD = [
    (b"<a@b.c>", "a@b.c", ""),
    (b" <a@b.c> SIZE=10 BODY=8BITMIME", "a@b.c", "SIZE=10 BODY=8BITMIME"),
    (b"<>", "", ""),
    (b"< >", "", ""),
    (b"< a@b.c >", "a@b.c", ""),
    (b"<@x.y,@z.w:a@b.c>", "a@b.c", ""),
    (b'<"a b"@b.c>', "a b@b.c", ""),
    (b'<"a\\"b"@b.c>', 'a"b@b.c', ""),
    (b"<a\\ b@b.c>", "a b@b.c", ""),
    (b'<"a>b"@b.c> X', "a>b@b.c", "X"),
    (b"<a..b@b.c>", "a..b@b.c", ""),
    (b"<a@x@b.c>", "a@x@b.c", ""),
    (b"<a@b_c.d>", "a@b_c.d", ""),
    (b"<a@b.c.>", "a@b.c.", ""),
    (b"<a@[1.2.3.4]>", "a@[1.2.3.4]", ""),
    (b"<a@[IPv6:::1]>", "a@[IPv6:::1]", ""),
    (b"<user>", "user", ""),
    (b"<b!a>", "b!a", ""),
    (b"<<a@b.c>> X", "a@b.c", "X"),
    (b"<a@b.c>>", "a@b.c", ""),
    (b"<)a@b.c>", ")a@b.c", ""),
    (b"<[x]@b.c>", "[x]@b.c", ""),
    (b"<a@[1.2.3.4>", "a@[1.2.3.4]", ""),
    (b"<a@b.c>\rX", "a@b.c", "X"),
]
LENIENT = [
    (b"a@b.c", "a@b.c", ""),
    (b"a@b.c SIZE=1", "a@b.c", "SIZE=1"),
    (b"<a(note)@b.c>", "a@b.c", ""),
    (b"<@b.c>", "@b.c", ""),
    (b'<"@"@b.c>', "@@b.c", ""),
    (b"a@b.c>", "a@b.c", ""),
    (b'"A B"<a@b.c>', "a@b.c", ""),
    (b"A<a@b.c>(note) X", "a@b.c", "X"),
    (b"<a@b.c>,", "a@b.c", ""),
    (b"<a@b.c,>", "a@b.c", ""),
    (b"group:a@b.c; X", "a@b.c", "X"),
    (b"><a@b.c>", "a@b.c", ""),
    (b"(", "", ""),
    (b"<><a@b.c>", "<a@b.c", ""),
    (b"<a@b(.c>", "a@b", ""),
]
BAD = [
    b"<a@b.c", b"<a@b.c>x", b"<a@b.c>SIZE=10", b"<a b@b.c>", b"<a@b..c>", b"<a@.b.c>", b"<a@-b.c>", b"<a@>",
    b"<a@[::1]>", b"<a@[foo]>", b"<a@[1.2.3.400]>", b"<a@1.2.3.4>", b"<a,b@c.d>", b"<a@b.c,d@e.f>", b'<"a@b.c>',
    b"<a[b]@c.d>", b"<a<b@c.d>", b"<-a@b.c>", b"<a\x00@b.c>", b'<"a\rb"@c.d>', b"<x@" + b"a" * 64 + b".c>",
    b"<a@" + b"aa." * 90 + b"c>", b"<a@b\n.c>", b"<a@b.c>\r\nRCPT", b"<\\", b"<a\\>",
    b"<<a@b.c>", b"<a@b.c><d@e.f>", b"<a@b.c>d@e.f", b'<a"x"@b.c>', b'<a""@b.c>', b'<"x"a@b.c>',
]  # fmt: skip


@pytest.mark.parametrize(("text", "address", "rest"), GOOD)
def test_good_in_both_modes(text: bytes, address: str, rest: str) -> None:
    for strict in (False, True):
        found = parse_path(text, smtputf8=False, strict=strict)
        assert isinstance(found, Path) and (found.address, found.parameters) == (address, rest)


@pytest.mark.parametrize(("text", "address", "rest"), LENIENT)
def test_good_unless_strict(text: bytes, address: str, rest: str) -> None:
    found = parse_path(text, smtputf8=False, strict=False)
    assert isinstance(found, Path) and (found.address, found.parameters) == (address, rest)
    assert isinstance(parse_path(text, smtputf8=False, strict=True), BadPath)


@pytest.mark.parametrize("text", BAD)
def test_bad(text: bytes) -> None:
    answer = parse_path(text, smtputf8=True, strict=False)
    assert isinstance(answer, BadPath) and answer.why and not answer.missing


def test_missing_unicode_and_numeric() -> None:
    missing = parse_path(b"  ", smtputf8=False, strict=False)
    assert isinstance(missing, BadPath) and missing.missing
    text = "<é@bücher.example> SMTPUTF8".encode()
    assert isinstance(parse_path(text, smtputf8=False, strict=False), BadPath)
    local = "<é@example.com>".encode()
    assert parse_path(local, smtputf8=False, strict=True) == Path("é@example.com", "")
    assert parse_path(text, smtputf8=True, strict=True) == Path("é@bücher.example", "SMTPUTF8")
    assert isinstance(parse_path(b"<\xe9@b.c>", smtputf8=True, strict=False), BadPath)
    assert parse_path(b"<a@1.2.3.4>", smtputf8=False, strict=False, numeric=True) == Path("a@1.2.3.4", "")


@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_any_bytes_give_a_path_or_a_reason(text: bytes, smtputf8: bool, strict: bool) -> None:
    answer = parse_path(b"<" + text, smtputf8=smtputf8, strict=strict)
    if isinstance(answer, Path):
        assert not any(char < " " for char in answer.address.replace("\t", ""))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30))
def test_quoting_comes_back(local: str) -> None:
    if local.startswith(("-", "@")):  # allow_min_user; not under strict_rfc821_envelopes
        return
    wire = f"<{quote(local + '@example.com')}>".encode()
    found = parse_path(wire, smtputf8=False, strict=True)
    assert isinstance(found, Path) and found.address == f"{local}@example.com"


@pytest.mark.parametrize(
    ("text", "typed"),
    [(b"<a@b.c>", ""), (b"< a@b.c > X", ""), (b"a@b.c", ""), (b'<"a"@b.c>', '"a"@b.c'), (b"<a\\b@c.d>", "a\\b@c.d"),
     (b"<@x.y,@z.w:a@b.c>", "@x.y,@z.w:a@b.c"), (b'<"a b"@b.c> X', '"a b"@b.c')],
)  # fmt: skip
def test_what_the_client_typed(text: bytes, typed: str) -> None:
    found = parse_path(text, smtputf8=False, strict=False)
    assert isinstance(found, Path) and found.typed == typed
