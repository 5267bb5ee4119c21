"""postqueue: list or flush the queue (postqueue(1)).

    postqueue [-c DIR] -p | -j | -f | -i ID | -s SITE

-p list as mailq does, -j as JSON, one object a line; -f try everything now, -i one message, -s what waits for a site.
"""

from __future__ import annotations

import getopt

from tayori.config.origin import ConfigError
from tayori.programs.commands.control import (  # fmt: skip
    EX_CONFIG,
    EX_OK,
    EX_USAGE,
    Failed,
    complain,
    configuration,
    connect,
    demand,
)
from tayori.programs.commands.mailq import listing

USAGE = "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"


def flush(directory: str, identifier: str = "", site: str = "") -> int:
    """Ask for delivery now: of all, of one message, or of what waits for a site. Raises Failed."""
    question: dict[str, object] = {"op": "flush"}
    if identifier:
        question["id"] = identifier
    if site:
        question["site"] = site
    with connect(configuration(directory)) as sock:
        demand(sock, question)
    return EX_OK


def main(argv: list[str]) -> int:
    """Run postqueue with these arguments (without the program's name)."""
    try:
        options, rest = getopt.getopt(argv, "c:fi:jps:v")
        chosen = dict(options)
        modes = [mode for mode in ("-f", "-i", "-j", "-p", "-s") if mode in chosen]
        if len(modes) != 1 or rest:
            raise Failed(USAGE, EX_USAGE)
        directory = chosen.get("-c", "")
        if modes[0] in ("-p", "-j"):
            return listing(configuration(directory), modes[0])
        return flush(directory, chosen.get("-i", ""), chosen.get("-s", ""))
    except getopt.GetoptError as error:
        complain("postqueue", f"{error.msg}\n{USAGE}")
        return EX_USAGE
    except ConfigError as error:
        complain("postqueue", f"fatal: {error}")
        return EX_CONFIG
    except BrokenPipeError:
        return EX_OK
    except Failed as error:
        complain("postqueue", f"fatal: {error}")
        return error.code
