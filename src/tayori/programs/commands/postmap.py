"""postmap: ask tables, check their sources, change them. Postfix's command of the same name, postmap(1).

    postmap [-c DIR] [-fFNnopuUv] [-hbm] -q KEY|- TYPE:FILE …      ask; exit 1 when nothing is found
    postmap [-F] -s TYPE:FILE …                                     list all entries of the first one
    postmap -d KEY|- TYPE:FILE …                                    remove entries
    postmap -i [-rw] TYPE:FILE < ENTRIES                            add entries
    postmap [-Fw] TYPE:FILE …                                       check the source

tayori reads the text itself, so there is no database to build: without -q, -s, -d or -i the file is read, bad lines
are named, and that is all. -d and -i change the text file. -N -n -o -p -u -U are taken and mean nothing here. With
-F values are names of files, and their contents are what is shown (postmap_files.py).
"""

from __future__ import annotations

import asyncio
import getopt
import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.programs.commands.postmap_files import ENCODED, contents, decoded
from tayori.programs.commands.postmap_keys import keys
from tayori.rewrite.aliasmaps import alias_file
from tayori.tables import edit
from tayori.tables.formats import FORMATS
from tayori.tables.inline import InlineTable
from tayori.tables.lines import Entry, Problem, fold, plain
from tayori.tables.outcome import Found, Table, TempFail
from tayori.tables.registry import TYPES, Tables, indexed
from tayori.tables.text import TextTable

DEFAULT_DIRECTORY = "/etc/postfix"
ENDS_IN_COLON = "the key ends with a colon: is this an alias file?"
OPTIONS = {"map": "bc:d:fFhimnNopq:rsuUvw", "aliases": "c:d:finNopq:rsuvw"}


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
    structure: bool = False
    files: bool = False
    verbose: bool = False
    specs: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """One line to standard error, in Postfix's form."""
        print(f"{self.program}: {text}", file=sys.stderr)

    @property
    def colon(self) -> str:
        """What stands behind a key that is shown."""
        return ":" if self.form == "aliases" else ""

    @property
    def folding(self) -> object:
        """How keys are folded."""
        return fold if self.fold else plain


def main(argv: list[str]) -> int:
    """Run postmap with these arguments (without the program's name)."""
    return run("postmap", "map", argv)


def run(program: str, form: str, argv: list[str]) -> int:
    """What postmap and postalias share."""
    told = logging.StreamHandler(sys.stderr)
    told.setLevel(logging.WARNING)
    told.setFormatter(logging.Formatter(f"{program}: warning: %(message)s"))
    logger = logging.getLogger("tayori.tables")
    logger.addHandler(told)
    try:
        return _run(program, form, argv)
    finally:
        logger.removeHandler(told)


def _run(program: str, form: str, argv: list[str]) -> int:
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
            f"{program}: fatal: {error.msg}\nusage: {program} [-c DIR] [-q KEY | -d KEY | -s | -i] TYPE:FILE …",
            file=sys.stderr,
        )
    except ConfigError as error:
        print(f"{program}: fatal: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{program}: fatal: {error.filename or ''}: {error.strerror}", file=sys.stderr)
    return 1


def parse(program: str, form: str, argv: list[str]) -> Job:
    """Options of postmap(1). Raises getopt.GetoptError."""
    options, words = getopt.getopt(argv, OPTIONS[form])
    job = Job(program, form, specs=words)
    given = [option for option, _ in options]
    if given.count("-q") + given.count("-d") + ("-s" in given) > 1:
        raise getopt.GetoptError("specify only one of -s -q or -d")
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
            case "-m":
                job.structure = True
            case "-F":
                job.files = True
            case _:
                pass
    if job.query != "-" and (job.headers or job.body or job.structure):
        raise getopt.GetoptError('specify -b -h or -m only with "-q -"')
    if job.structure and not (job.headers or job.body):
        job.say("warning: ignoring -m option without -b or -h")
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
        return delete(job, tables.settings, specs)
    if job.incremental:
        return incremental(job, tables.settings, specs)
    return max(check(job, spec) for spec in specs)


def form_of(job: Job, settings: Settings, spec: str) -> str:
    """How the source of a table is read. postmap asks a database that postalias built: so here an alias file."""
    return "aliases" if job.form == "aliases" or alias_file(settings, spec) else job.form


