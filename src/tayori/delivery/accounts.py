"""As whom the commands and files of aliases, lists and .forward files are run and written (local(8) DELIVERY RIGHTS).

The user of the .forward; else the owner of the list or alias file; where that is root, or nobody can tell,
`default_privs`. Never root, never the owner of the mail system.
"""

from __future__ import annotations

import os
import pwd

from tayori.config.settings import Settings
from tayori.delivery.execution import Account
from tayori.delivery.passwd import LookupFailed, User, Users
from tayori.rewrite.aliases import Source


class NoAccount(Exception):
    """There is nobody as whom it could be done; the text says why."""


class Accounts:
    """The rights of sources. An ordinary user does everything as himself."""

    def __init__(self, settings: Settings, users: Users) -> None:
        self._users = users
        self._default = settings.text("default_privs")
        self._barred = frozenset((settings.text("mail_owner"), "postfix", "tayori"))

    def of(self, source: Source) -> tuple[Account, User | None]:
        """The account, and the user behind it where one is known (for HOME and SHELL). Raises NoAccount."""
        user = self._user(source)
        if os.geteuid() != 0:
            return Account(os.geteuid(), os.getegid(), change=False), user
        if user is not None and user.uid != 0 and user.gid != 0 and user.name not in self._barred:
            return Account(user.uid, user.gid, change=True), user
        nobody = _of_system(self._default)
        if nobody is None or nobody.pw_uid == 0 or nobody.pw_gid == 0 or nobody.pw_name in self._barred:
            raise NoAccount(
                f"default_privs = {self._default}: this must be a user other than root and the mail owner"
            )
        return Account(nobody.pw_uid, nobody.pw_gid, change=True), user

    def reader(self, source: Source) -> Account:
        """As whom a list that `source` names is read: as `of`, but what root's file names root reads. Raises
        NoAccount."""
        if os.geteuid() == 0 and not source.user and source.path and self.owner(source) == 0:
            return Account(0, 0, change=False)
        return self.of(source)[0]

    def owner(self, source: Source) -> int:
        """Whose rights a source without a user has; 0 is root, or nobody in particular."""
        return source.uid if source.uid >= 0 else file_owner(source.path)

    def _user(self, source: Source) -> User | None:
        if source.user:
            user = self._found(source.user)
            if user is None:
                raise NoAccount(f"there is no user {source.user}")
            return user
        uid = self.owner(source)
        if uid <= 0:
            return None
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return None
        return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)

    def _found(self, name: str) -> User | None:
        try:
            return self._users.find(name)
        except LookupFailed as error:
            raise NoAccount(f"user lookup error: {error}") from error


def _of_system(name: str) -> pwd.struct_passwd | None:
    """A user of the machine, whatever tayori_passwd_file says of mailboxes."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def file_owner(path: str) -> int:
    """Whose a file is; 0 for what is no file, so that default_privs count."""
    try:
        return os.stat(path).st_uid if path else 0
    except OSError:
        return 0
