"""Postfix reads a file that has only just changed no sooner than it has come to rest: a second or two, for each."""

from __future__ import annotations

import os
import time
from pathlib import Path


def at_rest(folder: Path) -> None:
    """Its files are a minute old."""
    then = time.time() - 60
    for path in folder.iterdir():
        os.utime(path, (then, then))
