"""postmap and postalias, their options one by one, against the real ones: output and exit code."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.peers import require
from tayori.programs.commands import postalias, postmap

MESSAGE = """\
From: a@b
Subject: x
 y
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=BB

preamble: p
--BB
Content-Type: text/plain
X-Part: 1

body: one
  two

--BB
Content-Type: message/rfc822

Subject: inner
Content-Type: text/html

inner body: z
--BB--
epilogue: e
"""
SOURCE = "a 1\nb one two\n# note\nA 2\nbad\nc\n  3\n"
ALIASES = "root: admin\nlist: a@example.com,\n b@example.com\n"
NO_HEADER = "not a header\nFrom: x\n\nbody\n"

# command line (@ is the folder), standard input
MAP_LINES: list[tuple[str, str]] = [
    *((f"-{letters}q - regexp:@/all", MESSAGE) for letters in ("", "h", "b", "hb", "hm", "bm", "hbm", "m", "hU", "bu")),
    *((f"-{letters}q - regexp:@/all", NO_HEADER) for letters in ("h", "b", "hb", "hm", "bm")),
    *((f"{options} -q {key} hash:@/source", "") for options in ("-f", "-u", "-U", "-N", "-n", "-o", "-p", "-v")
      for key in ("a", "A", "b", "c", "nope")),
    ("-q - hash:@/source", "a\nb\nnope\nA\nc\n"),
    ("-q - hash:@/source", "nope\n"),
    ("-q - hash:@/source", ""),
    ("-q nope hash:@/source static:all", ""),
    ("-fq A hash:@/source", ""),
    ("-q a fail:x", ""),
    ("-q a foo:x", ""),
    ("-q a hash:@/nofile", ""),
    ("-q a", ""),
    ("-Z", ""),
    ("", ""),
    ("-bq a hash:@/source", ""),
    ("-hm hash:@/source", ""),
    ("-s -q a hash:@/source", ""),
    ("-d a -q a hash:@/source", ""),
    ("-s cidr:@/all", ""),
    ("-s static:x", ""),
    ("-d a cidr:@/all", ""),
    ("-d nope hash:@/source", ""),
    ("hash:@/source", ""),
    ("hash:@/nofile", ""),
    ("foo:@/source", ""),
    ("pcre:@/all", ""),
    ("-w hash:@/source", ""),
    ("-c @/none -q a static:x", ""),
    ("-Fq k1 hash:@/files", ""),
    ("-Fq k2 hash:@/files", ""),
    ("-Fq K3 hash:@/files", ""),
    ("-Fq - hash:@/files", "k1\nk2\nk3\n"),
    ("-Fq k inline:{k=aGVsbG8K}", ""),
    ("-Fq k inline:{k=no}", ""),
    ("-F hash:@/files", ""),
]  # fmt: skip
# The text is the source: it is asked in whatever way, and a database that was built in another one is not.
DIFFERENT = frozenset(
    ["-f -q A hash:@/source", "-fq A hash:@/source", *(f"-n -q {key} hash:@/source" for key in ("a", "A", "b", "c"))]
)
ALIAS_LINES = [
    "-q root hash:@/aliases", "-q ROOT hash:@/aliases", "-q list hash:@/aliases", "-q nope hash:@/aliases",
    "-fq ROOT hash:@/aliases", "-s -q root hash:@/aliases", "hash:@/aliases", "hash:@/nofile", "-d nope hash:@/aliases",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file =\n")
    (tmp_path / "all").write_text("/./ HIT\n")
    (tmp_path / "source").write_text(SOURCE)
    (tmp_path / "aliases").write_text(ALIASES)
    (tmp_path / "one").write_text("hello\n")
    (tmp_path / "two").write_text("a b")
    (tmp_path / "files").write_text(f"k1 {tmp_path}/one\nk2 {tmp_path}/one, {tmp_path}/two\nk3 {tmp_path}/nofile\n")
    age(tmp_path)
    for words in (["postmap", "source"], ["postmap", "files"], ["postalias", "aliases"]):
        command = [require(words[0], "postfix"), "-c", str(tmp_path), f"hash:{tmp_path}/{words[1]}"]
        command[1:1] = ["-F"] if words[1] == "files" else []
        subprocess.run(command, check=True, timeout=20, capture_output=True)
    age(tmp_path)
    return tmp_path


def age(folder: Path) -> None:
    """The real one waits until a file that has just changed has come to rest."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)


