"""Every parameter says what it is for, and every one that does not work says why, in words of its own, in both languages."""

from __future__ import annotations

import functools

import pytest

from tayori.config.lint import names
from tayori.config.lint.finding import Phrase
from tayori.config.maincf import Assignment
from tayori.config.origin import Origin
from tayori.config.params import PARAMETERS, Row, Status
from tayori.programs.language import choose

choose = functools.cache(choose)  # the catalogue is read once, not for each parameter

LEAST = 40
NOT_WHOLE = [row for row in PARAMETERS.values() if row.status not in (Status.IMPLEMENTED, Status.TRANSLATED)]
REASONS = [row for row in PARAMETERS.values() if row.why]


def told(row: Row, language: str) -> tuple[str, str, str]:
    (found,) = names.state(Assignment(row.name, "x", Origin("main.cf", 1), ()))
    return choose(language).finding(found)


def test_every_parameter_says_what_it_is_for() -> None:
    assert [row.name for row in PARAMETERS.values() if not row.doc.endswith((".", "…"))] == []


def test_each_that_does_not_work_says_why() -> None:
    assert [row.name for row in NOT_WHOLE if not row.why.endswith(".")] == []
    assert [row.name for row in PARAMETERS.values() if row.status is Status.IMPLEMENTED and row.why] == []


@pytest.mark.parametrize("language", ["en", "ja"])
def test_no_two_are_told_the_same_and_none_too_little(language: str) -> None:
    meanings: dict[str, str] = {}
    for row in REASONS:
        title, meaning, mend = told(row, language)
        assert row.name in title and mend
        assert meanings.setdefault(meaning, row.name) == row.name
        least = LEAST if language == "en" else LEAST // 2
        assert len(meaning) >= least, (row.name, meaning)


def test_a_family_says_of_which_member_it_speaks() -> None:
    for row in REASONS:
        if isinstance(row.doc, Phrase):
            other = str(next(iter(row.doc.fields.values())))
            assert other in row.doc and ("(" in other or other in PARAMETERS), row.name


def test_japanese_readers_read_japanese() -> None:
    for row in REASONS:
        _, meaning, _ = told(row, "ja")
        assert meaning.endswith("。") and row.why not in meaning, row.name


def test_nothing_is_said_of_a_value_that_works_wholly() -> None:
    for row in PARAMETERS.values():
        if row.whole:
            assert row.status is Status.PARTLY, row.name
            for value, told_of in ((", ".join(row.whole), False), (f"{row.whole[0]} other", True), ("", False)):
                found = list(names.state(Assignment(row.name, value, Origin("main.cf", 1), ())))
                assert bool(found) is told_of, (row.name, value)
