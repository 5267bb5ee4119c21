"""postcat: show a queued message (postcat(1)).

    postcat [-c DIR] [-behq] ID ...

-e the envelope, -h the header, -b the body; none of them: all three. Messages stand in the queue's data base, not in
files, so that an ID is always looked up in the queue, with or without -q.
"""

from __future__ import annotations

import getopt
import sys
import time
from collections.abc import Iterable, Iterator

from tayori.config.origin import ConfigError
from tayori.programs.commands.control import (  # fmt: skip
    EX_CONFIG,
    EX_OK,
    EX_USAGE,
    Failed,
    complain,
    configuration,
    connect,
    content,
    demand,
    queue_name,
    shown,
)

USAGE = "usage: postcat [-c DIR] [-behq] ID ..."


def main(argv: list[str]) -> int:
    """Run postcat with these arguments (without the program's name)."""
    try:
        options, identifiers = getopt.getopt(argv, "bc:dehoqrs:v")
        chosen = dict(options)
        if not identifiers:
            raise Failed(USAGE, EX_USAGE)
        parts = {part for part in "beh" if f"-{part}" in chosen} or set("beh")
        with connect(configuration(chosen.get("-c", ""))) as sock:
            for identifier in identifiers:
                answer = demand(sock, {"op": "content", "id": identifier})
                _show(answer, content(sock), identifier, parts)
        return EX_OK
    except getopt.GetoptError as error:
        complain("postcat", f"{error.msg}\n{USAGE}")
        return EX_USAGE
    except ConfigError as error:
        complain("postcat", f"fatal: {error}")
        return EX_CONFIG
    except BrokenPipeError:
        return EX_OK
    except Failed as error:
        complain("postcat", f"fatal: {error}")
        return error.code


def _halves(pieces: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Pieces of the header ("h") and of the body ("b"), which begins with the empty line."""
    half, tail = "h", b""
    for piece in pieces:
        data = tail + piece
        end = data.find(b"\n\n") if half == "h" else -1
        if end >= 0:
            yield "h", data[: end + 1]
            half, data = "b", data[end + 1 :]
        # the first of two line ends may stand at the end of a piece
        tail = data[-1:] if half == "h" else b""
        yield half, data[: len(data) - len(tail)]
    yield half, tail


def _show(answer: dict[str, object], pieces: Iterable[bytes], identifier: str, parts: set[str]) -> None:
    """Print the wanted parts of one message; markers only where the envelope is asked for, as Postfix does."""
    out = sys.stdout.buffer
    message = answer.get("message")
    if "e" in parts and isinstance(message, dict):
        name = f"{queue_name(message)}/{identifier}"
        lines = [f"*** ENVELOPE RECORDS {name} ***", f"message_size: {message.get('size')}"]
        arrival = message.get("arrival")
        if isinstance(arrival, int | float):
            lines.append(f"message_arrival_time: {time.strftime('%a %b %e %H:%M:%S %Y', time.localtime(arrival))}")
        lines.append(f"sender: {shown(message.get('sender') or '')}")
        recipients = message.get("recipients")
        for recipient in recipients if isinstance(recipients, list) else []:
            lines.append(f"recipient: {shown(recipient.get('address'))}")
        lines.append(f"*** MESSAGE CONTENTS {name} ***")
        out.write("\n".join(lines).encode() + b"\n")
    for half, data in _halves(pieces):
        if half in parts:
            out.write(data)
    if "e" in parts:
        out.write(f"*** MESSAGE FILE END {identifier} ***\n".encode())
    out.flush()
