"""Random tables and queries, asked of tayori's postmap and postalias and of the real ones: where do they differ?

    .venv/bin/python tests/parity/differential_tables.py [--rounds 50] [--seed 1] [--kind NAME]

A round is its seed and kind: odd lines in a file, then the look-ups (or, with `options`, one command line) of both
programs. Compared are standard output, the exit code, the lines that are warned about, and with `options` what the
table holds afterwards. What differs on purpose is listed in ON_PURPOSE with the reason, and left out of the grammar.
tests/interop/tables/test_fuzzed.py runs some fixed rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.database_places import PLACES, grammar
from support.peers import find
from support.table_grammar import KINDS, Case
from tayori.programs.commands import postalias, postmap

ON_PURPOSE = {
    "an if whose pattern is wrong": "Postfix drops that line alone, so that the rules of the block hold for everything; "
    "tayori drops the block.",
    "endif with text behind it, cidr": "Postfix leaves the block open to the end of the file; tayori closes it there.",
    "a pattern without a result": "Postfix answers with nothing, which the caller then complains of; tayori drops the rule.",
    "an alias with an empty name, or a value of one backslash": "Postfix keeps an entry that nobody can ask for or use.",
    "characters outside of ASCII in patterns": "Postfix compares bytes (. is half an é); tayori compares characters.",
    "regexp: what $1 is of": "The longest text that fits in the C library, the first way to fit in PCRE2 and Python.",
    "pcre: {,n}, \\C and the flag X": "{,n} is a repetition since PCRE2 10.43; \\C is not built in; X says nothing.",
    "a delimiter that is a letter or digit": "Postfix takes one behind an exclamation mark; tayori refuses it always.",
    "a lone CR before the last line end, in an open comment": "A line may end in CR LF.",
    "-f, -n, -u and keys in capitals or with a null byte": "The text is asked, not what a database once was built with.",
    "postmap -i on a file of alias_maps": "It would write lines into the text that are no aliases.",
    "sqlite: several statements": "Postfix runs the first and does not look at the others; tayori answers try later.",
    "ldap: terminal and leaf attributes": "In Postfix what one entry has of them decides about the entries behind it, "
    "too, whose values are lost; ldap_table(5) speaks of one entry.",
    "ldap: version = 2, which is the default": "No directory of today takes it; tayori always speaks version 3.",
    "ldap: scope = x; mysql and pgsql: an empty dbname; memcache: timeout = 0": "One takes it, with a warning or without.",
    "unionmap, pipemap: a part in braces; randmap: a word in braces": "Postfix takes the braces for a part of it.",
    "a rule that is wrong in cidr:{…}, regexp:{…}, pcre:{…}": "Postfix leaves it out with a warning; tayori does not start.",
    "inline: a key with a blank, an empty key or value": "Postfix refuses the first and takes the others.",
    "tcp: an answer that ends in CR LF": "The CR belongs to the value in Postfix.",
    "texthash: -d and -i": "Postfix changes databases only, tayori the text.",
    "mysql: localhost without a socket": "MySQL's library gives up; tayori goes over TCP.",
    "pgsql: unix:/folder/.s.PGSQL.1234": "Postfix wants the folder alone; tayori takes the socket's path, too.",
    "memcache: keys with blanks or of more than 250 bytes": "Postfix asks and stumbles over the answer; they cannot be there.",
}
ALL = [*KINDS, *PLACES]
SECONDS = 60
MAIN_CF = "compatibility_level = 3.6\nmaillog_file =\n"
_WARNED = re.compile(
    r"(?:source|standard input|stdin)(?:, line |:)(\d+): (?!.*(?:stands in line|there already|alias is empty|begin with white))"
)
_OWN = ("YP_", "@:\t@", "@\t@", ":\t", "\t")
"""Entries that Postfix adds to an alias database by itself, and those with an empty name, which no look-up finds."""


@dataclass(frozen=True)
class Answer:
    """What came back. `warned`: the numbers of the lines that were named on standard error, which `told` is."""

    code: int
    out: tuple[str, ...]
    warned: frozenset[int]
    told: str = ""

    def same(self, other: Answer) -> bool:
        """Whether all that counts is the same as with Postfix."""
        # What Postfix has found before a table fails may be lost with its buffer.
        lost = self.code == other.code == 1 and "query error" in other.told and not other.out
        return (lost or (self.code, self.out) == (other.code, other.out)) and not self.otherwise(other)

    def otherwise(self, other: Answer) -> frozenset[int]:
        """Lines that are warned about by one alone; tayori names the first few of many."""
        return self.warned - other.warned if "more bad lines" in self.told else self.warned ^ other.warned


def answer(code: int, out: bytes, told: bytes, words: list[str]) -> Answer:
    """Lines of a listing are sorted: a database has an order of its own."""
    lines = [line for line in out.decode("utf-8", "surrogateescape").split("\n") if line]
    if "-s" in words:
        lines = sorted(line for line in lines if not line.startswith(_OWN))
    text = told.decode("utf-8", "replace")
    warned = frozenset(int(number) for number in _WARNED.findall(text)) if reads_text(words) else frozenset()
    return Answer(code, tuple(lines), warned, text)


def reads_text(words: list[str]) -> bool:
    """Whether Postfix looks at the source, too: when it builds, and in tables that have no database."""
    return not {"-q", "-s", "-d"} & {*words} or words[-1].startswith(("cidr:", "regexp:", "pcre:"))


def real(folder: Path, words: list[str], asked: bytes = b"") -> Answer:
    """What the real program says."""
    path = find(words[0])
    assert path is not None
    command = [path, "-c", str(folder), *words[1:]]
    done = subprocess.run(command, input=asked, capture_output=True, timeout=SECONDS)
    return answer(done.returncode, done.stdout, done.stderr, words)


def ours(folder: Path, words: list[str], asked: bytes = b"") -> Answer:
    """What tayori's says, in this process."""
    program = {"postmap": postmap.main, "postalias": postalias.main}[words[0]]
    streams = [io.TextIOWrapper(io.BytesIO(raw), "utf-8", "surrogateescape") for raw in (asked, b"", b"")]
    before = sys.stdin
    sys.stdin = streams[0]
    try:
        with contextlib.redirect_stdout(streams[1]), contextlib.redirect_stderr(streams[2]):
            code = program(["-c", str(folder), *words[1:]])
    finally:
        sys.stdin = before
    for stream in streams[1:]:
        stream.flush()
    out, told = (stream.buffer.getvalue() for stream in streams[1:])  # type: ignore[attr-defined]
    return answer(code, out, told, words)


