"""`${name?text}`: what counts is the value as written, postconf(5), as the real Postfix was seen to do."""

from __future__ import annotations

import pytest

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${empty?yes}${empty:no}", "no"),
        ("${full?yes}${full:no}", "yes"),
        ("${refers?yes}${refers:no}", "yes"),  # written as $empty: not empty, though its expansion is
        ("${relayhost?itself}", "itself"),
        ("${nosuch?yes}${nosuch:no}", "no"),
        ("${full?{$full}:{b}}", "text"),
    ],
)
def test_present(value: str, expected: str) -> None:
    settings = Settings.of({"empty": "", "full": "text", "refers": "$empty", "relayhost": value})
    assert settings.text("relayhost") == expected


def test_a_circle_is_still_one() -> None:
    with pytest.raises(ConfigError, match="circle"):
        Settings.of({"relayhost": "${relayhost}"}).text("relayhost")
