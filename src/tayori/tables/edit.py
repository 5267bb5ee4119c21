"""Changing a text source the way postmap(1) -d and -i change a database: entries removed, entries added.

The file is written beside itself, synced and renamed, with the mode and owner it had, so that a reader sees the old
or the new version and never half of one. Comments and other entries stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable

from tayori.tables.formats import FORMATS
from tayori.tables.lines import BLANKS, Entry, Problem, fold


def remove(path: str, form: str, keys: Iterable[str], folding: Callable[[str], str] = fold) -> set[str]:
    """Remove the entries with these keys; the folded keys that were there. Raises OSError."""
    wanted = {folding(key) for key in keys}
    with open(path, "rb") as file:
        lines = file.readlines()
    found: set[str] = set()
    doomed: set[int] = set()
    for item in FORMATS[form](lines):
        if isinstance(item, Entry) and folding(item.key) in wanted:
            found.add(folding(item.key))
            doomed.update(_lines_of(lines, item.line))
    if found:
        replace(path, b"".join(line for number, line in enumerate(lines, start=1) if number not in doomed))
    return found


def add(
    path: str, form: str, raw: list[bytes], overwrite: bool, folding: Callable[[str], str] = fold
) -> list[Problem]:
    """Add the entries in `raw` (source lines); the bad lines and, without `overwrite`, the duplicates come back.

    The file is made when it is not there. Raises OSError.
    """
    problems: list[Problem] = []
    fresh: dict[str, tuple[int, bytes]] = {}
    for item in FORMATS[form](raw):
        if isinstance(item, Problem):
            problems.append(item)
        else:
            text = b"".join(raw[number - 1].rstrip(b"\r\n") + b"\n" for number in _lines_of(raw, item.line))
            key = folding(item.key)
            if key in fresh and not overwrite:
                problems.append(Problem(item.line, f'the key "{item.key}" is there already'))
            else:
                fresh[key] = item.line, text
    with contextlib.suppress(FileNotFoundError):
        if overwrite:
            remove(path, form, fresh, folding)
        else:
            with open(path, "rb") as file:
                for item in FORMATS[form](file):
                    if isinstance(item, Entry) and folding(item.key) in fresh:
                        line, _ = fresh.pop(folding(item.key))
                        problems.append(Problem(line, f'the key "{item.key}" is there already'))
    before = b""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        before = file.read()
    if before and not before.endswith(b"\n"):
        before += b"\n"
    if fresh:
        replace(path, before + b"".join(text for _, text in fresh.values()))
    return problems


def _lines_of(lines: list[bytes], first: int) -> list[int]:
    """Numbers of the physical lines of the entry that begins at `first`, comments between them left out."""
    found = [first]
    for number in range(first + 1, len(lines) + 1):
        line = lines[number - 1]
        stripped = line.strip(BLANKS)
        if not stripped or stripped.startswith(b"#"):
            continue
        if line[0] not in BLANKS:
            break
        found.append(number)
    return found


def replace(path: str, content: bytes) -> None:
    """Put new content in a file's place, mode and owner kept. Raises OSError."""
    target = os.path.realpath(path)
    descriptor, unfinished = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".tayori-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            with contextlib.suppress(FileNotFoundError):
                before = os.stat(target)
                os.fchmod(file.fileno(), before.st_mode & 0o7777)
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise
