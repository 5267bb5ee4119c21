"""tayori pluginviewer: the SASL mechanisms and password stores that tayori has.

    tayori pluginviewer [-s] [-c] [-a] [-m MECHANISM]

-s server side, -c client side, -a stores; without one of them all. As Cyrus's (sasl)pluginviewer in purpose.
"""

from __future__ import annotations

import argparse
import sys

from tayori.sasl.mechanisms import MECHANISMS, SECURITY_OPTIONS, Row
from tayori.sasl.offer import ON_REQUEST
from tayori.sasl.verifier_choice import METHODS, PLUGINS

EX_USAGE = 64


def _describe(row: Row) -> str:
    passes = [option for option in sorted(SECURITY_OPTIONS) if not row.traits.permitted_by(frozenset({option}))]
    off = f"\n    {ON_REQUEST[row.name]}" if row.name in ON_REQUEST else ""
    return f"{row.name}\n    needs: {row.needs}\n    security options it passes: {' '.join(passes) or '-'}{off}"


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser("tayori pluginviewer", description="SASL mechanisms and password stores")
    parser.add_argument("-s", dest="server", action="store_true", help="server side")
    parser.add_argument("-c", dest="client", action="store_true", help="client side")
    parser.add_argument("-a", dest="stores", action="store_true", help="stores of passwords")
    parser.add_argument("-m", dest="mechanism", help="only these mechanisms, in one word with blanks")
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    everything = not (options.server or options.client or options.stores)
    named = (options.mechanism or "").upper().split()
    unknown = [word for word in named if word not in MECHANISMS]
    if unknown:
        print(f"pluginviewer: {unknown[0]}: tayori does not know this mechanism", file=sys.stderr)
        return EX_USAGE
    rows = [row for row in MECHANISMS.values() if not named or row.name in named]
    for wanted, title in ((options.server, "Server mechanisms"), (options.client, "Client mechanisms")):
        if wanted or everything:
            print(f"{title}:")
            for row in rows:
                print(_describe(row))
    if options.stores or everything:
        print(f"pwcheck_method: auxprop {' '.join(METHODS)}\nauxprop_plugin: {' '.join(PLUGINS)}")
    return 0
