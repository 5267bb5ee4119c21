"""postconf: show and change parameters, with the options and the output of postconf(1).

usage: postconf [-c DIR] [-C CLASS] [-dfhHjnopx] [NAME…]     parameters: main.cf over defaults
       postconf [-c DIR] [-e] NAME=VALUE…                    set
       postconf [-c DIR] -# NAME… | -X NAME…                 comment out, remove
       postconf [-c DIR] -M|-F|-P [-fhHjox] [SERVICE[/TYPE[/NAME]]…]    master.cf: lines, fields, -o settings
       postconf [-c DIR] -M|-F|-P SERVICE/TYPE[/NAME]=VALUE…         set
       postconf [-c DIR] -M#|-MX|-PX SERVICE/TYPE[/NAME]…    comment out, remove
       postconf -m | -a | -A | -l | -T MODE                  table types, SASL types, locks, TLS
       postconf -b | -t                                      texts of reports

Exit code: 0, 1 for anything that cannot be done. Warnings go to standard error. Each option has its own module.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from tayori.config.origin import ConfigError
from tayori.programs.commands import postconf_edit, postconf_other, postconf_show
from tayori.programs.commands.postconf_options import TLS_MODES, Options, parse


def warn(text: str) -> None:
    """A warning in Postfix's form."""
    print(f"postconf: warning: {text}", file=sys.stderr)


def known(options: Options) -> bool:
    """Whether there is such a -T mode; said as a warning, as Postfix does."""
    if options.mode != "T" or options.tls in TLS_MODES:
        return True
    warn(f"unknown 'postconf -T' mode: {options.tls}")
    return False


def run(options: Options) -> Iterator[str]:
    """The lines to print. Raises ConfigError, OSError."""
    if options.letters & {"e", "#", "X"}:
        postconf_edit.change(options, warn)
    elif options.mode in postconf_other.LISTS:
        yield from postconf_other.LISTS[options.mode](options)
    elif options.mode in "bt":
        yield from postconf_other.templates(options, warn)
    elif options.mode == "p":
        yield from postconf_show.main(options, warn)
    else:
        yield from postconf_show.master(options, warn)


def main(argv: list[str]) -> int:
    """Run the command; answers the exit code."""
    try:
        options = parse(argv)
        if not known(options):
            return 1
        # As Postfix: nothing is printed when something is wrong.
        for line in list(run(options)):
            print(line)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"postconf: fatal: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # `postconf | head`: nobody reads on; the interpreter must not complain once more at its end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"postconf: fatal: open {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0
