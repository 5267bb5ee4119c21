"""What `tayori check` finds in a configuration, without asking anybody outside: pure functions of a Source.

One module per idea; each has its messages as templates at its head and a function `check(source)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tayori.config.lint import (
    cleanup,
    copied,
    domains,
    mailboxes,
    names,
    nexthop,
    relay,
    rules,
    sasl,
    services,
    slips,
    swallowed,
    tables,
    unicode,
    values,
)
from tayori.config.lint.finding import SEVERITIES, Edit, Finding, Message
from tayori.config.lint.source import Source, read_source
from tayori.config.mastercf import Service
from tayori.config.settings import Settings

__all__ = ["LINTS", "Edit", "Finding", "Message", "Source", "fatal_findings", "lint", "read_source"]

Lint = Callable[[Source], Iterator[Finding]]

LINTS: tuple[Lint, ...] = (
    services.check,
    swallowed.check,
    copied.check,
    names.check,
    values.check,
    rules.check,
    tables.check,
    relay.check,
    sasl.check,
    domains.check,
    slips.check,
    nexthop.check,
    mailboxes.check,
    unicode.check,
    cleanup.check,
)
# What stops `start`: the others work badly, but they work.
FATAL = frozenset(
    (
        "bad-line",
        "bad-value",
        "open-relay",
        "no-relay-restriction",
        "bad-port",
        "name-not-ascii",
        "unknown-program",
        "pwcheck-alwaystrue",
        "interface-name",
        "unknown-protocol",
    )
)


def lint(source: Source) -> list[Finding]:
    """Every finding, ordered by file, line, and weight."""
    found = {(f.code, f.origin, f.title): f for check in LINTS for f in check(source)}
    files = [source.main, source.master, source.smtpd_conf.path]

    def key(finding: Finding) -> tuple[int, str, int, int]:
        file = finding.origin.file
        known = files.index(file) if file in files else len(files)
        return known, file, finding.origin.line, SEVERITIES.index(finding.severity)

    return sorted(found.values(), key=key)


def fatal_findings(settings: Settings, services: Iterable[Service]) -> list[Finding]:
    """What stops `start`: bad values, an open relay, no safe relay rule."""
    return fatal_of(Source(settings, tuple(services)))


def fatal_of(source: Source) -> list[Finding]:
    """The same for a Source that was read leniently."""
    checks = (services.check, values.check, slips.check, relay.check, sasl.check, unicode.own_names)
    found = [f for check in checks for f in check(source)]
    swallow = [f for f in swallowed.check(source) if f.severity == "error" and f.code != "swallowed-setting"]
    return [f for f in found if f.severity == "error" and f.code in FATAL] + swallow
