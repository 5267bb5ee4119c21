"""pcre: Perl-compatible regular expressions, pcre_table(5), through PCRE2 (`pip install 'tayori[pcre]'`).

Flags toggle, by default i and s are on: i case, m multi-line, s dot fits a newline, x extended, A anchored,
E dollar fits at the very end only, U ungreedy; X is accepted and means nothing in PCRE2.
Texts are UTF-8; \\w, \\d and [[:alpha:]] stand for ASCII, as in Postfix. Every search has a match limit.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from tayori.config.origin import ConfigError, Origin
from tayori.tables.outcome import Table
from tayori.tables.patterns import Compiled, Engine, PatternTable, Search
from tayori.tables.spec import Spec

MATCH_LIMIT = 1_000_000
LIMIT = f"(*LIMIT_MATCH={MATCH_LIMIT})(*LIMIT_HEAP=65536)"

# Option bits of pcre2.h that the wheel passes through.
BITS = {"i": 0x8, "m": 0x400, "s": 0x20, "x": 0x80, "A": 0, "E": 0x10, "U": 0x40000, "X": 0}
NEVER_UCP_FLAG = 0x100000

# What may not stand in a guard: anything that counts groups, names them, or speaks to the engine.
_NOT_JOINABLE = re.compile(r"\\[0-9gkKQEG]|\(\*|\(\?(?!:|=|!|<=|<!)|\\$")

# Settings that must stand first: (*UTF), (*CRLF).
_SETTINGS = re.compile(r"(?:\(\*[A-Z_0-9=]+\))+")

# What PCRE2 refuses, and the wheel takes as the letter.
_REFUSED = re.compile(r"(?<!\\)(?:\\\\)*(\\[uU])")


def load_pcre2(origin: Origin | None) -> Any:
    """The pcre2 module. Raises ConfigError that names the extra."""
    try:
        return importlib.import_module("pcre2")
    except ImportError:
        raise ConfigError(
            "tables of type pcre need the pcre2 library", origin, "pip install 'tayori[pcre]'"
        ) from None


def search_of(module: Any, pattern: str, bits: int) -> tuple[Search, int]:
    """Compile with the match limit; (search, number of groups). Raises ValueError."""
    try:
        compiled = module.compile(LIMIT + pattern, bits | NEVER_UCP_FLAG)
    except (module.LibraryError, ValueError, UnicodeEncodeError) as error:
        raise ValueError(f"the pattern is wrong: {_without_limit(str(error))}") from None
    return compiled.search, compiled.groups


def _without_limit(text: str) -> str:
    return re.sub(r"position (\d+)", lambda found: f"position {max(0, int(found.group(1)) - len(LIMIT))}", text)


def engine(module: Any) -> Engine:
    """The PCRE2 engine for pcre tables."""

    def compile_pattern(pattern: str, flags: str) -> Compiled:
        on = {"i", "s"}
        for flag in flags:
            if flag not in BITS:
                raise ValueError(f'unknown flag "{flag}": the flags are {" ".join(BITS)}')
            on ^= {flag}
        bits = 0
        for flag in on:
            bits |= BITS[flag]
        refused = _REFUSED.search(pattern)
        if refused and r"\Q" not in pattern:
            raise ValueError(f"the pattern is wrong: {refused.group(1)} is not known; write \\x{{…}}")
        # The wheel does not pass PCRE2_ANCHORED through to searches; \G is the same.
        bounded = pattern
        if "A" in on:
            settings = _SETTINGS.match(pattern)
            start = settings.end() if settings else 0
            # With x a comment may run to the end of the line.
            end = "\n)" if "x" in on else ")"
            bounded = f"{pattern[:start]}\\G(?:{pattern[start:]}{end}"
        search, groups = search_of(module, bounded, bits)
        joinable = ""
        if not on & set("xAEU") and not _NOT_JOINABLE.search(pattern):
            letters = "".join(sorted(on & set("ims")))
            off = "".join(sorted(set("ims") - on))
            joinable = f"(?{letters}{'-' + off if off else ''}:{pattern})"
        return Compiled(search, groups, joinable)

    return Engine(compile_pattern, joiner(module), module.LibraryError)


def joiner(module: Any) -> Any:
    """Makes guards out of joinable patterns."""

    def join(patterns: list[str]) -> Search | None:
        try:
            return search_of(module, "|".join(patterns), 0)[0]
        except ValueError:
            return None

    return join


def open_pcre(spec: Spec) -> Table:
    """Open pcre:/file or pcre:{ … }. Raises ConfigError."""
    return PatternTable(spec, engine(load_pcre2(spec.origin)))
