"""virtual(8): a mailbox named by tables. The worker looks up path, uid and gid; here their bounds are held again.

The process that writes may be root while the worker is not: a path outside `virtual_mailbox_base` or a uid below
`virtual_minimum_uid` is refused whoever asks.
"""

from __future__ import annotations

import os

from tayori.config.settings import Settings
from tayori.delivery.place import Place
from tayori.delivery.request import Result, Target


class VirtualMailboxes:
    """Checks a virtual target; the settings are read once."""

    def __init__(self, settings: Settings, single_user: bool = False) -> None:
        self._base = settings.text("virtual_mailbox_base").rstrip("/")
        self._minimum = settings.number("virtual_minimum_uid")
        self._limit = settings.number("virtual_mailbox_limit")
        self._strict = settings.flag("strict_mailbox_ownership")
        self._single_user = single_user

    def place(self, target: Target) -> Place | Result:
        """The mailbox of a virtual target, or `mail system configuration error` (virtual(8), 4.3.5)."""
        path = target.mailbox
        maildir = path.endswith("/")
        bare = path.rstrip("/") if maildir else path
        inside = not self._base or bare.startswith(self._base + "/")
        allowed = self._single_user or (target.uid >= max(self._minimum, 1) and target.gid > 0)
        if not (path.startswith("/") and bare and "\0" not in path and inside and allowed) or _climbs(bare):
            return Result(target.n, "deferred", "4.3.5", "mail system configuration error")
        return Place(bare, maildir, target.uid, target.gid, self._limit, strict=self._strict)


def _climbs(path: str) -> bool:
    return os.pardir in path.split("/")
