"""`${name?text}`: what counts is the value as written, postconf(5), as the real Postfix was seen to do."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize(
    "value",
    ["a $", "$$$", "$ x", "$.", "${}", "$()", "${full", "$(full", "${full)", "${full?{a}", "${full?{a} b}", "${full!a}",
     "${full?{a}:{b}c}", "${full:{a}:{b}}", "${full?{a}?{b}}", "${{a} = {b}?c}", "${{a} == b?c}", "${{a}==}", "${full.b}"],
)  # fmt: skip
def test_no_reference(value: str) -> None:
    """What Debian's Postfix 3.7.11 stops at with "macro processing error"."""
    with pytest.raises(ConfigError, match="relayhost"):
        Settings.of({"full": "text", "relayhost": value}).text("relayhost")


@pytest.mark.parametrize(
    ("value", "expected"), [("$$", "$"), ("${full?{a}:b}", "a"), ("${none?{a}:b}", "b"), ("${ full }", "text")]
)
def test_odd_references(value: str, expected: str) -> None:
    assert Settings.of({"full": "text", "relayhost": value}).text("relayhost") == expected


def test_a_circle_is_still_one() -> None:
    with pytest.raises(ConfigError, match="circle"):
        Settings.of({"relayhost": "${relayhost}"}).text("relayhost")


def test_myorigin_may_be_a_file(tmp_path: Path) -> None:
    """Debian's /etc/mailname; as seen with Debian's Postfix 3.7.11."""
    path = tmp_path / "mailname"
    path.write_text(" one.example \ntwo.example\n")
    settings = Settings.of({"myorigin": str(path), "mydestination": "$myorigin, other.example"})
    assert settings.text("myorigin") == "one.example"
    assert settings.items("mydestination") == ("one.example", "other.example")
    assert settings.raw("myorigin") == str(path)
    path.write_text("\n")
    with pytest.raises(ConfigError, match=r"myorigin: .*mailname: the first line is empty"):
        Settings.of({"myorigin": str(path)}).text("myorigin")
    path.unlink()
    with pytest.raises(ConfigError, match="No such file") as caught:
        Settings.of({"x": "y", "myorigin": str(path)}).text("myorigin")
    assert caught.value.origin is not None and caught.value.origin.line == 2


def test_myorigin_in_a_circle() -> None:
    with pytest.raises(ConfigError, match="circle"):
        Settings.of({"myorigin": "$mydestination", "mydestination": "$myorigin"}).text("myorigin")
    with pytest.raises(ConfigError, match="circle"):
        Settings.of({"myorigin": "$mydestination", "mydestination": "$myorigin"}).text("mydestination")
