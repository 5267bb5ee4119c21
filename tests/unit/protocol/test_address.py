"""The parts of an address: quotes, literals, host names, extensions."""

from __future__ import annotations

import pytest

from tayori.protocol.address import (
    is_literal,
    quote,
    quote_local,
    split,
    split_extension,
    valid_hostname,
)


def test_parts() -> None:
    assert split("a@b@c") == ("a@b", "c")
    assert split("user") == ("user", "")
    assert quote_local("a.b") == "a.b" and quote_local("a b") == '"a b"' and quote_local("a..b") == '"a..b"'
    assert quote_local("é") == "é" and quote_local("é b") == '"é b"'
    assert quote("") == ""
    assert is_literal("[192.0.2.1]") and is_literal("[ipv6:2001:db8::1]")
    assert not is_literal("[2001:db8::1]") and not is_literal("192.0.2.1")
    assert valid_hostname("a-b.c") and valid_hostname("b.c.123") and valid_hostname("bücher.example", unicode=True)
    assert not valid_hostname("1.2.3.4") and not valid_hostname("") and not valid_hostname("a b.c")


@pytest.mark.parametrize(
    ("local", "delimiters", "expected"),
    [
        ("a+b", "+", ("a", "b")),
        ("a-b+c", "+-", ("a", "b+c")),
        ("a+", "+", ("a", "")),
        ("+a", "+", ("+a", "")),
        ("ab", "+", ("ab", "")),
        ("a+b", "", ("a+b", "")),
        ("owner-list", "-", ("owner-list", "")),
        ("list-request", "-", ("list-request", "")),
        ("owner-list+x", "+", ("owner-list", "x")),
        ("MAILER-DAEMON", "-", ("MAILER-DAEMON", "")),
        ("double-bounce", "-", ("double-bounce", "")),
    ],
)
def test_extensions(local: str, delimiters: str, expected: tuple[str, str]) -> None:
    assert split_extension(local, delimiters) == expected
