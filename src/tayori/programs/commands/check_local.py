"""What `tayori check` says about local(8): aliases that lead to commands, files and lists, and ~/.forward files.

Files are looked at, never changed; nothing is run. Of homes only those count that this user may look into.
"""

from __future__ import annotations

import pwd
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tayori.config.lint.finding import Finding, Message
from tayori.config.lint.source import Source
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.delivery.forward import Forwards, NotNow, Unsafe, include, look
from tayori.delivery.passwd import User, parse
from tayori.rewrite.targets import Destination, parse_destinations
from tayori.tables.formats import FORMATS
from tayori.tables.lines import Entry
from tayori.tables.registry import indexed

MOST = 20_000
"""Aliases, and users, that are looked at."""
WORDS = ("alias", "forward", "include")
PRIVS = Message(
    "warning",
    "default-privs",
    "default_privs = {value}: no command or file of root's aliases can be used",
    "They are run and written as this user, which must exist and be neither root nor the owner of the mail system. "
    "Until then such mail waits in the queue.",
    "Write for example: default_privs = nobody",
)
WORD = Message(
    "warning",
    "allow-mail-word",
    '{name}: "{word}" means nothing here',
    "The words are alias, forward and include; others allow nothing.",
    'Take "{word}" out, or write the word that was meant.',
)
OPEN = Message(
    "error",
    "alias-file-open",
    "everybody may write to {path}",
    "Whoever has an account here can have mail delivered to commands and files through it.",
    "Run: chmod o-w {path}",
)
RESTRICTED = Message(
    "warning",
    "alias-restricted",
    "mail for {name} comes back: {text} is not allowed in aliases",
    "{parameter} does not name alias.",
    "Add alias to {parameter}, or take this out of the alias.",
)
LIST = {
    "relative": Message(
        "warning",
        "list-relative",
        "mail for {name} comes back: :include:{path} is no absolute path",
        "A list is named from the root folder on.",
        "Write the whole path, beginning with /.",
    ),
    "missing": Message(
        "warning",
        "list-missing",
        "mail for {name} comes back: there is no list {path}",
        "The alias leads to this file.",
        "Make the file, or take it out of the alias.",
    ),
    "kind": Message(
        "warning",
        "list-no-file",
        "mail for {name} comes back: the list {path} is no file",
        "It must be a regular file.",
        "Name the file itself.",
    ),
    "open": Message(
        "warning",
        "list-open",
        "mail for {name} comes back: everybody may write to the list {path}",
        "Such a list is not read.",
        "Run: chmod o-w {path}",
    ),
}
FORWARD = {
    "kind": Message(
        "warning",
        "forward-no-file",
        "{path} is not read: it is no regular file",
        "Mail for {name} goes into the mailbox. A symbolic link does not count either.",
        "Put the file itself there.",
    ),
    "owner": Message(
        "warning",
        "forward-owner",
        "{path} is not read: it belongs to somebody else",
        "Mail for {name} goes into the mailbox.",
        "Run: chown {name} {path}",
    ),
    "open": Message(
        "warning",
        "forward-open",
        "{path} is not read: everybody may write to it",
        "Mail for {name} goes into the mailbox.",
        "Run: chmod o-w {path}",
    ),
    "closed": Message(
        "warning",
        "forward-closed",
        "{path} cannot be opened",
        "Mail for {name} goes into the mailbox.",
        "Run: chmod u+r {path}",
    ),
}


def local(source: Source) -> Iterator[Finding]:
    """All of it."""
    settings = source.settings
    for name in ("allow_mail_to_commands", "allow_mail_to_files"):
        for word in settings.items(name):
            if word not in WORDS:
                origin = settings.origin_of(name, word) or Origin(source.main)
                yield WORD.at(origin, name=name, word=word)
    if settings.system.root or settings.is_set("default_privs"):
        yield from _privs(source)
    yield from _aliases(settings)
    yield from _forwards(settings)


def _privs(source: Source) -> Iterator[Finding]:
    settings = source.settings
    value = settings.text("default_privs")
    try:
        entry = pwd.getpwnam(value)
        fit = entry.pw_uid != 0 and entry.pw_gid != 0 and value != settings.text("mail_owner")
    except KeyError:
        fit = False
    if not fit:
        yield PRIVS.at(settings.origin("default_privs") or Origin(source.main), value=value)


def _aliases(settings: Settings) -> Iterator[Finding]:
    for item in settings.items("alias_maps"):
        kind, _, path = item.removeprefix("proxy:").partition(":")
        if not indexed(kind):
            continue
        try:
            if Path(path).stat().st_mode & stat.S_IWOTH:
                yield OPEN.at(Origin(path), path=path)
            with open(path, "rb") as file:
                for entry in islice(FORMATS["aliases"](file), MOST):
                    if isinstance(entry, Entry):
                        yield from _alias(settings, path, entry)
        except OSError:
            continue  # tables that cannot be read have their own finding


def _alias(settings: Settings, path: str, entry: Entry) -> Iterator[Finding]:
    origin = Origin(path, entry.line)
    for target in parse_destinations(entry.value):
        parameter = {"command": "allow_mail_to_commands", "file": "allow_mail_to_files"}.get(target.kind, "")
        if parameter and "alias" not in settings.items(parameter):
            text = f"|{target.text}" if target.kind == "command" else target.text
            yield RESTRICTED.at(origin, name=entry.key, text=text, parameter=parameter)
        if target.kind == "include":
            yield from _list(origin, entry.key, target)


def _list(origin: Origin, name: str, target: Destination) -> Iterator[Finding]:
    try:
        include(target.text)
    except Unsafe as unsafe:
        yield LIST[unsafe.fault].at(origin, name=name, path=target.text)
    except NotNow:
        return  # another may be able to read it


def _forwards(settings: Settings) -> Iterator[Finding]:
    if not settings.items("forward_path"):
        return
    try:
        forwards = Forwards(settings)
    except ConfigError:
        return
    for user in islice(_users(settings), MOST):
        trouble: list[Unsafe] = []
        try:
            look(forwards.paths(user, f"{user.name}@localhost"), user.name, user.uid, trouble.append)
        except NotNow:
            continue
        for one in trouble:
            yield FORWARD[one.fault].at(Origin(one.path), name=user.name, path=one.path)


def _users(settings: Settings) -> Iterator[User]:
    path = settings.text("tayori_passwd_file")
    try:
        yield from parse(Path(path).read_text("utf-8", "surrogateescape")).values()
    except OSError:
        return
