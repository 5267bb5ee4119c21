"""Every scenario folder played to a real Postfix: it must do what the folder says, which is what tayori does.

Where the two differ on purpose, differences.toml holds the difference, as a diff, and the reason; a difference that
is gone fails too, so that the list stays true. The folders are fixed, and every one is played to tayori in each run: so
`make test` plays only every eighth to Postfix, `make test-all` and CI play all.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import scenario as sc
from support.peers import WHOLE, need_root, require
from support.postfix import PostfixRuns

DIFFERENCES = tomllib.loads((Path(__file__).parent / "differences.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostfixRuns]:
    """One folder for all of them; each gets a fresh Postfix."""
    need_root("a real Postfix runs as root")
    require("postfix")
    require("unshare", "util-linux")
    with PostfixRuns(tmp_path_factory.mktemp("parity")) as running:
        yield running


def changes(ours: list[str], theirs: list[str]) -> list[str]:
    """The lines that differ: `-` is tayori's, `+` is Postfix's."""
    lines = difflib.unified_diff(ours, theirs, lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize("name", sc.all_scenarios() if WHOLE else sc.all_scenarios()[::8])
def test_parity(name: str, runs: PostfixRuns) -> None:
    scenario = sc.read(sc.CASES / name)
    known = DIFFERENCES.get(name, {"diff": ""})["diff"].strip("\n").splitlines()
    found: list[str] = []
    for _ in range(3):
        # the folder is fixed; it is Postfix that is asked again when a busy machine kept it from coming to rest
        dialogue, delivered = runs.run(scenario)
        found = changes(scenario.dialogue() + scenario.delivered.splitlines(), dialogue + delivered)
        if found == known:
            return
    assert found == known, runs.last_log[-3000:]


def test_every_difference_is_a_scenario_with_a_reason() -> None:
    assert set(DIFFERENCES) <= set(sc.all_scenarios())
    assert all(entry["reason"].strip() and entry["diff"].strip() for entry in DIFFERENCES.values())
