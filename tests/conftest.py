"""Temporary folders of each run of the tests by itself, short and open enough for processes that give root up.

pytest closes /tmp/pytest-of-root to all but root whenever a run begins, also under the feet of another run; and a Unix
socket's path may have 107 characters.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

_made: list[Path] = []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before the first tmp_path; workers of xdist get theirs from their controller."""
    if not config.option.basetemp and not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="t"))
        folder.chmod(0o755)
        config.option.basetemp = str(folder / "t")
        _made.append(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whoever made it takes it away."""
    for folder in _made:
        shutil.rmtree(folder, ignore_errors=True)