def placed(text: str, folder: Path) -> str:
    """`@/` stands for the folder of a case."""
    return text.replace("@/", f"{folder}/")


def prepare(folder: Path, case: Case) -> None:
    """The configuration and the source, as if both had come to rest a minute ago."""
    folder.mkdir(parents=True)
    (folder / "main.cf").write_text(placed(MAIN_CF + case.main_cf, folder))
    source = placed(case.source.decode(), folder).encode() if case.placed else case.source
    (folder / "source").write_bytes(source)
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)


def steps(case: Case, folder: Path) -> Iterator[tuple[list[str], bytes]]:
    """The commands of a case, each with its standard input."""
    for words, asked in case.commands:
        yield [placed(word, folder) for word in words], asked


def theirs(folder: Path, case: Case) -> list[Answer]:
    """All answers of the real programs, in a folder of their own."""
    prepare(folder, case)
    return [real(folder, words, asked) for words, asked in steps(case, folder)]


def differences(case: Case, their: list[Answer], folder: Path) -> list[str]:
    """What tayori answers otherwise, as lines for a person."""
    prepare(folder, case)
    found = []
    for (words, asked), wanted in zip(steps(case, folder), their, strict=True):
        mine = ours(folder, words, asked)
        if mine.same(wanted):
            continue
        found.append(" ".join(words).replace(str(folder), "@") + (f"  < {asked!r}" if len(asked) < 200 else ""))
        if mine.code != wanted.code:
            found.append(f"  exit code {mine.code}, Postfix {wanted.code}")
        found += [f"  only tayori:  {line!r}" for line in mine.out if line not in wanted.out]
        found += [f"  only Postfix: {line!r}" for line in wanted.out if line not in mine.out]
        lines = case.source.split(b"\n")
        for number in sorted(mine.otherwise(wanted)):
            who = "tayori" if number in mine.warned else "Postfix"
            text = lines[number - 1] if 0 < number <= len(lines) else b""
            found.append(f"  warned by {who} alone: line {number}: {text!r}")
        if mine.code != wanted.code or len(found) < 2:
            if case.placed:
                found.append("  " + repr(case.source.decode() or case.main_cf))
            found += [f"  they: {wanted.told.strip()}", f"  we:   {mine.told.strip()}"]
    return found


def play(kind: str, seeds: range, folder: Path) -> dict[int, list[str]]:
    """Play these rounds; what differs, by seed. Real programs run side by side (they sleep after an error)."""
    made = nullcontext(KINDS[kind]) if kind in KINDS else grammar(kind)
    with made as make, ThreadPoolExecutor(8) as pool:
        cases = {seed: make(random.Random(f"{kind}{seed}")) for seed in seeds}
        run = {seed: pool.submit(theirs, folder / f"real{seed}", case) for seed, case in cases.items()}
        found = {seed: differences(cases[seed], run[seed].result(), folder / f"ours{seed}") for seed in seeds}
    return {seed: lines for seed, lines in found.items() if lines}


def main() -> int:
    """Print what differs; 1 if anything does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=ALL, action="append")
    chosen = parser.parse_args()
    worst = 0
    for kind in chosen.kind or ALL:
        with tempfile.TemporaryDirectory() as folder:
            found = play(kind, range(chosen.seed, chosen.seed + chosen.rounds), Path(folder))
        for seed, lines in found.items():
            print(f"--- {kind} {seed}", *lines, sep="\n")
        print(f"{kind}: {len(found)} of {chosen.rounds} rounds differ")
        worst |= bool(found)
    return worst


if __name__ == "__main__":
    sys.exit(main())
