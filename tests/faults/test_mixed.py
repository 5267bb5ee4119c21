"""Every kind of destination under every kind of trouble, for a short while (the full length: soak_kill.py mixed)."""

from __future__ import annotations

from pathlib import Path

from faults import mixing


def test_mixed_load_and_trouble_loses_and_doubles_nothing(tmp_path: Path) -> None:
    mixing.run(tmp_path, troubles=6, seed=20261126, senders=4)
