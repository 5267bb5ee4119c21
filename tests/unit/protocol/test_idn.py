"""A-labels and U-labels: what a real Postfix 3.7 (ICU) was seen to accept and to ask DNS for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol import idn
from tayori.protocol.address import valid_hostname

FORMS = [
    ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER.example", "xn--bcher-kva.example"),
    ("ＢÜcher。example", "xn--bcher-kva.example"),
    ("bücher.example.", "xn--bcher-kva.example."),
    ("straße.example", "xn--strae-oqa.example"),
    ("οδός.example", "xn--pxavk3b.example"),
    ("💩.example", "xn--ls8h.example"),
    ("i❤.example", "xn--i-7iq.example"),
    ("אa.example", "xn--a-zhc.example"),
    ("foo_bar.ü", "foo_bar.xn--tda"),
    ("xn--bcher-kva.ü", "xn--bcher-kva.xn--tda"),
    ("℡.example", "tel.example"),
    ("example.com", "example.com"),
]
NONE = [
    "\u0300a.example", "ab--cdü.example", "ü" * 60 + ".example", "ü-.example", "-ü.example", "ü..example", ".ü",
    "\ufffd.example", "\u2028.example", "\ue000.example", "xn--zz.ü", "a-.ü",
]  # fmt: skip
NO_HOSTS = ["bü cher.example", "bü/cher.example", "bü!.example", "[ü]", "b＞\u3000SIZE＝1.example", "＂ü＂.example"]


@pytest.mark.parametrize(("unicode", "ascii_"), FORMS)
def test_a_label(unicode: str, ascii_: str) -> None:
    assert idn.to_ascii(unicode) == ascii_
    assert valid_hostname(unicode.removesuffix("."), unicode=True)


@pytest.mark.parametrize("name", NONE)
def test_no_a_label(name: str) -> None:
    assert idn.to_ascii(name) is None
    assert not valid_hostname(name, unicode=True)


@pytest.mark.parametrize("name", NO_HOSTS)
def test_no_host_name(name: str) -> None:
    assert idn.to_ascii(name) is None and idn.a_labels(f"a@{name}") == f"a@{name}"
    assert not valid_hostname(name, unicode=True)


def test_only_where_asked_for() -> None:
    assert not valid_hostname("bücher.example")


def test_idna2003_compatibility() -> None:
    assert idn.to_ascii("straße.example", transitional=True) == "strasse.example"
    assert idn.to_ascii("ς.example", transitional=True) == idn.to_ascii("σ.example")


def test_u_label() -> None:
    assert idn.to_unicode("xn--bcher-kva.example") == "bücher.example"
    assert idn.to_unicode("XN--BCHER-KVA.example.") == "bücher.example."
    assert idn.to_unicode("mail.xn--ls8h.example") == "mail.💩.example"
    # no true A-label, or text that would mislead a reader
    for name in ("xn--zz.example", "xn--a.example", "xn--b cher-3ya.example", "xn--ab-m1t.example", "example.com"):
        assert idn.to_unicode(name) == name


def test_other_form() -> None:
    assert idn.other_form("bücher.example") == "xn--bcher-kva.example"
    assert idn.other_form("xn--bcher-kva.example") == "bücher.example"
    assert idn.other_form("example.com") == idn.other_form("ü..example") == ""


def test_lower_case_keeps_the_domain() -> None:
    assert idn.lower("ΟΔΟΣ.Example") == "οδοσ.example"
    assert idn.to_ascii(idn.lower("ΟΔΟΣ.example")) == idn.to_ascii("ΟΔΟΣ.example")
    assert idn.lower("STRAßE.example") == "straße.example"


@given(st.text(max_size=40))
def test_any_text(name: str) -> None:
    ascii_ = idn.to_ascii(name)
    assert ascii_ is None or ascii_.isascii()
    if ascii_ is not None and not name.isascii():
        assert idn.to_ascii(idn.to_unicode(ascii_)) == ascii_.lower()
