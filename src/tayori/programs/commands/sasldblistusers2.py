"""tayori sasldblistusers2: list the accounts of Cyrus's sasldb2, without passwords.

tayori sasldblistusers2 [-v] [[-f] FILE]
"""

from __future__ import annotations

import argparse
import os
import sys

from tayori import __version__
from tayori.programs.commands.saslpasswd2 import DEFAULT, EX_DATAERR, EX_USAGE
from tayori.sasl import sasldb


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser("tayori sasldblistusers2", description="list sasldb2")
    parser.add_argument("-f", dest="flagged")
    parser.add_argument("-v", dest="version", action="store_true")
    parser.add_argument("file", nargs="?", default=DEFAULT)
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    if options.version:
        print(f"tayori {__version__}")
        return 0
    path = options.flagged or options.file
    if not os.path.exists(path):
        print(f"sasldblistusers2: {path}: there is no such file", file=sys.stderr)
        return EX_DATAERR
    try:
        for user, realm, name in sasldb.users(path):
            print(f"{user}@{realm}: {name}")
    except (sasldb.SasldbError, OSError) as error:
        print(f"sasldblistusers2: {error}", file=sys.stderr)
        return EX_DATAERR
    return 0
