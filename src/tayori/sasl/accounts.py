"""tayori's own account file: `DIR/accounts`, one `name:{ARGON2ID}hash` a line, edited by `tayori user`.

Further fields behind further colons are SCRAM keys (`{SCRAM-SHA-256}rounds,salt,stored,server`), written only when
asked for. Empty lines and lines that begin with `#` are kept. A name may be bare or `name@realm`; names do not depend
on the case of ASCII letters. The file is replaced as a whole, under a lock, with mode 0600.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tayori.config.origin import ConfigError, Origin
from tayori.sasl import hashes

FILE_NAME = "accounts"
_LOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Account:
    """`stored` are the fields behind the name: the hash that counts for passwords, then SCRAM keys."""

    name: str
    stored: tuple[str, ...] = field(repr=False)
    line: int = 0

    @property
    def hash(self) -> str:
        """The field that plain passwords are checked against."""
        return self.stored[0]


def key_of(name: str) -> str:
    """The form under which names are compared: NFC, case folded."""
    return unicodedata.normalize("NFC", name).casefold()


def check_name(name: str) -> str:
    """The name as it will be written. Raises ConfigError for one that the file cannot hold."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name.encode("utf-8", "surrogateescape")) > 255:
        raise ConfigError("an account needs a name of 1 to 255 octets")
    if name.startswith(("#", "-")) or any(c == ":" or c.isspace() or not c.isprintable() for c in name):
        raise ConfigError(
            f"{name!a} cannot be the name of an account",
            mend="no blanks, colons or control characters, and no # or - at its beginning",
        )
    return name


def parse(text: str, file: str) -> dict[str, Account]:
    """Accounts by key. Raises ConfigError naming the line for one that is not `name:hash`."""
    found: dict[str, Account] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, *stored = stripped.split(":")
        if not name or not stored or not stored[0]:
            raise ConfigError("not name:hash", Origin(file, number), "use `tayori user add NAME`")
        found[key_of(name)] = Account(name, tuple(stored), number)
    return found


class AccountFile:
    """The file as a whole. `owner` is who may read it (mail_owner), used when root makes it anew."""

    def __init__(self, path: str | Path, owner: str = "") -> None:
        self.path = Path(path)
        self._owner = owner

    def read(self) -> dict[str, Account]:
        """All accounts; empty when there is no file. Raises ConfigError."""
        return parse(self._text(), str(self.path))

    def names(self) -> tuple[str, ...]:
        """Names as written, in the order of the file."""
        return tuple(account.name for account in self.read().values())

    def add(self, name: str, password: str, *, scram: bool = False) -> None:
        """A new account. Raises ConfigError when there is one already."""
        name = check_name(name)
        line = self._line(name, password, scram)

        def change(lines: list[str], accounts: dict[str, Account]) -> None:
            if key_of(name) in accounts:
                raise ConfigError(f"{name} has an account already", self._place(accounts, name), "use `user passwd`")
            lines.append(line)

        self._edit(change)

    def set_password(self, name: str, password: str, *, scram: bool | None = None) -> None:
        """A new password for an account; SCRAM keys are renewed where there were some. Raises ConfigError."""

        def change(lines: list[str], accounts: dict[str, Account]) -> None:
            account = self._known(accounts, name)
            keys = len(account.stored) > 1 if scram is None else scram
            lines[account.line - 1] = self._line(account.name, password, keys)

        self._edit(change)

    def delete(self, name: str) -> None:
        """Raises ConfigError for an unknown name."""

        def change(lines: list[str], accounts: dict[str, Account]) -> None:
            del lines[self._known(accounts, name).line - 1]

        self._edit(change)

    def _known(self, accounts: dict[str, Account], name: str) -> Account:
        account = accounts.get(key_of(name))
        if account is None:
            raise ConfigError(f"{name} has no account", Origin(str(self.path)), "see `tayori user list`")
        return account

    def _place(self, accounts: dict[str, Account], name: str) -> Origin:
        return Origin(str(self.path), accounts[key_of(name)].line)

    @staticmethod
    def _line(name: str, password: str, scram: bool) -> str:
        if not password:
            raise ConfigError("the password is empty")
        fields = [hashes.make_argon2id(password)]
        if scram:
            fields += [hashes.make_scram(password, "SHA-256"), hashes.make_scram(password, "SHA-1")]
        return ":".join((name, *fields))

    def _text(self) -> str:
        try:
            return self.path.read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""
        except OSError as error:
            mend = "the accounts are for the mail system's own user: use sudo, or look at the file's owner"
            raise ConfigError(f"cannot be read: {error.strerror}", Origin(str(self.path)), mend) from error

    def _edit(self, change: Callable[[list[str], dict[str, Account]], None]) -> None:
        with self._locked():
            text = self._text()
            lines = text.split("\n")
            if lines[-1] == "":
                lines.pop()
            change(lines, parse(text, str(self.path)))
            try:
                self._replace("".join(f"{line}\n" for line in lines))
            except OSError as error:
                raise ConfigError(
                    f"cannot be written: {error.strerror}", Origin(str(self.path)), "use sudo?"
                ) from error

    def _replace(self, text: str) -> None:
        handle, temporary = tempfile.mkstemp(prefix=".accounts.", dir=self.path.parent)  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
                file.flush()
                self._keep_owner(file.fileno())
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            os.unlink(temporary)
            raise
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _keep_owner(self, descriptor: int) -> None:
        if os.geteuid() != 0:
            return
        try:
            known = self.path.stat()
            os.fchown(descriptor, known.st_uid, known.st_gid)
            os.fchmod(descriptor, known.st_mode & 0o640)
        except FileNotFoundError:
            try:
                user = pwd.getpwnam(self._owner)
            except KeyError:
                return
            os.fchown(descriptor, user.pw_uid, -1)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """A lock on the folder itself, so that no lock file is left about."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ConfigError(error.strerror or "cannot be opened", Origin(str(self.path.parent))) from error
        try:
            until = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise ConfigError("somebody else edits the accounts", Origin(str(self.path))) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(folder)
