"""Every folder of tests/scenarios/cases played to tayori: replies, and what became of the mail, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import scenario as sc
from support.peers import need_root
from support.scenario_run import TayoriRuns


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TayoriRuns]:
    """One importing process for all of them."""
    root: Path = tmp_path_factory.mktemp("scenarios")
    with TayoriRuns(root) as running:
        yield running


# what a folder holds is what happens where mailboxes belong to users of their own
OWN_USERS = {"recipient-unlisted"}


@pytest.mark.parametrize("name", sc.all_scenarios())
def test_scenario(name: str, runs: TayoriRuns) -> None:
    scenario = sc.read(sc.CASES / name)
    if scenario.needs_root:
        need_root("a name server on port 53")
    if name in OWN_USERS:
        need_root("a mailbox that its user may not write to")
    dialogue, delivered = runs.run(scenario)
    assert dialogue == scenario.dialogue(), runs.log_tail()
    assert delivered == scenario.delivered.splitlines(), runs.log_tail()
