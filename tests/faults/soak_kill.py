"""The kill tests at full length: `python tests/faults/soak_kill.py [kills per kind] [rounds]` (30 and 1), and
`python tests/faults/soak_kill.py mixed [troubles] [rounds] [seed]` (60 and 1) for every kind of destination and trouble.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults import killing, mixing


def main() -> None:
    mixed = sys.argv[1:2] == ["mixed"]
    numbers = [int(word) for word in sys.argv[1 + mixed :]]
    count = numbers[0] if numbers else 60 if mixed else 30
    rounds = numbers[1] if len(numbers) > 1 else 1
    for at in range(rounds):
        seed = numbers[2] + at if len(numbers) > 2 else time.time_ns() % 1_000_000
        with tempfile.TemporaryDirectory(prefix="tayori-kill-", ignore_cleanup_errors=True) as folder:
            began = time.monotonic()
            print(f"round {at + 1}, seed {seed}", flush=True)
            run = mixing.run if mixed else killing.run
            figures = run(Path(folder), count, seed, say=sys.stdout.isatty())
            what = "troubles" if mixed else "kills of each kind"
            print(f"{count} {what} in {time.monotonic() - began:.0f} s: {figures}", flush=True)


if __name__ == "__main__":
    main()
