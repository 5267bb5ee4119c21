"""tayori postconf and the real one, the same command on equal folders: what is printed, the exit code, the files.

Folders and command lines are in support/postconf_cases.py. Warnings are compared as sets, without our "did you mean";
of errors it is compared that there is one. DIFFERENT lists what is otherwise on purpose.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.postconf_cases import EDIT_MAIN, EDIT_MASTER, FOLDERS, GENERATED_LINES, SHOW, USAGE, generated

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from differential_postconf import Case, differences, make, ours, real, rounds

# (folder, command line): why the answer is another one. An empty folder means any.
DIFFERENT: dict[tuple[str, str], str] = {
    ("", "-o foo=zzz -x use_of_foo smtp_tls_security_level"): "smtp_tls_security_level is may since Postfix 3.11",
    ("", "-o foo= -x smtp_tls_security_level"): "smtp_tls_security_level is may since Postfix 3.11",
    ("", "myhostname=a myorigin = b c "): "new names are added in the order given, not in that of a hash table",
    ("", "no=1 myhostname=2"): "new names are added in the order given, not in that of a hash table",
    **{
        ("odd", words): "Postfix mixes the -o of two services with one name and type; here each shows its own"
        for words in ("-P", "-Pf", "-Px", "-Ph", "-PH", "-P */*/smtpd_banner", "-Px smtp/inet", "-P -o foo=3 -x")
    },
}
WHOLE = ("plain", "odd")
"""Folders that every command line is tried on; on the others it is every third."""


def cases() -> list[Case]:
    found: list[Case] = []
    for name, texts in FOLDERS.items():
        lines = [line.split() for line in SHOW.strip().splitlines()] + EDIT_MAIN + EDIT_MASTER
        found += [(name, texts, words) for words in (lines if name in WHOLE else lines[::3])]
    found += [("plain", FOLDERS["plain"], line.split()) for line in USAGE.strip().splitlines()]
    found += [(f"made {seed}", generated(seed), words) for seed in range(12) for words in GENERATED_LINES]
    return [case for case in found if not {(case[0], " ".join(case[2])), ("", " ".join(case[2]))} & DIFFERENT.keys()]


def told(found: list[tuple[Case, str, object, object]]) -> str:
    return "\n".join(repr((case[0], case[2], *more)) for case, *more in found)


@pytest.mark.peer
def test_the_same_answers(tmp_path: Path) -> None:
    every = cases()
    assert len(every) > 600
    wrong = differences(every, tmp_path)
    assert not wrong, told(wrong)


@pytest.mark.peer
def test_odd_values(tmp_path: Path) -> None:
    """Some fixed rounds of tests/parity/differential_postconf.py."""
    wrong = differences(rounds(range(1, 16)), tmp_path)
    assert not wrong, told(wrong)


@pytest.mark.peer
@pytest.mark.parametrize(("folder", "words"), [key for key in DIFFERENT if key[0] or "=" not in key[1]])
def test_a_difference_that_is_listed_is_one(folder: str, words: str, tmp_path: Path) -> None:
    texts = FOLDERS[folder or "plain"]
    their = real(make(tmp_path / "real", texts), words.split())
    mine = ours(make(tmp_path / "ours", texts), words.split())
    assert their.out != mine.out


def test_a_last_line_without_an_end_stays_a_line(tmp_path: Path) -> None:
    """Postfix 3.7 would glue the new entry to it."""
    mine = ours(make(tmp_path / "ours", ("foo=1", "smtp inet n - - - - smtpd -v { a b }")), ["bar=2"])
    assert mine.main == "foo=1\nbar = 2\n"


def test_braces_stay_where_there_are_blanks(tmp_path: Path) -> None:
    """Postfix 3.7 takes them from the first argument, and the line means something else."""
    folder = make(tmp_path / "ours", ("", "x unix - - n - - pipe { a b }\n"))
    assert ours(folder, ["-M"]).out == "x          unix  -       -       n       -       -       pipe {a b}\n"
    assert ours(folder, ["-Fh", "x/unix/command"]).out == "pipe {a b}\n"
