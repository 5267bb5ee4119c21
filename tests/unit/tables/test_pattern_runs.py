"""Joined patterns answer what the patterns asked one by one answer, in the order of the file."""

from __future__ import annotations

import asyncio
import importlib.util
import random
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.tables import patterns
from tayori.tables.outcome import Found, Table
from tayori.tables.registry import Tables

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pcre2") is None, reason="needs pcre2 (tayori[pcre])")


def opened(tmp_path: Path, text: str, kind: str = "pcre") -> Table:
    (tmp_path / "t").write_text(text)
    return Tables(Settings.of({"data_directory": str(tmp_path)})).open(f"{kind}:{tmp_path}/t")


def ask(table: Table, key: str) -> str:
    found = asyncio.run(table.lookup(key))
    return found.value if isinstance(found, Found) else ""


def test_a_rule_above_that_fits_further_right_comes_first(tmp_path: Path) -> None:
    table = opened(tmp_path, "/zzz/ one\n/yyy$/ two\n/^a(.)/ three $1\n/b/ four\n")
    assert ask(table, "ab-zzz") == "one"
    assert ask(table, "ab-yyy") == "two"
    assert ask(table, "abx") == "three b"
    assert ask(table, "xb") == "four"
    assert ask(table, "élan b") == "four"
    assert ask(table, "x") == ""


@pytest.mark.parametrize("kind", ["pcre", "regexp"])
def test_joined_and_one_by_one_agree(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)
    lines = []
    for number in range(600):
        word = "".join(chance.choice("abc") for _ in range(chance.randint(2, 5)))
        shape = chance.choice(["/{}/", "/^{}/", "/{}$/", "/({})x?/", "/{}|cab{}/", "!/[abc]{}?/", "/{}/i"])
        group = " $1" if "(" in shape else ""
        lines.append(f"{shape.replace('{}', word)} r{number}{group}\n")
    keys = ["".join(chance.choice("abcABx") for _ in range(chance.randint(1, 9))) for _ in range(300)]
    for start in (0, 200, 400):
        text = "".join(lines[start:])
        joined = opened(tmp_path, text, kind)
        with monkeypatch.context() as patch:
            patch.setattr(patterns._Run, "first", lambda run, text: None)
            alone = opened(tmp_path, text, kind)
            wanted = [ask(alone, key) for key in keys]
        assert [ask(joined, key) for key in keys] == wanted
        assert [ask(joined, key) for key in keys] == wanted


def test_a_changed_file_forgets_what_was_answered(tmp_path: Path) -> None:
    table = opened(tmp_path, "/a/ one\n")
    assert ask(table, "a") == ask(table, "a") == "one"
    other = opened(tmp_path, "/b/ two\n")
    rules, source = other.source.current(), table.source  # type: ignore[attr-defined]
    source.current = lambda: rules
    assert ask(table, "a") == ""
    assert ask(table, "b") == "two"
