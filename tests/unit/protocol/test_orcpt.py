"""ORCPT and ENVID: xtext of RFC 3461 4, and the utf-8 address type of RFC 6533 3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol import orcpt

KEPT = [
    # what came, what is kept and sent on, and what a person reads
    ("rfc822;a@b.example", "rfc822;a@b.example", "a@b.example"),
    ("rfc822;e+2Bf+3Dg@b.example", "rfc822;e+2Bf+3Dg@b.example", "e+f=g@b.example"),
    ("rfc822;j+C3+BCrgen@b.example", "rfc822;j+C3+BCrgen@b.example", "jürgen@b.example"),
    ("rfc822;jürgen@b.example", "rfc822;j+C3+BCrgen@b.example", "jürgen@b.example"),
    ("utf-8;jürgen@b.example", r"utf-8;j\x{FC}rgen@b.example", "jürgen@b.example"),
    (r"utf-8;j\x{FC}rgen@b.example", r"utf-8;j\x{FC}rgen@b.example", "jürgen@b.example"),
    (r"utf-8;a\x{2B}b\x{3D}c\x{5C}\x{1F600}", r"utf-8;a\x{2B}b\x{3D}c\x{5C}\x{1F600}", "a+b=c\\😀"),
    ("utf-8;jürgen+2Bx@b.example", r"utf-8;j\x{FC}rgen\x{2B}2Bx@b.example", "jürgen+2Bx@b.example"),
    ("x400;/c=DE", None, None),
    ("x400;/c+3DDE", "x400;/c+3DDE", "/c=DE"),
]


@pytest.mark.parametrize(("came", "kept", "shown"), KEPT)
def test_kept(came: str, kept: str | None, shown: str | None) -> None:
    assert orcpt.accepted(came) == kept
    if kept is not None:
        assert orcpt.decoded(came) == orcpt.decoded(kept) == (came.partition(";")[0], shown)


@pytest.mark.parametrize(
    "bad", ["foo", "rfc822;", ";a", "rfc822;a+zz", r"utf-8;\x{D800}", r"utf-8;\x{110000}", "ü;a"]
)
def test_bad(bad: str) -> None:
    assert orcpt.accepted(bad) is None


def test_own_addresses() -> None:
    assert orcpt.typed("e+f@b.example") == "rfc822;e+2Bf@b.example"
    assert orcpt.typed("jürgen@b.example") == r"utf-8;j\x{FC}rgen@b.example"


def test_envelope_ids() -> None:
    assert orcpt.good_envid("a+2Bb-1") and not orcpt.good_envid("")
    for bad in ("a+C3+BC", "a=b", "a+zz", "ü", "a+0A"):
        assert not orcpt.good_envid(bad)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.sampled_from(["rfc822", "utf-8"])
)
def test_comes_back_and_is_one_ascii_word(address: str, kind: str) -> None:
    wire = orcpt.encoded(kind, address)
    assert wire.isascii() and len(wire.split()) == 1 and wire.isprintable()
    assert orcpt.decoded(wire) == (kind, address)
