"""local(8): which mailbox a user has. Aliases, .forward and transports are decided before, by the worker.

The order is that of local(8): home_mailbox, else mail_spool_directory; a path that ends in "/" is a Maildir.
With mail_spool_directory = DIR/ the Maildir is DIR/user.
"""

from __future__ import annotations

from tayori.config.settings import Settings
from tayori.delivery.forward import Forwards, Paths
from tayori.delivery.passwd import LookupFailed, User, Users
from tayori.delivery.place import Place
from tayori.delivery.request import Result, Target


class LocalMailboxes:
    """Finds a user's mailbox; the settings are read once."""

    def __init__(self, settings: Settings, users: Users) -> None:
        self._users = users
        self._forwards = Forwards(settings)
        self._home_mailbox = settings.text("home_mailbox")
        self._spool = settings.text("mail_spool_directory").rstrip() or "/var/mail"
        self._require_home = settings.flag("require_home_directory")
        self._limit = settings.number("mailbox_size_limit")
        self._strict = settings.flag("strict_mailbox_ownership")

    def place(self, target: Target) -> Place | Result:
        """The mailbox of `target.user` (folded to lower case as local(8) does), or why there is none."""
        name = target.user.lower()
        try:
            user = self._users.find(name)
        except LookupFailed:
            return Result(target.n, "deferred", "4.3.0", "user lookup error")
        if user is None:
            return Result(target.n, "bounced", "5.1.1", f'unknown user: "{name}"')
        return self._of(user, self._forwards.paths(user, target.address) if target.look else ())

    def file(self, target: Target) -> Place:
        """A file that an alias or .forward names (local(8) EXTERNAL FILE DELIVERY)."""
        path = target.mailbox
        maildir = path.endswith("/")
        bare = path.rstrip("/") if maildir else path
        return Place(bare, maildir, target.uid, target.gid, self._limit, strict=False, file=True)

    def _of(self, user: User, forward: Paths) -> Place:
        home = user.home if self._require_home else ""
        spool = not self._home_mailbox
        if self._home_mailbox:
            path = f"{user.home.rstrip('/')}/{self._home_mailbox.lstrip('/')}"
        elif self._spool.endswith("/"):
            path = f"{self._spool}{user.name}/"
        else:
            path = f"{self._spool}/{user.name}"
        maildir = path.endswith("/")
        return Place(
            path.rstrip("/") if maildir else path, maildir, user.uid, user.gid, self._limit, user.name,
            spool=spool and not maildir, home=home, strict=self._strict,
            forward=forward,
        )  # fmt: skip
