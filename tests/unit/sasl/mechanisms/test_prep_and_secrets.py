"""SASLprep (RFC 4013 3) and SCRAM stored keys."""

from __future__ import annotations

import pytest

from tayori.sasl import secrets
from tayori.sasl.prep import PrepError, saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("ｱ", "ア"),
        ("太郎", "太郎"),
        ("\u00ad", ""),
    ],
)
def test_rfc4013_examples(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031", "a\u0627", "\ue000", "\ufffd", "\u0221", "\U000e0001"])
def test_rfc4013_prohibits(text: str) -> None:
    with pytest.raises(PrepError):
        saslprep(text)


def test_unassigned_is_let_through_in_a_query() -> None:
    assert saslprep("\u0221", query=True) == "\u0221"


POSTGRES = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_postgresql_form_of_rfc7677s_password() -> None:
    keys = secrets.parse(POSTGRES)
    assert keys is not None
    assert secrets.matches(keys, "pencil")
    assert not secrets.matches(keys, "Pencil")
    assert secrets.dollars(keys) == POSTGRES
    assert secrets.parse(secrets.braces(keys)) == keys


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pencil",
        "{SCRAM-SHA-256}",
        POSTGRES.replace("4096", "0"),
        POSTGRES.replace("4096", "99999999"),
        POSTGRES.replace("WG5d8oPm", ""),
        POSTGRES.replace("256", "255"),
        POSTGRES.replace("SHA-256", "SHA-512"),
        POSTGRES + "x",
        POSTGRES.replace("W22Z", "W2!Z"),
    ],
)
def test_damaged_keys_are_none(text: str) -> None:
    assert secrets.parse(text) is None


def test_password_is_prepared_before_derivation() -> None:
    assert secrets.derive("SHA-256", "\u2168", b"salt") == secrets.derive("SHA-256", "I\u00adX", b"salt")
