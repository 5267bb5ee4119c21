"""Building an index in a process of its own, so that the loop of a running server is not held up meanwhile.

A table of a million lines takes seconds of Python to read; in a thread those would be taken from every session. The
source goes in as standard input, already open, the bad lines come back as JSON. The process is nice to the others.
Where the service user cannot start Python (one that lies in a folder of root's alone), the thread does it after all.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
from typing import BinaryIO

from tayori.tables.formats import FORMATS
from tayori.tables.index import build
from tayori.tables.lines import FOLDS, Problem

log = logging.getLogger("tayori.tables")

NICENESS = 5
EX_IOERR = 74


def beside(source: BinaryIO, name: str, form: str, folding: str) -> tuple[Problem, ...]:
    """`index.build` elsewhere: `folding` is a key of FOLDS. Blocks this thread only. Raises OSError."""
    command = [sys.executable, "-P", "-m", "tayori.tables.indexer", name, form, folding]
    try:
        done = subprocess.run(command, stdin=source, capture_output=True, check=False)
    except OSError as error:
        code, said = 1, str(error)
    else:
        code, said = done.returncode, done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if code == EX_IOERR:
        raise OSError(errno.EIO, f"the index cannot be built: {said}")
    if code != 0:
        log.info("no process for the index of a large table (%s): this one builds it", said or f"status {code}")
        source.seek(0)
        return build(source, name, FORMATS[form], FOLDS[folding], os.fstat(source.fileno()))
    return tuple(Problem(line, why) for line, why in json.loads(done.stdout))


def main(argv: list[str]) -> int:
    """The process: index file, form and folding as arguments."""
    name, form, folding = argv
    os.nice(NICENESS)
    try:
        with open(0, "rb", closefd=False) as source:
            source.seek(0)
            problems = build(source, name, FORMATS[form], FOLDS[folding], os.fstat(0))
    except OSError as error:
        print(error, file=sys.stderr)
        return EX_IOERR
    json.dump([(problem.line, problem.why) for problem in problems], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
