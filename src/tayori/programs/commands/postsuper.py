"""postsuper: delete, hold, release or requeue queued messages (postsuper(1)).

    postsuper [-c DIR] [-f] [-d ID] [-h ID] [-H ID] [-r ID] [hold|active|deferred …]

An ID of `-` reads ids from standard input; `ALL` means every message (of the named queues). For ALL the number is
shown first and a person is asked; `--force` (or `-f`, which here takes no ID) answers yes beforehand.
-s, -p and -S check queue directories that tayori does not have: they do nothing.
"""

from __future__ import annotations

import getopt
import socket
import sys

from tayori.config.origin import ConfigError
from tayori.programs.commands.control import (  # fmt: skip
    EX_CONFIG,
    EX_NOINPUT,
    EX_OK,
    EX_USAGE,
    PAGE,
    Failed,
    complain,
    configuration,
    connect,
    demand,
    queue,
    queue_name,
)

OPERATIONS: dict[str, tuple[str, str, str]] = {
    "-d": ("delete", "removed", "Deleted"),
    "-h": ("hold", "placed on hold", "Placed on hold"),
    "-H": ("release", "released from hold", "Released from hold"),
    "-r": ("requeue", "requeued", "Requeued"),
}
"""Option: operation asked of the server, word for one message, word for the count (Postfix's)."""

USAGE = "usage: postsuper [-c DIR] [-f|--force] [-d ID] [-h ID] [-H ID] [-r ID] [hold|active|deferred ...]"
QUEUES = ("hold", "active", "deferred", "incoming")


def main(argv: list[str]) -> int:
    """Run postsuper with these arguments (without the program's name)."""
    try:
        options, queues = getopt.gnu_getopt(argv, "c:d:h:H:r:fpsSv", ["force"])
        directory = dict(options).get("-c", "")
        force = any(option in ("-f", "--force") for option, _ in options)
        asked: dict[str, list[str]] = {}
        for option, value in options:
            if option in OPERATIONS:
                asked.setdefault(option, []).extend(_identifiers(value))
        if any(name not in QUEUES for name in queues):
            raise Failed(f"unknown queue name; the queues are {', '.join(QUEUES)}", EX_USAGE)
        if not asked:
            if not any(option in ("-p", "-s", "-S") for option, _ in options):
                raise Failed(USAGE, EX_USAGE)
            return EX_OK
        with connect(configuration(directory)) as sock:
            for option, identifiers in asked.items():
                _do(sock, option, identifiers, queues, force)
        return EX_OK
    except getopt.GetoptError as error:
        complain("postsuper", f"{error.msg}\n{USAGE}")
        return EX_USAGE
    except ConfigError as error:
        complain("postsuper", f"fatal: {error}")
        return EX_CONFIG
    except Failed as error:
        complain("postsuper", f"fatal: {error}")
        return error.code


def _identifiers(value: str) -> list[str]:
    return [line.strip() for line in sys.stdin if line.strip()] if value == "-" else [value]


def _do(sock: socket.socket, option: str, identifiers: list[str], queues: list[str], force: bool) -> None:
    """One kind of operation. Raises Failed."""
    operation, one, many = OPERATIONS[option]
    if "ALL" in identifiers:
        identifiers = [str(row.get("id")) for row in queue(sock) if _meant(row, option, queues)]
        if identifiers and not force:
            _confirm(operation, len(identifiers))
    count = 0
    for start in range(0, len(identifiers), PAGE):
        answer = demand(sock, {"op": operation, "ids": identifiers[start : start + PAGE]})
        done = answer.get("done")
        for identifier in done if isinstance(done, list) else []:
            complain("postsuper", f"{identifier}: {one}")
            count += 1
    complain("postsuper", f"{many}: {count} message{'' if count == 1 else 's'}")


def _meant(row: dict[str, object], option: str, queues: list[str]) -> bool:
    """Whether ALL means this message: those not on hold to hold, those on hold to release."""
    held = bool(row.get("hold"))
    if (option == "-h" and held) or (option == "-H" and not held):
        return False
    return not queues or queue_name(row) in queues


def _confirm(operation: str, count: int) -> None:
    """Ask a person; without one, refuse. Raises Failed."""
    what = f"{operation} {count} message{'' if count == 1 else 's'}"
    if not sys.stdin.isatty():
        raise Failed(f"this would {what}: add --force if that is meant", EX_USAGE)
    sys.stderr.write(f"postsuper: {what}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failed("nothing was done", EX_NOINPUT)
