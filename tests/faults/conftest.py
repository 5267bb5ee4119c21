"""Short folders: a Unix socket's path has 107 characters at most, and pytest's own folders are named after the test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    found = Path(tempfile.mkdtemp(prefix="ty-", dir="/tmp"))
    yield found
    shutil.rmtree(found, ignore_errors=True)
