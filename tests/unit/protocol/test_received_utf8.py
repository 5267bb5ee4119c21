"""The Received header where names go beyond ASCII, and its `with` (RFC 3848, RFC 6531 4.3)."""

from __future__ import annotations

import itertools

import pytest

from tayori.protocol.received import Trace, received, transmission

WORDS = {
    "SMTP", "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA", "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA",
}  # fmt: skip


def test_with() -> None:
    made = {transmission(*flags) for flags in itertools.product((False, True), repeat=4)}
    assert made == WORDS
    assert transmission(True, True, True, True) == "UTF8SMTPSA" and transmission(False, True, True, True) == "SMTP"


@pytest.mark.parametrize(
    ("recipient", "shown"),
    [
        ("a@b.example", "a@b.example"),
        ("a@straße.example", "a@xn--strae-oqa.example"),
        ("jürgen@straße.example", "jürgen@straße.example"),
        ('"a b"@bücher.example', '"a b"@xn--bcher-kva.example'),
    ],
)
def test_for(recipient: str, shown: str) -> None:
    trace = Trace("h", "c.example", "192.0.2.1", "me", "Postfix", "UTF8SMTP", "1", "DATE", recipient)
    assert f"\tfor <{shown}>; DATE\n".encode() in received(trace)


def test_a_login_is_ascii() -> None:
    trace = Trace("h", "c.example", "192.0.2.1", "me", "Postfix", "ESMTPA", "1", "DATE", login="jürgen")
    assert b"\t(Authenticated sender: j??rgen)\n" in received(trace)
