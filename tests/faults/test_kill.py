"""Random kill -9 of every kind of process under load (the full length: soak_kill.py)."""

from __future__ import annotations

from pathlib import Path

from faults import killing


def test_kill_nine_loses_and_doubles_nothing(tmp_path: Path) -> None:
    killing.run(tmp_path, kills=6, seed=20261124)
