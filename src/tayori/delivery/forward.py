"""~/.forward files and :include: lists as local(8) reads them: with the rights of whoever they speak for.

Blocking; for the process that changes its rights. A .forward that is not safe (not a regular file, of another user
than its own and root, writable by all) is passed over with a word in the log, and mail goes into the mailbox.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass

from tayori.config.expand import expand
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.delivery.passwd import User
from tayori.protocol.address import split, split_extension

MOST = 16 * 1024 * 1024
"""Bytes of a list; what is longer is not mail for people."""
LATER = frozenset((errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR))
"""Errors of the moment: the file may say something else than nothing."""
_PLAIN = re.compile(r"\$(?:(\w+)|\{(\w+)\}|\((\w+)\))")
_log = logging.getLogger("tayori.local")


class NotNow(Exception):
    """What the file says cannot be found out now; the text says why."""


class Unsafe(Exception):
    """A file that is not read, now or later; the text says why. `fault` is a word for that: relative, missing, kind,
    owner, open, closed."""

    def __init__(self, fault: str, path: str, text: str) -> None:
        self.fault, self.path = fault, path
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Found:
    """A .forward file. `whole`: its name holds the address extension."""

    path: str
    text: str
    whole: bool = False


Paths = tuple[tuple[str, bool], ...]
"""Where a user's .forward may lie, in order; whether the name holds the address extension."""


class Names:
    """The $names of local(8) for one delivery: forward_path, command_execution_directory, the environment."""

    def __init__(self, settings: Settings, filter_name: str) -> None:
        """`filter_name`: the parameter that lists the characters that may come from outside."""
        allowed = "".join(re.escape(char) for char in settings.text(filter_name))
        self._bad = re.compile(f"[^{allowed}]" if allowed else ".", re.DOTALL)
        self._delimiters = settings.text("recipient_delimiter")
        self._special = settings.flag("owner_request_special")

    def clean(self, text: str) -> str:
        """With `_` for each character that is not allowed."""
        return self._bad.sub("_", text)

    def values(self, user: User | None, address: str) -> dict[str, str]:
        """name -> cleaned value, empty where there is none. An extension with a `/` is none."""
        local, domain = split(address)
        base, extension = split_extension(local, self._delimiters, self._special) if self._delimiters else (local, "")
        delimiter = local[len(base) : len(base) + 1]
        if "/" in extension:
            extension = ""
        found = {
            "user": base.lower(),
            "home": user.home if user else "",
            "shell": user.shell if user else "",
            "recipient": address,
            "extension": extension,
            "domain": domain,
            "local": local,
            "recipient_delimiter": delimiter or self._delimiters[:1],
        }
        return {name: self.clean(value) for name, value in found.items()}

    def expand(self, text: str, values: dict[str, str]) -> str | None:
        """`text` with its names put in; None where it asks for one that is empty. Raises ConfigError."""
        for name in _PLAIN.findall(text):
            if not values.get("".join(name)):
                return None
        return expand(text, {name: value.replace("$", "$$") for name, value in values.items()}.get)


class Forwards:
    """forward_path of one configuration."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError for a forward_path that cannot be used."""
        self._names = Names(settings, "forward_expansion_filter")
        self._home_only = "$home/.forward"
        self._delimiters = settings.text("recipient_delimiter")
        try:
            self._items = settings.items("forward_path")
            for item in self._items:
                self._names.expand(item, self._names.values(User("x", 1, 1, "/x", "/x"), "x@x"))
        except ConfigError as error:
            raise ConfigError(f"forward_path: {error.message}", settings.origin("forward_path")) from error

    def paths(self, user: User, address: str) -> Paths:
        """The files to look for, in order."""
        found: list[tuple[str, bool]] = []
        values: dict[str, str] = {}
        for item in self._items:
            if item == self._home_only:
                found.append((f"{user.home}/.forward", False))
                continue
            if "extension}" in item and not self._delimiters:
                continue  # the first of the default: nothing to put in, ever
            values = values or self._names.values(user, address)
            path = self._names.expand(item, values)
            if path:
                found.append((path, "extension" in item and bool(values["extension"])))
        return tuple(found)


def look(paths: Paths, user: str, uid: int, tell: Callable[[Unsafe], None] | None = None) -> Found | None:
    """The first .forward that is there and says something, read with the user's rights. `tell` hears of one that is
    not safe, in the log's place. Raises NotNow."""
    for path, whole in paths:
        try:
            status = os.lstat(path)
        except OSError as error:
            if error.errno in LATER:
                raise NotNow(f"cannot read {path}: {error.strerror}") from error
            continue
        try:
            text = _read(path, status, uid)
        except Unsafe as unsafe:
            if tell is not None:
                tell(unsafe)
            else:
                _log.warning("mail for %s: %s", user, unsafe)
            return None
        return Found(path, text, whole) if _says(text) else None
    return None


def _read(path: str, status: os.stat_result, uid: int) -> str:
    """A .forward file. Raises Unsafe, NotNow."""
    if not stat.S_ISREG(status.st_mode):
        raise Unsafe("kind", path, f"{path} is not a regular file; it is not read")
    if status.st_uid not in (0, uid):
        raise Unsafe(
            "owner", path, f"{path} belongs to uid {status.st_uid}, not to this user or root; it is not read"
        )
    if status.st_mode & stat.S_IWOTH:
        raise Unsafe("open", path, f"{path} is writable by everybody; it is not read: chmod o-w {path}")
    return _content(path, os.O_NOFOLLOW, status)


def _content(path: str, flags: int, before: os.stat_result | None) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except OSError as error:
        if error.errno in LATER or before is None:
            raise NotNow(f"cannot open {path}: {error.strerror}") from error
        raise Unsafe("closed", path, f"cannot open {path}: {error.strerror}; it is not read") from error
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if before is not None and (status.st_dev, status.st_ino) != (before.st_dev, before.st_ino):
            raise NotNow(f"{path} has changed while it was opened")
        if status.st_size > MOST:
            raise NotNow(f"{path} has more than {MOST} bytes")
        try:
            return file.read(MOST).decode("utf-8", "backslashreplace")
        except OSError as error:
            raise NotNow(f"cannot read {path}: {error.strerror}") from error


def _says(text: str) -> bool:
    return any(line.strip(" \t\r,") and not line.startswith("#") for line in text.splitlines())


def include(path: str) -> tuple[str, int]:
    """An :include: list and whose it is, read with the rights that the process has. Raises Unsafe, NotNow."""
    if not path.startswith("/"):
        raise Unsafe("relative", path, f":include:{path} must be an absolute path")
    try:
        status = os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise Unsafe("missing", path, f"cannot find the list {path}: {error.strerror}") from error
        raise NotNow(f"cannot read the list {path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise Unsafe("kind", path, f"the list {path} is not a regular file")
    if status.st_mode & stat.S_IWOTH:
        raise Unsafe("open", path, f"the list {path} is writable by everybody: chmod o-w {path}")
    return _content(path, 0, None), status.st_uid
