"""The words of alias files, as the real postalias(1) keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tayori.programs.commands import postalias, postmap
from tayori.tables.aliaswords import split


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("root: admin", "root", "admin"),
        ("List : a,b ,  c@d.example", "List", "a, b, c@d.example"),
        ("a b: c", "a b", "c"),
        ('"with  blank" : y', "with  blank", "y"),
        ('"q:colon"x: y', "q:colon x", "y"),
        ('"a@b": x', "a@b", "x"),
        (r"a\@b: x", "a@b", "x"),
        (r"a\ b: x\ y", "a b", '"x y"'),
        (r'"a\"b": "c\"d"', 'a"b', r'"c\"d"'),
        (r'"a\\b": [c\\d]', r"a\b", r"[c\\d]"),
        ("x(a: b): z", "x (a: b)", "z"),
        ("k:: v", "k", ":v"),
        ("x: a ; b | c ! d", "x", "a;b|c!d"),
        (r"x: \!", "x", '"!"'),
        ("x: a<b> , <c>", "x", "a <b>, <c>"),
        ("x: a , , b,", "x", "a, , b, "),
        ('x: "|cmd  a" "b"c', "x", '"|cmd  a" "b" c'),
        ("x: :include:/a b", "x", ":include:/a b"),
        (r"x: \bob", "x", "bob"),
        ('x: "open', "x", '"open"'),
        ("x: (open [a", "x", "(open [a"),
        ("x: [ a", "x", "[ a]"),
        ("x: v # no comment", "x", "v # no comment"),
        ('"": x', "", "x"),
    ],
)
def test_name_and_value(line: str, name: str, value: str) -> None:
    assert split(line) == (name, value)


@pytest.mark.parametrize("line", ["nothing", "a:", ": b", "a, b: c", '"a: b', "(a: b", "[a: b", "<a,b>: x"])
def test_no_alias(line: str) -> None:
    assert split(line) is None


@pytest.mark.parametrize("line", ["a@b: c", "@: c", "a%b: c", '"a"@b: c', "<a@b>: c"])
def test_names_are_local(line: str) -> None:
    with pytest.raises(ValueError, match="@"):
        split(line)


def test_postmap_asks_an_alias_file_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "names"
    path.write_text('Root: a,b\n"x y": c\n')
    main_cf = tmp_path / "main.cf"
    ask = ["-c", str(tmp_path), "-q", "root", f"hash:{path}"]
    main_cf.write_text(f"alias_maps = proxy:btree:{path}\nalias_database =\n")
    assert postmap.main(ask) == 0
    assert postmap.main(["-c", str(tmp_path), "-s", f"hash:{path}"]) == 0
    assert capsys.readouterr().out == "a, b\nroot\ta, b\nx y\tc\n"
    assert postmap.main(["-c", str(tmp_path), "-i", f"hash:{path}"]) == 1
    assert "is an alias file" in capsys.readouterr().err
    assert postmap.main(["-c", str(tmp_path), "-d", "x y", f"hash:{path}"]) == 0
    assert path.read_text() == "Root: a,b\n"
    main_cf.write_text("alias_maps =\nalias_database =\n")
    assert postmap.main(ask) == 1
    assert postalias.main(ask) == 0
