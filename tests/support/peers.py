"""Other programs that tests need: absent ones skip with a reason, or fail where TAYORI_REQUIRE_PEERS=1."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

EXTRA_DIRS = ("/usr/sbin", "/sbin", "/usr/lib/cyrus/bin", "/usr/lib/postfix/sbin", "/usr/lib/postgresql/15/bin")


WHOLE = os.environ.get("TAYORI_REQUIRE_PEERS") == "1"
"""Everything is asked for, and every peer must be there."""


def find(program: str) -> str | None:
    """Path of a program, also in the system folders that an ordinary user's PATH lacks."""
    found = shutil.which(program)
    if found:
        return found
    return next((f"{d}/{program}" for d in EXTRA_DIRS if Path(d, program).exists()), None)


def require(program: str, package: str = "") -> str:
    """Path of a peer program; skips the test when it is absent, fails when TAYORI_REQUIRE_PEERS=1."""
    path = find(program)
    if path is None:
        missing(f"{program} is not installed (Debian package {package or program})")
    assert path is not None
    return path


def missing(reason: str) -> None:
    """Skip with a reason, or fail where every peer is required."""
    if WHOLE:
        pytest.fail(f"TAYORI_REQUIRE_PEERS=1 but {reason}")
    pytest.skip(reason)


def need_root(why: str) -> None:
    """Skip for an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root: {why}")
