"""cidr, regexp and pcre: order, nesting, substitution, limits, inline rules, bad lines."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.tables.networks import parse_network
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, Table, TempFail
from tayori.tables.patterns import PatternTable, parse_rule, template
from tayori.tables.posix import translate
from tayori.tables.regexp import python_engine
from tayori.tables.registry import Tables


def make(tmp_path: Path, kind: str, text: str) -> Table:
    (tmp_path / "rules").write_text(text)
    return Tables(Settings.of({})).open(f"{kind}:{tmp_path}/rules")


def ask(table: Table, key: str) -> Outcome:
    return asyncio.run(table.lookup(key))


def value(table: Table, key: str) -> str | None:
    answer = ask(table, key)
    assert not isinstance(answer, TempFail)
    return answer.value if isinstance(answer, Found) else None


def test_cidr_first_rule_wins_whatever_its_length(tmp_path: Path) -> None:
    table = make(tmp_path, "cidr", "10.0.0.0/8 wide\n10.1.1.1 narrow\n11.1.1.1 narrow\n11.0.0.0/8 wide\n")
    assert value(table, "10.1.1.1") == "wide"
    assert ask(table, "11.1.1.1") == Found("narrow", Origin(f"{tmp_path}/rules", 3))
    assert value(table, "11.1.1.2") == "wide"


def test_cidr_negation_and_nesting_keep_their_order(tmp_path: Path) -> None:
    table = make(
        tmp_path,
        "cidr",
        "10.0.0.0/8 ten\nif 192.168.0.0/16\nif !192.168.1.0/24\n192.168.2.2 two\nendif\n192.168.1.1 one\nendif\n"
        "!192.168.0.0/16 outside\n192.168.9.9 nine\n",
    )
    wanted = {
        "10.1.1.1": "ten",
        "192.168.2.2": "two",
        "192.168.1.1": "one",
        "8.8.8.8": "outside",
        "192.168.9.9": "nine",
    }
    assert {key: value(table, key) for key in wanted} == wanted
    assert value(table, "192.168.3.3") is None
    assert value(table, "::1") is None, "a rule for IPv4 said something about IPv6"


@pytest.mark.parametrize(
    "line", ["10.0.0.1/8 x", "10.0.0.0 ", "foo x", "if 10.0.0.0/8", "endif", "::/129 x", "if 10.0.0.0/8 x"]
)
def test_cidr_bad_lines_are_named(tmp_path: Path, line: str) -> None:
    table = make(tmp_path, "cidr", f"1.1.1.1 good\n{line}\n")
    assert {problem.line for problem in table.problems} == {2}  # type: ignore[attr-defined]
    assert value(table, "1.1.1.1") == "good"


def test_networks_with_bits_beyond_the_prefix_are_refused() -> None:
    with pytest.raises(ValueError, match=r"write 10\.0\.0\.0/8"):
        parse_network("10.0.0.1/8")
    assert parse_network("[2001:db8::]/32") == parse_network("2001:db8::/32")


def test_five_thousand_cidr_lines_cost_microseconds(tmp_path: Path) -> None:
    table = make(tmp_path, "cidr", "".join(f"10.{n >> 8}.{n & 255}.0/24 net{n}\n" for n in range(5000)))

    async def many() -> float:
        start = time.perf_counter()
        for _ in range(2000):
            await table.lookup("10.19.135.7")
        return (time.perf_counter() - start) / 2000

    assert value(table, "10.19.135.7") == "net4999"
    assert asyncio.run(many()) < 200e-6


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
def test_patterns_in_order_with_substitution(tmp_path: Path, kind: str) -> None:
    table = make(
        tmp_path,
        kind,
        "/^(.*)-list@(.*)$/ to ${1} at $(2) for $$1\nif /@inside$/\n/^a/ inside a\n!/^b/ inside not b\nendif\n/^A@/i case\n",
    )
    assert value(table, "x-list@d") == "to x at d for $1"
    assert value(table, "a@inside") == "inside a"
    assert value(table, "c@inside") == "inside not b"
    assert value(table, "b@inside") is None
    assert value(table, "A@d") == "case" and value(table, "a@d") is None
    assert ask(table, "A@d") == Found("case", Origin(f"{tmp_path}/rules", 6))


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
@pytest.mark.parametrize(
    "line", ["/(/ x", "/a x", "/a/", "/a/q x", "/a/ $2", "!/(a)/ $1", "/a/ $x", "a/ x", "if /a/"]
)
def test_bad_patterns_are_named(tmp_path: Path, kind: str, line: str) -> None:
    table = make(tmp_path, kind, f"/good/ yes\n{line}\n")
    assert [problem.line for problem in table.problems] == [2]  # type: ignore[attr-defined]
    assert value(table, "good") == "yes"


def test_many_patterns_answer_as_one_by_one(tmp_path: Path) -> None:
    lines = [f"/^k{n}x/ v{n}\n" if n % 7 else f"/(q{n})\\1/ back $1\n" for n in range(200)]
    table = make(tmp_path, "pcre", "".join(lines))
    for number in (1, 8, 99, 199):
        assert value(table, f"K{number}Xyz") == f"v{number}"
    assert value(table, "q14q14") == "back q14"
    assert value(table, "none") is None


def test_a_pattern_that_explodes_is_try_later_and_quick(tmp_path: Path) -> None:
    table = make(tmp_path, "pcre", "/^(a+)+$/ x\n")
    start = time.perf_counter()
    answer = ask(table, "a" * 60 + "b")
    assert time.perf_counter() - start < 2.0
    assert isinstance(answer, TempFail) and "line 1" in answer.why
    assert value(table, "aaa") == "x"


def test_bytes_that_are_no_utf8_are_searched_all_the_same(tmp_path: Path) -> None:
    assert value(make(tmp_path, "pcre", "/^sub.ject/ x\n"), "sub\udcffject") == "x"


def test_inline_rules() -> None:
    tables = Tables(Settings.of({}))
    assert value(tables.open("regexp:{{/^a(.)/ got $1}, {/b/ bee}}"), "ax") == "got x"
    assert value(tables.open("cidr:{{10.0.0.0/8 ten}}"), "10.1.1.1") == "ten"
    with pytest.raises(ConfigError, match="rule 2"):
        tables.open("pcre:{{/a/ x}, {/(/ y}}")


@pytest.mark.parametrize(
    ("pattern", "extended", "text", "fits"),
    [
        ("^a{2,3}b?$", True, "aaab", True),
        ("[[:digit:]]+$", True, "x12", True),
        ("^[]a-]+$", True, "]-a", True),
        ("^[^]]$", True, "]", False),
        (r"^\(a\)\1$", False, "aa", True),
        ("^a+$", False, "a+", True),
        ("^a+$", False, "aa", False),
        ("^(a|b)*$", True, "abab", True),
        ("a$", True, "a\n", False),
        (r"^\.$", True, "x", False),
        (r"\<word\>", True, "a word b", True),
        ("^a**$", True, "aaa", True),
        ("^a++$", True, "aaa", True),
        ("^[a\\d]+$", True, "\\d", True),
        ("^[a\\d]+$", True, "5", False),
    ],
)
def test_posix_means_the_same_in_both_engines(pattern: str, extended: bool, text: str, fits: bool) -> None:
    import re

    pcre2 = pytest.importorskip("pcre2")
    assert bool(re.search(translate(pattern, extended, False, r"\Z"), text, re.DOTALL)) is fits
    assert bool(pcre2.compile(translate(pattern, extended, False, r"\z"), 0x20).search(text)) is fits


def test_python_engine_without_pcre2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tayori.tables import regexp

    monkeypatch.setattr(regexp.importlib.util, "find_spec", lambda name: None)
    table = make(tmp_path, "regexp", "/^(x)y/ $1!\n")
    assert isinstance(table, PatternTable) and value(table, "XY") == "X!"
    assert python_engine("t").join(["a"]) is None


def test_pcre_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pcre2", None)
    with pytest.raises(ConfigError, match=r"tayori\[pcre\]"):
        Tables(Settings.of({})).open("pcre:/x")


def test_parse_rule_and_template() -> None:
    assert parse_rule(r"!  /a\/b/ix  OK then") == (True, r"a\/b", "ix", "OK then")
    assert parse_rule("|a/b| x") == (False, "a/b", "", "x")
    assert template("a$1${2}$(3)$$", 3, False) == ("a", 1, 2, 3, "$")


def test_unreadable_rules_are_try_later(tmp_path: Path) -> None:
    assert isinstance(ask(Tables(Settings.of({})).open(f"cidr:{tmp_path}/none"), "1.1.1.1"), TempFail)
    assert ask(make(tmp_path, "cidr", ""), "1.1.1.1") is NOT_FOUND


def test_environ_has_what_import_environment_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("tayori_test", "outer")
    monkeypatch.setenv("tayori_other", "seen")
    tables = Tables(Settings.of({"import_environment": "TZ, tayori_test=inner"}))
    table = tables.open("environ:x")
    values = [asyncio.run(table.lookup(key)) for key in ("TAYORI_TEST", "tayori_other", "tayori_none")]
    assert [getattr(value, "value", None) for value in values] == ["inner", "seen", None]