async def query(job: Job, tables: Tables, specs: list[str]) -> int:
    """-q: the first table that has the key answers."""
    opened = [tables.open(spec, None, form_of(job, tables.settings, spec), "tempfail") for spec in specs]
    if job.query != "-":
        value = await first(job, opened, job.query or "")
        if value is not None:
            put(value)
        return 0 if value is not None else 1
    hits = 0
    for key in keys(job.headers, job.body, job.structure):
        value = await first(job, opened, key)
        if value is not None:
            hits += 1
            put(f"{key}{job.colon}\t", value)
    return 0 if hits else 1


def put(*parts: str | bytes) -> None:
    """One line; bytes that are no UTF-8 as they are."""
    raw = b"".join(part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape") for part in parts)
    try:
        print(raw.decode())
    except UnicodeDecodeError:
        sys.stdout.flush()
        sys.stdout.buffer.write(raw + b"\n")
        sys.stdout.buffer.flush()


def shown(job: Job, table: Table, key: str, value: str) -> str | bytes | None:
    """What -F makes of a value; None, with a warning, where its files cannot be read."""
    if not job.files:
        return value
    try:
        return decoded(value) if table.name.partition(":")[0] in ENCODED else contents(value)
    except ConfigError as error:
        job.say(f"warning: {table.name}: {key}: {error}; the entry is left out")
        return None


async def first(job: Job, opened: Iterable[Table], key: str) -> str | bytes | None:
    """The first value found. Raises ConfigError when a table fails."""
    for table in opened:
        answer = await table.lookup(key)
        if isinstance(answer, Found):
            return shown(job, table, key, answer.value)
        if isinstance(answer, TempFail):
            raise ConfigError(f"table {table.name}: query error: {answer.why}")
    return None


def listing(job: Job, tables: Tables, specs: list[str]) -> int:
    """-s: every entry of the first table, one `key TAB value` a line, as Postfix does."""
    spec = specs[0]
    table = tables.open(spec, None, form_of(job, tables.settings, spec), "tempfail")
    if isinstance(table, InlineTable):
        pairs = table.pairs()
    elif isinstance(table, TextTable):
        pairs = [(entry.key, entry.value) for entry in table.entries()]
    else:
        raise ConfigError(f"{spec}: tables of this type cannot be listed")
    for key, value in pairs:
        text = shown(job, table, key, value)
        if text is not None:
            put(f"{key}{job.colon}\t", text)
    if len(specs) > 1:
        job.say("warning: only the first table is listed")
    return 0


def text_file(job: Job, spec: str) -> str:
    """The file of an indexed table. Raises ConfigError for other types."""
    kind, _, path = spec.partition(":")
    if not indexed(kind):
        raise ConfigError(f"{spec}: tables of type {kind} cannot be changed or built by {job.program}")
    return path


def delete(job: Job, settings: Settings, specs: list[str]) -> int:
    """-d: remove entries from the text; exit 1 when no key was there."""
    wanted = list(keys(False, False, False)) if job.delete == "-" else [job.delete or ""]
    if job.delete == "-":
        # Postfix opens all of them first: one that cannot be changed leaves the others as they are.
        for spec in specs:
            text_file(job, spec)
    hits = 0
    for spec in specs:
        path = text_file(job, spec)
        found = edit.remove(path, form_of(job, settings, spec), wanted, fold if job.fold else plain)
        hits += len(found)
        if found and job.verbose:
            job.say(f"{path}: removed {len(found)} from the text, which is what tayori reads")
    return 0 if hits else 1


def incremental(job: Job, settings: Settings, specs: list[str]) -> int:
    """-i: add the entries on standard input to the text."""
    for spec in specs:
        if form_of(job, settings, spec) != job.form:
            raise ConfigError(
                f"{spec} is an alias file: {job.program} would add lines that are no aliases",
                None,
                f"postalias -i {spec}",
            )
    raw = sys.stdin.buffer.readlines()
    for item in FORMATS[job.form](raw):
        if isinstance(item, Entry) and _looks_wrong(item, job):
            job.say(f"warning: standard input:{item.line}: {ENDS_IN_COLON}")
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
            if job.files:
                try:
                    contents(item.value)
                except ConfigError as error:
                    job.say(f"warning: {path}:{item.line}: {error.message}; the line is left out")
                    continue
            if _looks_wrong(item, job):
                job.say(f"warning: {path}:{item.line}: {ENDS_IN_COLON}")
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