Answer = tuple[int, str]


def words_of(folder: Path, line: str) -> list[str]:
    words = [word.replace("@", str(folder), 1) for word in line.split()]
    return words if "-c" in words else ["-c", str(folder), *words]


def real(program: str, folder: Path, line: str, asked: str) -> Answer:
    command = [require(program, "postfix"), *words_of(folder, line)]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=20)
    kept = [text for text in done.stdout.splitlines(keepends=True) if not text.startswith(("YP_", "@:"))]
    return done.returncode, "".join(kept)


def ours(
    program: str, folder: Path, line: str, asked: str, capfd: pytest.CaptureFixture[str], mp: pytest.MonkeyPatch
) -> Answer:
    mp.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(asked.encode())))
    capfd.readouterr()
    code = {"postmap": postmap.main, "postalias": postalias.main}[program](words_of(folder, line))
    return code, capfd.readouterr().out


@pytest.mark.peer
@pytest.mark.parametrize(
    ("program", "lines"), [("postmap", MAP_LINES), ("postalias", [(line, "") for line in ALIAS_LINES])]
)
def test_the_same_answers(
    program: str,
    lines: list[tuple[str, str]],
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [case for case in lines if case[0] not in DIFFERENT]
    # The real one sleeps for a second after an error: many at once.
    with ThreadPoolExecutor(32) as pool:
        theirs = list(pool.map(lambda case: real(program, folder, *case), lines))
    wrong = []
    for (line, asked), their in zip(lines, theirs, strict=True):
        mine = ours(program, folder, line, asked, capfd, monkeypatch)
        if mine != their:
            wrong.append((line, mine, their))
    assert not wrong, "\n".join(map(repr, wrong))


@pytest.mark.peer
@pytest.mark.parametrize("line", ["-f -q A hash:@/source", "-n -q a hash:@/source"])
def test_a_difference_that_is_listed_is_one(
    line: str, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line in DIFFERENT
    assert ours("postmap", folder, line, "", capfd, monkeypatch) != real("postmap", folder, line, "")


@pytest.mark.peer
@pytest.mark.parametrize(
    ("program", "options", "asked", "name"),
    [
        ("postmap", "-s", "", "source"),
        ("postalias", "-s", "", "aliases"),
        ("postmap", "-Fs", "", "files"),
        ("postmap", "-i", "new n\na 5\n", "source"),
        ("postmap", "-ir", "new n\na 5\n", "source"),
        ("postmap", "-iw", "new n\na 5\n", "source"),
        ("postmap", "-d a", "", "source"),
        ("postmap", "-d -", "a\nnope\nb\n", "source"),
        ("postalias", "-i", "new: n\nroot: other\n", "aliases"),
        ("postalias", "-d list", "", "aliases"),
    ],
)
def test_the_same_entries_afterwards(
    program: str,
    options: str,
    asked: str,
    name: str,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A database lists in an order of its own; what a change left in it is asked from the source that we changed."""
    spec = f"hash:@/{name}"
    mine = ours(program, folder, f"{options} {spec}", asked, capfd, monkeypatch)
    their = real(program, folder, f"{options} {spec}", asked)
    assert (mine[0], sorted(mine[1].split())) == (their[0], sorted(their[1].split()))
    for key in ("a", "b", "c", "new", "root", "list"):
        line = f"{'-F ' if name == 'files' else ''}-q {key} {spec}"
        mine = ours(program, folder, line, "", capfd, monkeypatch)
        their = real(program, folder, line, "")
        assert (mine[0], mine[1].split()) == (their[0], their[1].split()), key
