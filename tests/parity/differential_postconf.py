"""Random main.cf and master.cf files, and postconf command lines: where do tayori's postconf and the real one differ?

    .venv/bin/python tests/parity/differential_postconf.py [--rounds 50] [--seed 1]

A round is its seed: two files from support/postconf_cases.py, and each of its command lines on copies of them. Compared
are standard output, the exit code, both files afterwards, and warnings as sets, without our "did you mean"; of errors
that there is one. tests/interop/test_postconf_differential.py runs some fixed rounds, and cases made by hand.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.peers import require
from support.postconf_cases import MEANT_LINES, meant
from tayori.programs.commands.postconf import main as postconf

Case = tuple[str, tuple[str, str], list[str]]
"""A name, the texts of main.cf and master.cf, a command line."""

HINT = re.compile(r'(; | \((line \d+; )?)did you mean "[^"]*"\?\)?')
MALFORMED = re.compile("empty macro name|truncated macro reference|malformed value of")
OVERRIDING = re.compile(r"^postconf: warning: \S+, line (\d+): overriding earlier entry: (\w+)=")


@dataclass
class Answer:
    """What came back, and the files as they are then."""

    code: int
    out: str
    warnings: frozenset[str]
    fatal: bool
    main: str
    master: str


def said(text: str) -> tuple[frozenset[str], bool]:
    """The warnings, without our hints, and whether there was an error."""
    lines = [HINT.sub("", line.removeprefix("/usr/sbin/").replace("\t", "?")) for line in text.splitlines()]
    warnings = {" ".join(line.split()) for line in lines if line.startswith("postconf: warning: ")}
    warnings = {"malformed" if MALFORMED.search(line) else line for line in warnings}
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
    """What the real program says."""
    command = [require("postconf", "postfix"), *(["-c", "c"] if "-c" not in words else []), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=folder.parent)
    warnings, fatal = said(done.stderr)
    return Answer(done.returncode, done.stdout, warnings, fatal, after(folder, "main.cf"), after(folder, "master.cf"))


def ours(folder: Path, words: list[str]) -> Answer:
    """What tayori's says, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder.parent), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = postconf([*(["-c", "c"] if "-c" not in words else []), *words])
    warnings, fatal = said(err.getvalue())
    return Answer(code, out.getvalue(), warnings, fatal, after(folder, "main.cf"), after(folder, "master.cf"))


def make(base: Path, texts: tuple[str, str]) -> Path:
    """A folder `c` in `base` with these main.cf and master.cf (no master.cf where the text is empty)."""
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


def differences(every: list[Case], folder: Path) -> list[tuple[Case, str, object, object]]:
    """Case, part of the answer, Postfix's, ours: wherever those are not the same."""

    def theirs(number: int) -> Answer:
        return real(make(folder / f"real{number}", every[number][1]), every[number][2])

    # The real one sleeps for a second after an error: many at once.
    with ThreadPoolExecutor(48) as pool:
        expected = list(pool.map(theirs, range(len(every))))
    wrong = []
    for case, their in zip(every, expected, strict=True):
        mine = ours(make(folder / "ours", case[1]), case[2])
        seen = [f.name for f in fields(Answer) if f.name != "warnings" or not (their.fatal and mine.fatal)]
        differ = [(part, getattr(their, part), getattr(mine, part)) for part in seen]
        wrong += [(case, part, a, b) for part, a, b in differ if a != b]
    return wrong


def rounds(seeds: range) -> list[Case]:
    """The cases of these seeds."""
    return [(f"meant {seed}", meant(seed), words) for seed in seeds for words in MEANT_LINES]


def main() -> int:
    """Print what differs; 1 if anything does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = differences(rounds(range(chosen.seed, chosen.seed + chosen.rounds)), Path(folder))
    last = ""
    for (name, texts, words), part, their, mine in found:
        if name != last:
            print(f"--- {name}", *texts, sep="\n")
            last = name
        print(f"postconf {' '.join(words)}: {part}")
        if part == "warnings":
            print(f"  they: {sorted(their - mine)}\n  we:   {sorted(mine - their)}")  # type: ignore[operator]
        elif isinstance(their, str):
            print(
                *list(
                    difflib.unified_diff(str(mine).splitlines(), their.splitlines(), "we", "they", n=0, lineterm="")
                ),
                sep="\n",
            )
        else:
            print(f"  they: {their}\n  we:   {mine}")
    print(f"{len({case[0] for case, *_ in found})} of {chosen.rounds} rounds differ, {len(found)} answers")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
