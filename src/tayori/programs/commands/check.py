"""`tayori check`: reads a configuration as its author would want it read, and says what is wrong with it.

usage: tayori check [-c DIR] [--fix] [--json] [--lang LANG] [--quiet]

Prints findings grouped by file, `file:line: severity: title`, then what it means and how to mend it.
`--fix` mends what is certain and shows the change as a unified diff (with --json on the error output). Exit code:
0 nothing, or notes only; 1 warnings; 2 errors; 64 wrong usage; 66 main.cf cannot be read.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from tayori.config.lint import Edit, Finding, Source, lint, read_source
from tayori.config.lint.finding import SEVERITIES
from tayori.config.origin import ConfigError
from tayori.net.system import probe
from tayori.programs.commands import check_live, check_servers
from tayori.programs.commands.arguments import Arguments
from tayori.programs.commands.check_dns import names
from tayori.programs.commands.check_local import local
from tayori.programs.commands.check_relay_login import relay_logins
from tayori.programs.commands.check_sasl import logins
from tayori.programs.commands.check_tables import check as tables
from tayori.programs.commands.control import default_directory, no_configuration
from tayori.programs.language import ENGLISH, N_, Language, choose

EX_USAGE, EX_NOINPUT = 64, 66
ROUNDS = 10
"""How often --fix looks again: of two mends to one line the second shows after the first."""
ONE = {"error": N_("{count} error"), "warning": N_("{count} warning"), "note": N_("{count} note")}
MANY = {"error": N_("{count} errors"), "warning": N_("{count} warnings"), "note": N_("{count} notes")}
SEVERITY_NAMES = (N_("error"), N_("warning"), N_("note"))

Check = Callable[[Source], Iterable[Finding]]
# Everything that is checked: the files alone first, then what needs a look outside (sockets, ports, certificates).
CHECKS: tuple[Check, ...] = (lint, check_live.check, check_servers.check, logins, relay_logins, local, tables)


def parser() -> Arguments:
    """The command line."""
    command = Arguments("tayori check", description=N_("Find mistakes in a mail server's configuration."))
    where = default_directory()
    command.add_argument(
        "-c", dest="directory", metavar="DIR", default=where, help=N_("the folder of main.cf (%(default)s)")
    )
    command.add_argument("--fix", action="store_true", help=N_("mend what is certain and show the change"))
    command.add_argument(
        "--dns", action="store_true", help=N_("ask DNS too: myhostname, its addresses and their names")
    )
    command.add_argument("--json", action="store_true", help=N_("print the findings as JSON"))
    command.add_argument("--quiet", "-q", action="store_true", help=N_("leave out notes"))
    return command


def exit_code(findings: Iterable[Finding]) -> int:
    """2 with errors, 1 with warnings, else 0."""
    worst = {finding.severity for finding in findings}
    return 2 if "error" in worst else 1 if "warning" in worst else 0


def shown(findings: Iterable[Finding], say: Language = ENGLISH, width: int = 96) -> Iterator[str]:
    """The findings as lines of text. Lines are folded where the language has blanks to fold at."""
    file = None
    for finding in findings:
        if file is not None and finding.origin.file != file:
            yield ""
        file = finding.origin.file
        title, meaning, mend = say.finding(finding)
        yield f"{finding.origin}: {say(finding.severity)}: {title}"
        for text, first in ((meaning, "    "), (mend, "    → ")):
            if text:
                yield from say.wrap(text, width, first)
        yield from (f"      {say.phrase(line)}" for line in finding.session)


def summary(findings: list[Finding], directory: str, say: Language = ENGLISH) -> str:
    """One line at the end."""
    counts = [(sum(f.severity == severity for f in findings), severity) for severity in SEVERITIES]
    said = [say(MANY[severity] if count != 1 else ONE[severity], count=count) for count, severity in counts if count]
    return f"{directory}: {', '.join(said) or say('nothing to complain about')}"


def as_json(findings: Iterable[Finding], say: Language = ENGLISH) -> str:
    """A JSON array of objects."""
    rows = [
        {
            "file": finding.origin.file,
            "line": finding.origin.line,
            "severity": finding.severity,
            "code": finding.code,
            **dict(zip(("title", "meaning", "mend"), say.finding(finding), strict=True)),
            "fixable": finding.fix is not None,
            **({"session": [str(say.phrase(line)) for line in finding.session]} if finding.session else {}),
        }
        for finding in findings
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def mended(text: str, edits: Iterable[Edit]) -> str:
    """The text with every edit made. Of two edits to one line the first is made; check again for the other."""
    lines = text.split("\n")
    by_line: dict[int, Edit] = {}
    for edit in edits:
        by_line.setdefault(edit.line, edit)
    for number in sorted(by_line, reverse=True):
        if 0 < number <= len(lines):
            end = "\r" if lines[number - 1].endswith("\r") else ""
            lines[number - 1 : number] = [line.removesuffix("\r") + end for line in by_line[number].lines]
    return "\n".join(lines)


def apply(source: Source, findings: Iterable[Finding], say: Language = ENGLISH) -> Iterator[str]:
    """Mend each file that has edits, and give the change as unified diffs. Raises OSError."""
    by_file: dict[str, list[Edit]] = {}
    for finding in findings:
        if finding.fix is not None:
            by_file.setdefault(finding.fix.file, []).append(finding.fix)
    for file, edits in by_file.items():
        before = source.texts[file]
        after = mended(before, edits)
        if after != before:
            replace_file(Path(file), after)
            old, new = before.splitlines(), after.splitlines()
            yield from difflib.unified_diff(old, new, file, say("{file} (mended)", file=file), lineterm="")


def replace_file(path: Path, text: str) -> None:
    """Write a new file beside the old one and put it in its place, with the same mode and owner. Raises OSError."""
    path = path.resolve()
    state = path.stat()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(text.encode("utf-8", "surrogateescape"))
            new.flush()
            os.fchmod(new.fileno(), state.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.fchown(new.fileno(), state.st_uid, state.st_gid)
            os.fsync(new.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def examine(directory: str, dns: bool = False) -> tuple[Source, list[Finding]]:
    """Read and check; `dns` asks the name servers too. Raises ConfigError when main.cf cannot be read."""
    source = read_source(directory, probe())
    checks = (*CHECKS, names) if dns else CHECKS
    return source, [finding for check in checks for finding in _of(check, source)]


def _of(check: Check, source: Source) -> list[Finding]:
    """What one check finds; a value that it cannot read has its own finding already."""
    found: list[Finding] = []
    with suppress(ConfigError):
        found.extend(check(source))
    return found


def main(argv: list[str]) -> int:
    """Run the command; answers the exit code."""
    try:
        options = parser().read(argv)
    except SystemExit as error:
        return EX_USAGE if error.code else 0
    say = choose(options.lang, options.json)
    try:
        source, findings = examine(options.directory, options.dns)
        for _ in range(ROUNDS if options.fix else 0):
            change = list(apply(source, findings, say))
            if not change:
                break
            print("\n".join(change), file=sys.stderr if options.json else sys.stdout)
            source, findings = examine(options.directory, options.dns)
    except ConfigError as error:
        print(f"tayori check: {no_configuration(options.directory, say) or say.error(error)}", file=sys.stderr)
        return EX_NOINPUT
    except OSError as error:
        trouble = say("{trouble}; nothing was changed there", trouble=say.trouble(error))
        print(f"tayori check: {trouble}", file=sys.stderr)
        return EX_NOINPUT
    code = exit_code(findings)
    if options.quiet:
        findings = [finding for finding in findings if finding.severity != "note"]
    if options.json:
        print(as_json(findings, say))
    else:
        for line in shown(findings, say):
            print(line)
        print(summary(findings, options.directory, say))
    return code
