"""Some fixed rounds of tests/parity/differential_tables.py: tayori's postmap and postalias beside the real ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.peers import require

sys.path.insert(0, str(Path(__file__).parents[2] / "parity"))

import differential_tables

ROUNDS = {"alias": 40, "cidr": 60, "regexp": 60, "pcre": 60, "options": 30,
          "pgsql": 20, "mysql": 20, "sqlite": 30, "ldap": 25, "memcache": 20,
          "small": 40, "tcp": 12, "socketmap": 15}  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("kind", [*ROUNDS])
def test_the_same_answers(kind: str, tmp_path: Path) -> None:
    require("postmap", "postfix")
    require("postalias", "postfix")
    found = differential_tables.play(kind, range(1, ROUNDS[kind] + 1), tmp_path)
    assert not found, "\n".join(line for lines in found.values() for line in lines)
