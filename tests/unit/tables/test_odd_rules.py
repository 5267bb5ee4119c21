"""Odd rules of cidr, regexp and pcre files, as the real postmap(1) of 3.7 takes or refuses them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.tables.outcome import Found, Table
from tayori.tables.posix import translate
from tayori.tables.registry import Tables


def make(tmp_path: Path, kind: str, text: str) -> Table:
    (tmp_path / "rules").write_text(text)
    return Tables(Settings.of({})).open(f"{kind}:{tmp_path}/rules")


def value(table: Table, key: str) -> str | None:
    answer = asyncio.run(table.lookup(key))
    return answer.value if isinstance(answer, Found) else None


def problems(table: Table) -> list[int]:
    return [problem.line for problem in table.problems]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("rule", "key", "found"),
    [
        ("!!10.0.0.0/8 x", "10.1.1.1", True),
        ("! ! !10.0.0.0/8 x", "10.1.1.1", False),
        ("! 10.0.0.0/8 x", "11.1.1.1", True),
        ("if ! 10.0.0.0/8\n0.0.0.0/0 x\nendif", "11.1.1.1", True),
        ("::1 x", "[::1]", False),
        ("::1 x", "IPv6:::1", False),
        ("fe80::/10 x", "fe80::1%lo", False),
        ("10.1.1.1 x", "::ffff:10.1.1.1", False),
    ],
)
def test_cidr(tmp_path: Path, rule: str, key: str, found: bool) -> None:
    table = make(tmp_path, "cidr", f"{rule}\n")
    assert not problems(table)
    assert value(table, key) == ("x" if found else None)


@pytest.mark.parametrize("rule", ["fe80::1%lo x", "[ipv6:::1] x", "ipv6:::1 x", "010.0.0.0/8 x", "!10.1.1.1", "[] x"])
def test_cidr_refused(tmp_path: Path, rule: str) -> None:
    assert problems(make(tmp_path, "cidr", f"{rule}\n")) == [1]


def fits(pattern: str, text: str, extended: bool = True, case: bool = True) -> bool:
    flags = re.DOTALL | (re.IGNORECASE if case else 0)
    return bool(re.search(translate(pattern, extended, False, r"\Z", case), text, flags))


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("^a{,2}$", "aa", True), ("^a{,2}$", "aaa", False), ("^a{,2}$", "", True), ("^a{,}$", "aaa", True),
        ("^a{2}*$", "aaaa", True), ("^a{2}*$", "aaa", False), ("^a?{2}$", "aa", True), ("^(ab){2}+$", "abababab", True),
        ("^a{2}{3}$", "aaaaaa", True), (r"^(a)\1*b", "aaab", True), ("[:a]", ":", True), ("[:alpha:]?a", "a", True),
        ("^[+--]$", ",", True), ("[a-^]", "Z", True), (r"^\d$", "d", False), (r"^\d$", "1", False), (r"^\D$", "D", True),
    ],
)  # fmt: skip
def test_extended(pattern: str, text: str, expected: bool) -> None:
    assert fits(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [("^^a", "^a", True), ("^^a", "a", False), (r"\+b", "+b", True), (r"a*\+b", "aab", True), (r"^*b", "*b", True),
     (r"\(^a\)", "ba", False), (r"x\|^b", "ab", False)],
)  # fmt: skip
def test_basic(pattern: str, text: str, expected: bool) -> None:
    assert fits(pattern, text, extended=False) is expected


@pytest.mark.parametrize(
    "pattern",
    ["a{", "a{x}", "a{2", "a{}", "{1}a", "*a", "^*", "(*a)", "a|*b", "a{2,1}", "a{32768}", "[a-c-e]", "[[:alpha:]-z]",
     "[a-[:alpha:]]", "[b-a]", "[_-z]", r"\1(a)", r"(a\1)", r"(a)|\1", r"a\b*"],
)  # fmt: skip
def test_extended_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern is wrong"):
        translate(pattern, True, False, r"\Z", True)


@pytest.mark.parametrize("pattern", ["a**", r"a\{1\}\{2\}", r"\{1\}a", r"a\{1", r"a\{x\}"])
def test_basic_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern is wrong"):
        translate(pattern, False, False, r"\Z")


def test_ranges_compare_small_letters_where_case_counts() -> None:
    assert fits("[_-z]", "a", case=False)
    with pytest.raises(ValueError, match="range"):
        translate("[a-^]", True, False, r"\Z", False)


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
def test_substitutions(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pcre2")
    table = make(tmp_path, kind, "/^one(.)/ <$01>\n/^two(.)/ ${1}2\n")
    assert [value(table, key) for key in ("onea", "twoa")] == ["<a>", "a2"]
    for result in ("$0", "$1x", "$2", "$1$", "${1", "$(1}", "${x}"):
        assert problems(make(tmp_path, kind, f"/(a)/ {result}\n")) == [1], result


def test_text_after_the_pattern_of_an_if_is_told_and_the_block_counts(tmp_path: Path) -> None:
    table = make(tmp_path, "regexp", "if /a/ note\n/b/ x\nendif\n/c/ y\n")
    assert problems(table) == [1]
    assert [value(table, key) for key in ("ab", "b", "c")] == ["x", None, "y"]


def test_a_block_whose_pattern_is_wrong_is_dropped_whole(tmp_path: Path) -> None:
    """Postfix drops the `if` line alone, so that its rules hold for everything."""
    table = make(tmp_path, "regexp", "if /a(/\n/b/ OK\nendif\n/c/ y\n")
    assert [value(table, key) for key in ("ab", "c")] == [None, "y"]


def test_pcre_anchored_with_settings_and_extended(tmp_path: Path) -> None:
    pytest.importorskip("pcre2")
    table = make(tmp_path, "pcre", "/(*UTF)^foo/A utf\n/bar$ # note/xA x\n")
    assert [value(table, key) for key in ("foo", "bar", "xbar")] == ["utf", "x", None]
    assert problems(make(tmp_path, "pcre", "/\\u/ x\n")) == [1]
