"""The users who have mailboxes: the system's (getpwnam) or a file in passwd(5) format.

`tayori_passwd_file` names the file; unset or /etc/passwd means the system's user data base (nsswitch: LDAP …).
"Unknown" and "cannot be found out now" are kept apart: the first bounces mail, the second defers it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import time
from dataclasses import dataclass

from tayori.config.settings import Settings

KEEP = 10.0
"""Seconds for which a user found is believed without asking again."""


@dataclass(frozen=True, slots=True)
class User:
    """One account."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = ""


class LookupFailed(Exception):
    """The user data base cannot answer now."""


class Users:
    """Look-ups by name. `path` is a passwd(5) file; empty or /etc/passwd: the system's."""

    def __init__(self, path: str = "") -> None:
        self._path = "" if os.path.normpath(path or "/etc/passwd") == "/etc/passwd" else path
        self._found: dict[str, tuple[float, User]] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._file: dict[str, User] = {}

    @classmethod
    def configured(cls, settings: Settings) -> Users:
        """By `tayori_passwd_file`."""
        return cls(settings.text("tayori_passwd_file"))

    def find(self, name: str) -> User | None:
        """The user, or None when there is none. Raises LookupFailed."""
        if not name or "/" in name or "\0" in name or name.startswith("."):
            return None
        if self._path:
            return self._from_file(name)
        now = time.monotonic()
        known = self._found.get(name)
        if known is not None and known[0] > now:
            return known[1]
        user = _from_system(name)
        if user is None:
            self._found.pop(name, None)
            return None
        if len(self._found) >= 10_000:
            self._found.clear()
        self._found[name] = (now + KEEP, user)
        return user

    def _from_file(self, name: str) -> User | None:
        try:
            status = os.stat(self._path)
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
                    self._file = parse(file.read())
                self._stamp = stamp
        except OSError as error:
            raise LookupFailed(f"{self._path}: {error.strerror}") from error
        return self._file.get(name)


def parse(text: str) -> dict[str, User]:
    """The users of a passwd(5) file; lines that do not fit are passed over, the first of a name counts."""
    users: dict[str, User] = {}
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) < 6 or line.startswith("#") or not (parts[2].isdigit() and parts[3].isdigit()):
            continue
        users.setdefault(parts[0], User(parts[0], int(parts[2]), int(parts[3]), *parts[5:7]))
    return users


def _from_system(name: str) -> User | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        _raise_if_broken(name)
        return None
    except UnicodeError:
        return None
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)


def _raise_if_broken(name: str) -> None:
    """Python's KeyError also hides a user data base that failed: ask getpwnam_r(3) for its own word."""
    libc = ctypes.CDLL(None, use_errno=True)
    entry, buffer, result = ctypes.create_string_buffer(256), ctypes.create_string_buffer(65536), ctypes.c_void_p()
    code = libc.getpwnam_r(os.fsencode(name), entry, buffer, ctypes.c_size_t(65536), ctypes.byref(result))
    if code not in (0, errno.ENOENT, errno.ESRCH):
        raise LookupFailed(os.strerror(code))
