"""The configuration as a worker read it: its digest, and the text of each line, for records that outlive an edit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

FILES = ("main.cf", "master.cf")
LINE = 200
"""Characters kept of a line."""


class ConfigText:
    """main.cf and master.cf, line by line. A file that cannot be read counts as empty."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._lines = {file: text.split("\n") for file, text in texts.items()}
        digest = hashlib.blake2b(digest_size=6)
        for file in sorted(texts):
            digest.update(f"{Path(file).name}\0{texts[file]}\0".encode("utf-8", "surrogateescape"))
        self.digest = digest.hexdigest() if texts else ""

    @classmethod
    def read(cls, directory: str | Path) -> ConfigText:
        """As it stands on the disk now."""
        found = {}
        for name in FILES:
            path = Path(directory) / name
            try:
                found[str(path)] = path.read_text("utf-8", "surrogateescape")
            except OSError:
                continue
        return cls(found)

    def line(self, file: str, number: int) -> str:
        """The text of one line, blanks at its end left out; "" for none."""
        lines: Sequence[str] = self._lines.get(file, ())
        return lines[number - 1].rstrip()[:LINE] if 0 < number <= len(lines) else ""

    def places(self, file: str, text: str) -> list[int]:
        """The numbers of the lines that read so, whatever blanks stand around."""
        wanted = text.strip()
        return [n for n, line in enumerate(self._lines.get(file, ()), start=1) if line.strip()[:LINE] == wanted]


NO_TEXT = ConfigText({})
