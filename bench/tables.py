"""What a look-up costs: ours against the real `postmap -q -` on the same tables and keys, in the same run.

    .venv/bin/python bench/tables.py [--entries N] [--keys N]

Three tables: a hash of N entries (1,000,000), 5,000 cidr lines, 200 pcre lines. Ours is timed inside one event loop;
the real one as one process fed with all keys, minus the same process fed with one key (its start, and the reading of
the table). Both sides answer every key; the answers must be the same. A table of "misses" asks keys that are absent.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tayori.config.settings import Settings
from tayori.tables.outcome import Found, Table
from tayori.tables.registry import Tables


@dataclass
class Case:
    """One table and the keys to ask."""

    name: str
    spec: str
    keys: list[str]


def make_cases(folder: Path, entries: int, count: int) -> list[Case]:
    """Write the tables; keys are half hits, half misses, and for each table misses alone."""
    chance = random.Random(7)
    with open(folder / "hash", "w") as file:
        for number in range(entries):
            file.write(f"user{number}@example{number % 1000}.com box{number}@store.example.com\n")
    hits = []
    for _ in range(count // 2):
        number = chance.randrange(entries)
        hits.append(f"user{number}@example{number % 1000}.com")
    misses = [f"nobody{chance.randrange(entries)}@example.org" for _ in range(count // 2)]
    networks = [f"{10 + n // 2500}.{n // 10 % 250}.{n % 10 * 16}.0/{20 + n % 5}" for n in range(5000)]
    with open(folder / "cidr", "w") as file:
        for number, network in enumerate(networks):
            address, _, length = network.partition("/")
            file.write(f"{address}/{max(int(length), 24)} REJECT net{number}\n")
    addresses = [networks[chance.randrange(5000)].rpartition(".")[0] + ".9" for _ in range(count // 2)]
    strangers = [f"203.0.{chance.randrange(256)}.{chance.randrange(256)}" for _ in range(count // 2)]
    with open(folder / "pcre", "w") as file:
        for number in range(200):
            shape = (rf"/^spam{number}[0-9]+@/", rf"/\.bad{number}\.example$/", rf"/^(x{number})-(list|news)@/")[
                number % 3
            ]
            file.write(f"{shape} REJECT rule {number}\n")
    numbers = [f"{chance.randrange(67) * 3}{chance.randrange(10**6)}" for _ in range(count // 2)]
    texts = [f"spam{number}@somewhere.example.com" for number in numbers]
    return [
        Case("hash, half found", f"hash:{folder}/hash", hits + misses),
        Case("hash, none found", f"hash:{folder}/hash", misses),
        Case("cidr, half found", f"cidr:{folder}/cidr", addresses + strangers),
        Case("cidr, none found", f"cidr:{folder}/cidr", strangers),
        Case("pcre, half found", f"pcre:{folder}/pcre", texts + misses),
        Case("pcre, none found", f"pcre:{folder}/pcre", misses),
    ]


async def ask_all(table: Table, keys: list[str]) -> tuple[float, dict[str, str]]:
    """(microseconds a look-up, answers)."""
    answers = {}
    for key in keys[:100]:
        await table.lookup(key)
    start = time.perf_counter()
    for key in keys:
        answer = await table.lookup(key)
        if isinstance(answer, Found):
            answers[key] = answer.value
    return (time.perf_counter() - start) / len(keys) * 1e6, answers


def ask_real(folder: Path, spec: str, keys: list[str]) -> tuple[float, dict[str, str]]:
    """The same of the real postmap."""

    def run(asked: list[str]) -> tuple[float, str]:
        start = time.perf_counter()
        command = ["postmap", "-c", str(folder), "-q", "-", spec]
        done = subprocess.run(command, input="".join(f"{key}\n" for key in asked), capture_output=True, text=True)
        return time.perf_counter() - start, done.stdout

    empty = min(run(keys[-1:])[0] for _ in range(3))
    seconds, output = run(keys)
    answers = dict(line.split("\t", 1) for line in output.splitlines())
    return max(0.0, seconds - empty) / len(keys) * 1e6, answers


def main() -> None:
    """Run it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=100_000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tayori-bench-tables-"))
    real = shutil.which("postmap")
    try:
        cases = make_cases(folder, options.entries, options.keys)
        (folder / "main.cf").write_text(f"compatibility_level = 3.6\nmaillog_file =\ndata_directory = {folder}\n")
        tables = Tables(Settings.of({"data_directory": str(folder)}))
        start = time.perf_counter()
        tables.open(f"hash:{folder}/hash")
        print(f"index of {options.entries} entries built in {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        other = Tables(Settings.of({"data_directory": str(folder)}))
        other.open(f"hash:{folder}/hash")
        print(f"opened by the next process in {(time.perf_counter() - start) * 1e3:.1f} ms")
        if real:
            start = time.perf_counter()
            subprocess.run([real, "-c", str(folder), f"hash:{folder}/hash"], check=True)
            print(f"real postmap built its database in {time.perf_counter() - start:.1f} s")
        print(f"{'':20}{'ours':>10}{'real':>10}   microseconds a look-up, {options.keys} keys")
        for case in cases:
            ours, answers = asyncio.run(ask_all(tables.open(case.spec), case.keys))
            shown = "-"
            if real:
                theirs, expected = ask_real(folder, case.spec, case.keys)
                assert answers == expected, f"{case.name}: the answers differ"
                shown = f"{theirs:.2f}"
            print(f"{case.name:20}{ours:10.2f}{shown:>10}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
