"""Where tayori keeps its state: everything under `$queue_directory/tayori`.

queue/     the queue file and large contents        mail_owner, 0700
public/    the socket that sendmail and mailq use   mail_owner, 0755 (socket 0666)
private/   the socket of the local process          mail_owner, 0700
maildrop/  mail left while the server was down      mail_owner, 1733: write-only
master.pid the running master's process number
children.lock held by every process of the instance
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings

OWNERS = ("postfix", "tayori")


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one instance."""

    root: Path

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        """By queue_directory; an ordinary user who set none gets a folder beside main.cf."""
        if not settings.system.root and not settings.is_set("queue_directory"):
            return cls(Path(settings.directory).resolve() / "spool" / "tayori")
        return cls(Path(settings.text("queue_directory")) / "tayori")

    @property
    def queue(self) -> Path:
        """The queue's folder."""
        return self.root / "queue"

    @property
    def submit_socket(self) -> Path:
        """Where sendmail, mailq and the other tools talk to a worker."""
        return self.root / "public" / "submit"

    @property
    def local_socket(self) -> Path:
        """Where workers talk to the local process."""
        return self.root / "private" / "local"

    @property
    def pipe_socket(self) -> Path:
        """Where workers talk to the pipe process."""
        return self.root / "private" / "pipe"

    @property
    def maildrop(self) -> Path:
        """Mail left by sendmail while the server was down."""
        return self.root / "maildrop"

    @property
    def pid_file(self) -> Path:
        """The master's process number."""
        return self.root / "master.pid"

    @property
    def children_lock(self) -> Path:
        """Locked for as long as any process of the instance lives."""
        return self.root / "children.lock"

    def make(self, owner: Owner | None) -> None:
        """Make what is missing; `owner` None: everything belongs to the invoking user. Raises ConfigError."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for name, mode in (("queue", 0o700), ("public", 0o755), ("private", 0o700), ("maildrop", 0o1733)):
                folder = self.root / name
                folder.mkdir(exist_ok=True)
                os.chmod(folder, mode)
                if owner is not None:
                    _give(folder, owner)
        except OSError as error:
            raise ConfigError(
                f"queue_directory: {error.filename or self.root} cannot be made: {error.strerror}",
                Origin(str(self.root)),
                "set queue_directory in main.cf to a folder that the server may write",
            ) from error


def _give(folder: Path, owner: Owner) -> None:
    """Hand a folder and what is in it to the mail owner (an earlier run may have been somebody else's)."""
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        if (status.st_uid, status.st_gid) != (owner.uid, owner.gid) and (path == folder or folder.name == "queue"):
            os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


@dataclass(frozen=True, slots=True)
class Owner:
    """The unprivileged user that workers run as (postconf(5) mail_owner)."""

    name: str
    uid: int
    gid: int

    def become(self) -> None:
        """Drop root for good, with the user's supplementary groups (`sasl` opens saslauthd's folder)."""
        os.setgroups([g.gr_gid for g in grp.getgrall() if self.name in g.gr_mem] + [self.gid])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


def mail_owner(settings: Settings) -> Owner | None:
    """The user for workers; None when everything runs as the invoking user. Raises ConfigError."""
    if not settings.system.root or settings.flag("tayori_single_user"):
        return None
    name = settings.text("mail_owner")
    candidates = (name,) if settings.is_set("mail_owner") else (name, *OWNERS)
    for candidate in candidates:
        try:
            found = pwd.getpwnam(candidate)
        except KeyError:
            continue
        if found.pw_uid == 0:
            raise ConfigError(
                "mail_owner is root: workers that speak to strangers must not be root",
                settings.origin("mail_owner"),
                "name an unprivileged user that owns nothing else, or set tayori_single_user = yes",
            )
        return Owner(found.pw_name, found.pw_uid, found.pw_gid)
    raise ConfigError(
        f"mail_owner: there is no user {name!r} on this machine",
        settings.origin("mail_owner"),
        f"make one: useradd --system --no-create-home --shell /usr/sbin/nologin {name}",
    )
