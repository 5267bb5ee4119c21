"""postmap: ask tables, check their sources, change them. Postfix's command of the same name, postmap(1).

    postmap [-c DIR] [-fNnoprsuUvw] [-hbm] -q KEY|- TYPE:FILE …    ask; exit 1 when nothing is found
    postmap -s TYPE:FILE …                                          list all entries
    postmap -d KEY|- TYPE:FILE …                                    remove entries
    postmap -i [-r] TYPE:FILE < ENTRIES                             add entries
    postmap TYPE:FILE …                                             check the source

tayori reads the text itself, so there is no database to build: without -q, -s, -d or -i the file is read, bad lines
are named, and that is all. -d and -i change the text file. -N -n -o -p -u -U are taken and mean nothing here.
"""

from __future__ import annotations

import asyncio
import getopt
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.tables import edit
from tayori.tables.formats import FORMATS
from tayori.tables.inline import InlineTable
from tayori.tables.lines import Entry, Problem, fold
from tayori.tables.outcome import Found, Table, TempFail
from tayori.tables.registry import TYPES, Tables, indexed
from tayori.tables.text import TextTable, plain

DEFAULT_DIRECTORY = "/etc/postfix"


@dataclass
class Job:
    """One call of the command. `form` is "map" for postmap, "aliases" for postalias."""

    program: str
    form: str
    directory: str = ""
    query: str | None = None
    delete: str | None = None
    listing: bool = False
    incremental: bool = False
    overwrite: bool = False
    quiet_duplicates: bool = False
    fold: bool = True
    headers: bool = False
    body: bool = False
    verbose: bool = False
    specs: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """One line to standard error, in Postfix's form."""
        print(f"{self.program}: {text}", file=sys.stderr)

    @property
    def folding(self) -> object:
        """How keys are folded."""
        return fold if self.fold else plain


def main(argv: list[str]) -> int:
    """Run postmap with these arguments (without the program's name)."""
    return run("postmap", "map", argv)


def run(program: str, form: str, argv: list[str]) -> int:
    """What postmap and postalias share."""
    try:
        job = parse(program, form, argv)
        settings = read_settings(job.directory)
        specs = [full_spec(spec, settings) for spec in job.specs]
        tables = Tables(settings, fold=job.fold)
        try:
            return perform(job, tables, specs)
        finally:
            tables.close()
    except getopt.GetoptError as error:
        print(
            f"{program}: {error.msg}\nusage: {program} [-c DIR] [-q KEY | -d KEY | -s | -i] TYPE:FILE …",
            file=sys.stderr,
        )
    except ConfigError as error:
        print(f"{program}: fatal: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{program}: fatal: {error.filename or ''}: {error.strerror}", file=sys.stderr)
    return 1


def parse(program: str, form: str, argv: list[str]) -> Job:
    """Options of postmap(1). Raises getopt.GetoptError."""
    options, words = getopt.getopt(argv, "bc:d:fFhimnNopq:rsuUvw")
    job = Job(program, form, specs=words)
    for option, value in options:
        match option:
            case "-c":
                job.directory = value
            case "-q":
                job.query = value
            case "-d":
                job.delete = value
            case "-s":
                job.listing = True
            case "-i":
                job.incremental = True
            case "-r":
                job.overwrite = True
            case "-w":
                job.quiet_duplicates = True
            case "-f":
                job.fold = False
            case "-h":
                job.headers = True
            case "-b":
                job.body = True
            case "-v":
                job.verbose = True
            case "-F":
                raise getopt.GetoptError(
                    "-F (values that are file contents) is not supported: name the files instead"
                )
            case _:
                pass
    chosen = [job.query is not None, job.delete is not None, job.listing, job.incremental]
    if sum(chosen) > 1:
        raise getopt.GetoptError("use only one of -q, -d, -s and -i")
    if not words:
        raise getopt.GetoptError("no table is named")
    return job


def read_settings(directory: str) -> Settings:
    """main.cf of -c, MAIL_CONFIG or /etc/postfix; without any, the defaults. Raises ConfigError."""
    chosen = directory or os.environ.get("MAIL_CONFIG", "")
    if not chosen and not os.path.exists(f"{DEFAULT_DIRECTORY}/main.cf"):
        return Settings(DEFAULT_DIRECTORY)
    return Settings.read(chosen or DEFAULT_DIRECTORY)


def full_spec(spec: str, settings: Settings) -> str:
    """`file` alone takes default_database_type."""
    kind, colon, _ = spec.partition(":")
    return (
        spec if colon and (kind in TYPES or "/" not in kind) else f"{settings.text('default_database_type')}:{spec}"
    )


def perform(job: Job, tables: Tables, specs: list[str]) -> int:
    """Do what the options say; the exit code."""
    if job.query is not None:
        return asyncio.run(query(job, tables, specs))
    if job.listing:
        return listing(job, tables, specs)
    if job.delete is not None:
        return delete(job, specs)
    if job.incremental:
        return incremental(job, specs)
    return max(check(job, spec) for spec in specs)


