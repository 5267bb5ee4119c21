"""postalias: postmap for alias files, postalias(1). The source is aliases(5), `name: value`.

The options are those of postmap; see there. tayori reads the text itself, so nothing is built.
"""

from __future__ import annotations

from tayori.programs.commands.postmap import run


def main(argv: list[str]) -> int:
    """Run postalias with these arguments (without the program's name)."""
    return run("postalias", "aliases", argv)
