"""The kill test at full length: `python tests/faults/soak_kill.py [kills per kind] [rounds]` (30 and 1)."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults import killing


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for at in range(rounds):
        seed = time.time_ns() % 1_000_000
        with tempfile.TemporaryDirectory(prefix="tayori-kill-", ignore_cleanup_errors=True) as folder:
            began = time.monotonic()
            print(f"round {at + 1}, seed {seed}", flush=True)
            figures = killing.run(Path(folder), kills, seed, say=sys.stdout.isatty())
            print(f"{kills} kills of each kind in {time.monotonic() - began:.0f} s: {figures}", flush=True)


if __name__ == "__main__":
    main()
