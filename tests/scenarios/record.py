"""Write the S: lines and delivered.txt of scenarios from what a real Postfix (or tayori) does.

    python tests/scenarios/record.py [--tayori] NAME…      (as root for Postfix)

For a new folder: write main.cf, tables and the client's lines, record from Postfix, read what it wrote, then see
whether tayori does the same. Where tayori differs on purpose, record with --tayori and list the difference in
tests/parity/differences.toml.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import scenario as sc
from support.postfix import PostfixRuns
from support.scenario_run import TayoriRuns


def main(words: list[str]) -> None:
    """See the head of this file."""
    kind = TayoriRuns if "--tayori" in words else PostfixRuns
    names = [word for word in words if not word.startswith("--")]
    with tempfile.TemporaryDirectory(prefix="tayori-record-") as folder, kind(Path(folder)) as runs:
        for name in names:
            scenario = sc.read(sc.CASES / name)
            try:
                dialogue, delivered = runs.run(scenario)
            except RuntimeError as error:
                print(f"{name}: {error}")
                continue
            head = [line for line in (scenario.folder / "dialogue.txt").read_text().splitlines() if line[:1] == "#"]
            (scenario.folder / "dialogue.txt").write_text("\n".join([*head, *dialogue]) + "\n", "utf-8")
            (scenario.folder / "delivered.txt").write_text("".join(line + "\n" for line in delivered), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
