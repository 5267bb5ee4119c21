"""newaliases: check every file of alias_database, newaliases(1). Nothing is built: tayori reads the text itself.

    newaliases [-c DIR] [-v]

Bad lines are named on standard error; with -v so is the number of entries of each file. Exit 0, or 1 when a file
cannot be read.
"""

from __future__ import annotations

import getopt
import sys

from tayori.config.origin import ConfigError
from tayori.programs.commands.postmap import Job, check, full_spec, read_settings


def main(argv: list[str]) -> int:
    """Run newaliases with these arguments (without the program's name)."""
    worst = 0
    try:
        options, _ = getopt.getopt(argv, "c:v")
        chosen = dict(options)
        job = Job("newaliases", "aliases", chosen.get("-c", ""), verbose="-v" in chosen)
        settings = read_settings(job.directory)
        for item in settings.items("alias_database"):
            spec = full_spec(item, settings)
            try:
                check(job, spec)
            except OSError as error:
                job.say(f"{settings.origin_of('alias_database', item) or ''}: {spec}: {error.strerror}")
                worst = 1
    except getopt.GetoptError as error:
        print(f"newaliases: {error.msg}\nusage: newaliases [-c DIR] [-v]", file=sys.stderr)
        return 1
    except ConfigError as error:
        print(f"newaliases: fatal: {error}", file=sys.stderr)
        return 1
    return worst
