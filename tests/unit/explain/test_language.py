"""The catalogues are complete, every field of a text is in its translation, and the .po reader reads them."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import tayori
from tayori.config.lint.finding import Message, Phrase
from tayori.config.origin import Origin
from tayori.programs.language import Language, catalogue, choose, entries
from tayori.programs.msgids import in_source, msgids

CATALOGUES = sorted((Path(tayori.__file__).parent / "locale").glob("*.po"))


def fields(text: str) -> list[str]:
    try:
        return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)
    except ValueError:  # no template, but braces of a value's syntax: ${{a} == {b} ? {x} : {y}}
        return sorted(re.findall(r"\{\w+\}", text))


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_no_text_is_missing_untranslated_or_left_over(path: Path) -> None:
    wanted, found = msgids(), catalogue(path.read_text("utf-8"))
    assert [f"{place}: {msgid}" for msgid, place in wanted.items() if msgid not in found] == []
    assert [msgid for msgid in found if msgid not in wanted] == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_translations_have_the_same_fields(path: Path) -> None:
    for source, target, fuzzy in entries(path.read_text("utf-8")):
        if source:
            assert fields(source) == fields(target), source
            assert not fuzzy and target, source


def test_there_is_japanese() -> None:
    assert "ja" in [path.stem for path in CATALOGUES]


def test_no_entry_stands_twice() -> None:
    for path in CATALOGUES:
        sources = [source for source, _, _ in entries(path.read_text("utf-8"))]
        assert len(sources) == len(set(sources))


@pytest.mark.parametrize(
    ("wanted", "locale", "code"),
    [("", "ja_JP.UTF-8", "ja"), ("ja", "C", "ja"), ("en", "ja_JP.UTF-8", "en"), ("", "C.UTF-8", "en"),
     ("", "../ja", "en"), ("xx", "", "en"), ("ja-JP", "", "ja")],
)  # fmt: skip
def test_the_language_is_chosen(monkeypatch: pytest.MonkeyPatch, wanted: str, locale: str, code: str) -> None:
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LC_ALL", locale)
    assert choose(wanted).code == code


def test_lc_all_goes_before_lang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "ja_JP.UTF-8")
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    assert choose().code == "en"


def test_the_po_reader() -> None:
    text = 'msgid ""\nmsgstr "x"\n\n# c\n#, fuzzy\nmsgid "a"\nmsgstr "A"\n\nmsgid "b\\n"\n"c\\"d"\nmsgstr ""\n"B"\n'
    assert catalogue(text) == {'b\nc"d': "B"}
    with pytest.raises(ValueError, match="line 1"):
        catalogue("nonsense")
    with pytest.raises(ValueError, match="line 1"):
        catalogue("msgid 5")


def test_a_phrase_inside_a_finding_is_translated_too() -> None:
    message = Message("error", "x", "bad{hint}", "it is {{bad}}", "")
    finding = message.at(Origin("main.cf", 3), hint=Phrase("; did you mean {near}?", near="good"))
    assert (finding.title, finding.meaning) == ("bad; did you mean good?", "it is {bad}")
    say = Language("xx", {"bad{hint}": "mal{hint}", "; did you mean {near}?": " ({near}?)"})
    assert say.finding(finding) == ("mal (good?)", "it is {bad}", "")


def test_wide_letters_take_two_columns_and_no_line_begins_with_a_stop() -> None:
    lines = Language.wrap("これは長い文章です。main.cf を直してください。", 20, "- ")
    assert all(sum(2 if ord(c) > 0x2E80 else 1 for c in line) <= 22 for line in lines)
    assert not any(line.strip().startswith("。") for line in lines)
    assert "main.cf" in " ".join(lines)
    assert Language.wrap("one two three", 9, "  ") == ["  one two", "  three"]


def test_texts_are_found_in_sources() -> None:
    source = 'say("a")\nN_("b")\nMessage("error", "code", "t", "m", "f")\nother("c")\nsay(variable)\n'
    assert [text for _, text in in_source(source)] == ["a", "b", "t", "m", "f"]
