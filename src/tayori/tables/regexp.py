"""regexp: POSIX regular expressions, regexp_table(5).

Flags toggle: i (on) ignores case, m (off) lets ^ and $ fit at newlines and keeps . from fitting them, x (on)
extended syntax; without x the basic syntax.

The pattern is translated and run by PCRE2 with a match limit where it is installed (`tayori[pcre]`), otherwise by
Python's re, which has no such limit: a pattern with a repetition inside a repetition then gets a warning.
Differences from a POSIX library:
    - of several alternatives the first that fits is taken, not the longest; this shows only in $1, $2 …
    - equivalence classes and collating symbols ([=a=], [.x.]) other than of one plain character are refused
    - the GNU forms \\< \\> \\` \\' \\b \\B \\w \\W \\s \\S are known
    - characters are compared, not bytes
As in the GNU library: \\1 … \\9 refer back to groups in both syntaxes; a range without regard to case, [a-^], is one
of capitals; a small letter behind a backslash that means nothing there, \\d, fits nothing without regard to case.
"""

from __future__ import annotations

import importlib.util
import logging
import re

from tayori.tables.outcome import Table
from tayori.tables.patterns import Compiled, Engine, PatternTable, Search
from tayori.tables.pcre import joiner, load_pcre2, search_of
from tayori.tables.posix import translate
from tayori.tables.spec import Spec

log = logging.getLogger("tayori.tables")

_NESTED = re.compile(r"[*+}]\)(?:[*+]|\{\d+,\d*\})")
_BACK_REFERENCE = re.compile(r"\\[1-9]")


class NeverRaised(Exception):
    """What Python's re raises when it gives up: it never does."""


def settings_of(flags: str) -> tuple[bool, bool, bool]:
    """(ignore case, multi-line, extended). Raises ValueError for an unknown flag."""
    on = {"i", "x"}
    for flag in flags:
        if flag not in "imx":
            raise ValueError(f'unknown flag "{flag}": the flags are i m x')
        on ^= {flag}
    return "i" in on, "m" in on, "x" in on


def pcre2_engine() -> Engine:
    """POSIX patterns run by PCRE2."""
    module = load_pcre2(None)

    def compile_pattern(pattern: str, flags: str) -> Compiled:
        case, multi, extended = settings_of(flags)
        translated = translate(pattern, extended, multi, r"\z", case)
        bits = (0x8 if case else 0) | (0x400 if multi else 0x20)
        search, groups = search_of(module, translated, bits)
        letters = f"{'i' if case else ''}{'m' if multi else 's'}"
        off = f"{'' if case else 'i'}{'s' if multi else 'm'}"
        joinable = "" if _BACK_REFERENCE.search(translated) else f"(?{letters}-{off}:{translated})"
        return Compiled(search, groups, joinable)

    return Engine(compile_pattern, joiner(module), module.LibraryError)


def python_engine(name: str) -> Engine:
    """POSIX patterns run by Python's re; `name` is the table's, for warnings."""

    def compile_pattern(pattern: str, flags: str) -> Compiled:
        case, multi, extended = settings_of(flags)
        translated = translate(pattern, extended, multi, r"\Z", case)
        if _NESTED.search(translated):
            log.warning("%s: /%s/ repeats a repetition and may take very long: install tayori[pcre]", name, pattern)
        bits = re.ASCII if not case else re.IGNORECASE
        bits |= re.MULTILINE if multi else re.DOTALL
        try:
            compiled = re.compile(translated, bits)
        except (re.error, OverflowError) as error:
            raise ValueError(f"the pattern is wrong: {error}") from None
        return Compiled(compiled.search, compiled.groups)

    def join(patterns: list[str]) -> Search | None:
        return None

    return Engine(compile_pattern, join, NeverRaised)


def open_regexp(spec: Spec) -> Table:
    """Open regexp:/file or regexp:{ … }. Raises ConfigError."""
    installed = importlib.util.find_spec("pcre2") is not None
    return PatternTable(spec, pcre2_engine() if installed else python_engine(spec.name))
