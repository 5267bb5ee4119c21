"""tayori postconf and the real one, the same command on equal folders: what is printed, the exit code, the files.

Folders and command lines are in support/postconf_cases.py. Warnings are compared as sets, without our "did you mean";
of errors it is compared that there is one. DIFFERENT lists what is otherwise on purpose.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from support.peers import require
from support.postconf_cases import EDIT_MAIN, EDIT_MASTER, FOLDERS, GENERATED_LINES, SHOW, USAGE, generated
from tayori.programs.commands.postconf import main

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

HINT = re.compile(r'(; | \((line \d+; )?)did you mean "[^"]*"\?\)?')
OVERRIDING = re.compile(r"^postconf: warning: \S+, line (\d+): overriding earlier entry: (\w+)=")


@dataclass
class Answer:
    code: int
    out: str
    warnings: frozenset[str]
    fatal: bool
    main: str
    master: str


def said(text: str) -> tuple[frozenset[str], bool]:
    lines = [HINT.sub("", line.removeprefix("/usr/sbin/").replace("\t", "?")) for line in text.splitlines()]
    warnings = {" ".join(line.split()) for line in lines if line.startswith("postconf: warning: ")}
    # The real one reads main.cf again and again, and then the last entry of a name comes before the first.
    places: dict[str, list[str]] = {}
    for line in warnings:
        if match := OVERRIDING.match(line):
            places.setdefault(match[2], []).append(line)
    for found in places.values():
        warnings -= set(found)
        warnings.add(max(found, key=lambda line: int(OVERRIDING.match(line)[1])))  # type: ignore[index]
    return frozenset(warnings), any(": fatal: " in line for line in lines)


def after(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_bytes().decode() if path.exists() else ""


def real(folder: Path, words: list[str]) -> Answer:
    command = [require("postconf", "postfix"), *(["-c", "c"] if "-c" not in words else []), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=folder.parent)
    warnings, fatal = said(done.stderr)
    return Answer(done.returncode, done.stdout, warnings, fatal, after(folder, "main.cf"), after(folder, "master.cf"))


def ours(folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> Answer:
    monkeypatch.chdir(folder.parent)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*(["-c", "c"] if "-c" not in words else []), *words])
    warnings, fatal = said(err.getvalue())
    return Answer(code, out.getvalue(), warnings, fatal, after(folder, "main.cf"), after(folder, "master.cf"))


def make(base: Path, texts: tuple[str, str]) -> Path:
    shutil.rmtree(base, ignore_errors=True)
    folder = base / "c"
    folder.mkdir(parents=True)
    (folder / "main.cf").write_bytes(texts[0].encode())
    if texts[1]:
        (folder / "master.cf").write_bytes(texts[1].encode())
    # The real one waits until a file that has just changed has come to rest.
    then = time.time() - 60
    for path in folder.iterdir():
        os.utime(path, (then, then))
    return folder


def cases() -> list[tuple[str, tuple[str, str], list[str]]]:
    found: list[tuple[str, tuple[str, str], list[str]]] = []
    for name, texts in FOLDERS.items():
        lines = [line.split() for line in SHOW.strip().splitlines()] + EDIT_MAIN + EDIT_MASTER
        found += [(name, texts, words) for words in (lines if name in WHOLE else lines[::3])]
    found += [("plain", FOLDERS["plain"], line.split()) for line in USAGE.strip().splitlines()]
    found += [(f"made {seed}", generated(seed), words) for seed in range(12) for words in GENERATED_LINES]
    return [case for case in found if not {(case[0], " ".join(case[2])), ("", " ".join(case[2]))} & DIFFERENT.keys()]


@pytest.mark.peer
def test_the_same_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = cases()
    assert len(every) > 600

    def theirs(number: int) -> Answer:
        return real(make(tmp_path / f"real{number}", every[number][1]), every[number][2])

    # The real one sleeps for a second after an error: many at once.
    with ThreadPoolExecutor(48) as pool:
        expected = list(pool.map(theirs, range(len(every))))
    wrong = []
    for (name, texts, words), their in zip(every, expected, strict=True):
        mine = ours(make(tmp_path / "ours", texts), words, monkeypatch)
        seen = [f.name for f in fields(Answer) if f.name != "warnings" or not (their.fatal and mine.fatal)]
        differ = [(part, getattr(their, part), getattr(mine, part)) for part in seen]
        wrong += [(name, words, part, a, b) for part, a, b in differ if a != b]
    assert not wrong, "\n".join(map(repr, wrong))


@pytest.mark.peer
@pytest.mark.parametrize(("folder", "words"), [key for key in DIFFERENT if key[0] or "=" not in key[1]])
def test_a_difference_that_is_listed_is_one(
    folder: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = FOLDERS[folder or "plain"]
    their = real(make(tmp_path / "real", texts), words.split())
    mine = ours(make(tmp_path / "ours", texts), words.split(), monkeypatch)
    assert their.out != mine.out


def test_a_last_line_without_an_end_stays_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postfix 3.7 would glue the new entry to it."""
    mine = ours(make(tmp_path / "ours", ("foo=1", "smtp inet n - - - - smtpd -v { a b }")), ["bar=2"], monkeypatch)
    assert mine.main == "foo=1\nbar = 2\n"


def test_braces_stay_where_there_are_blanks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postfix 3.7 takes them from the first argument, and the line means something else."""
    folder = make(tmp_path / "ours", ("", "x unix - - n - - pipe { a b }\n"))
    assert (
        ours(folder, ["-M"], monkeypatch).out
        == "x          unix  -       -       n       -       -       pipe {a b}\n"
    )
    assert ours(folder, ["-Fh", "x/unix/command"], monkeypatch).out == "pipe {a b}\n"