async def query(job: Job, tables: Tables, specs: list[str]) -> int:
    """-q: the first table that has the key answers."""
    opened = [tables.open(spec, None, job.form, "tempfail") for spec in specs]
    if job.query != "-":
        value = await first(job, opened, job.query or "")
        if value is not None:
            print(value)
        return 0 if value is not None else 1
    hits = 0
    for key in keys_from_input(job):
        value = await first(job, opened, key)
        if value is not None:
            hits += 1
            print(f"{key}\t{value}")
    return 0 if hits else 1


async def first(job: Job, opened: Iterable[Table], key: str) -> str | None:
    """The first value found. Raises ConfigError when a table fails."""
    for table in opened:
        answer = await table.lookup(key)
        if isinstance(answer, Found):
            return answer.value
        if isinstance(answer, TempFail):
            raise ConfigError(f"table {table.name}: query error: {answer.why}")
    return None


def keys_from_input(job: Job) -> Iterator[str]:
    """Keys for `-q -`: lines, or with -h header lines and with -b body lines of a message (postmap(1))."""
    lines = [line.rstrip("\r\n") for line in sys.stdin]
    if not (job.headers or job.body):
        yield from lines
        return
    at = 0
    held = ""
    while at < len(lines):
        line = lines[at]
        if held and line[:1] in (" ", "\t"):
            held += f"\n{line}"
        elif line.partition(":")[1] and line[:1] not in (" ", "\t") and " " not in line.partition(":")[0].rstrip():
            if held and job.headers:
                yield held
            held = line
        else:
            break
        at += 1
    if held and job.headers:
        yield held
    if job.body:
        yield from lines[at + 1 if at < len(lines) and not lines[at] else at :]


def listing(job: Job, tables: Tables, specs: list[str]) -> int:
    """-s: every entry, one `key TAB value` a line."""
    for spec in specs:
        table = tables.open(spec, None, job.form, "tempfail")
        if isinstance(table, InlineTable):
            pairs = table.pairs()
        elif isinstance(table, TextTable):
            pairs = [(entry.key, entry.value) for entry in table.entries()]
        else:
            raise ConfigError(f"{spec}: tables of this type cannot be listed")
        for key, value in pairs:
            print(f"{key}{':' if job.form == 'aliases' else ''}\t{value}")
    return 0


def text_file(job: Job, spec: str) -> str:
    """The file of an indexed table. Raises ConfigError for other types."""
    kind, _, path = spec.partition(":")
    if not indexed(kind):
        raise ConfigError(f"{spec}: tables of type {kind} cannot be changed or built by {job.program}")
    return path


def delete(job: Job, specs: list[str]) -> int:
    """-d: remove entries from the text; exit 1 when no key was there."""
    keys = [line.rstrip("\n") for line in sys.stdin] if job.delete == "-" else [job.delete or ""]
    hits = 0
    for spec in specs:
        path = text_file(job, spec)
        found = edit.remove(path, job.form, keys, fold if job.fold else plain)
        hits += len(found)
        if found and job.verbose:
            job.say(f"{path}: removed {len(found)} from the text, which is what tayori reads")
    return 0 if hits else 1


def incremental(job: Job, specs: list[str]) -> int:
    """-i: add the entries on standard input to the text."""
    raw = sys.stdin.buffer.readlines()
    for spec in specs:
        path = text_file(job, spec)
        for problem in edit.add(path, job.form, raw, job.overwrite, fold if job.fold else plain):
            if not (job.quiet_duplicates and "already" in problem.why):
                job.say(f"warning: standard input:{problem.line}: {problem.why}; the line is left out")
    return 0


def check(job: Job, spec: str) -> int:
    """Read the whole source and name what is wrong, without opening a table: 0 also with bad lines, as Postfix."""
    kind, _, path = spec.partition(":")
    if not indexed(kind):
        raise ConfigError(
            f"{spec}: tables of type {kind} have no database to build",
            None,
            f"ask it with {job.program} -q KEY {spec}",
        )
    entries = 0
    seen: dict[str, int] = {}
    with open(path, "rb") as file:
        for item in FORMATS[job.form](file):
            if isinstance(item, Problem):
                job.say(f"warning: {path}:{item.line}: {item.why}; the line is left out")
                continue
            if _looks_wrong(item, job):
                job.say(f"warning: {path}:{item.line}: the key ends with a colon: is this an alias file?")
            key = fold(item.key) if job.fold else item.key
            if key in seen:
                if not job.quiet_duplicates:
                    job.say(
                        f'warning: {path}:{item.line}: "{item.key}" stands in line {seen[key]} already, which counts'
                    )
                continue
            seen[key] = item.line
            entries += 1
    if job.program != "newaliases" or job.verbose:
        job.say(f"{path}: {entries} entries; tayori reads the text itself, nothing had to be built")
    return 0


def _looks_wrong(entry: Entry, job: Job) -> bool:
    return job.form == "map" and entry.key.endswith(":")
