"""tayori testsaslauthd: ask a saslauthd whether a password is right.

    tayori testsaslauthd -u USER [-p PASSWORD] [-r REALM] [-s SERVICE] [-f SOCKET] [-R N]

As Cyrus's program of that name; without -p the password is asked for, so that it stands in no process list.
Exit codes: 0 right, 255 wrong (as Cyrus), 75 not to be asked, 64 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys

from tayori.sasl.verifiers.base import Accepted, TryLater
from tayori.sasl.verifiers.saslauthd import Saslauthd

EX_USAGE, EX_TEMPFAIL, WRONG = 64, 75, 255


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("tayori testsaslauthd", description="ask a saslauthd about a password")
    made.add_argument("-u", dest="user", required=True)
    made.add_argument("-p", dest="password")
    made.add_argument("-r", dest="realm", default="")
    made.add_argument("-s", dest="service", default="imap")
    made.add_argument("-f", dest="socket", default="")
    made.add_argument("-R", dest="repeat", type=int, default=1)
    return made


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    try:
        options = parser().parse_args(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    if options.password is None:
        if sys.stdin.isatty():
            options.password = getpass.getpass("Password: ")
        else:
            options.password = sys.stdin.readline().rstrip("\r\n")
    return asyncio.run(_ask(options))


async def _ask(options: argparse.Namespace) -> int:
    verifier = Saslauthd(options.socket)
    code = 0
    for number in range(max(1, min(options.repeat, 1_000_000))):
        answer = await verifier.verify(options.user, options.password, options.realm, options.service)
        if isinstance(answer, Accepted):
            print(f'{number}: OK "Success."')
        elif isinstance(answer, TryLater):
            print(f"{number}: {verifier.path()}: {answer.why}", file=sys.stderr)
            return EX_TEMPFAIL
        else:
            print(f'{number}: NO "authentication failed"')
            code = WRONG
    verifier.close()
    return code
