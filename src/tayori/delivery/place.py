"""Where one target's mail goes, once user and configuration are known, and the text of what may go wrong there."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from tayori.delivery.request import Result, Target


@dataclass(frozen=True, slots=True)
class Place:
    """A mailbox. `path` without the "/" at a Maildir's end; `limit` in bytes, 0 for none.

    `spool`: an mbox file in `mail_spool_directory`, where the user need not have write permission.
    `owner` is the user for the text of an error, empty for a virtual mailbox. `home`: a directory that must
    exist (require_home_directory), empty for none. `strict`: strict_mailbox_ownership. `forward`: where the user's
    .forward may lie. `file`: a file that an alias or .forward names, which may be a device.
    """

    path: str
    maildir: bool
    uid: int
    gid: int
    limit: int = 0
    owner: str = ""
    spool: bool = False
    home: str = ""
    strict: bool = True
    forward: tuple[tuple[str, bool], ...] = ()
    file: bool = False

    def failed(self, target: Target, error: OSError | str, enhanced: str = "") -> Result:
        """The Result for a failure: deferred, but bounced when the mailbox has reached its size limit."""
        if isinstance(error, OSError):
            reason = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
            enhanced = enhanced or _ENHANCED.get(error.errno or 0, "4.2.0")
        else:
            reason = error
            enhanced = enhanced or "4.2.0"
        if self.file:
            text = f"cannot append message to file {self.path}: {reason}"
        elif self.maildir:
            text = f"maildir delivery failed: {reason}"
        elif self.owner:
            text = f"cannot update mailbox {self.path} for user {self.owner}. {reason}"
        else:
            text = f"delivery failed to mailbox {self.path}: {reason}"
        return Result(target.n, "bounced" if enhanced.startswith("5") else "deferred", enhanced, text)

    def too_large(self, target: Target) -> Result:
        """Above mailbox_size_limit or virtual_mailbox_limit."""
        return self.failed(target, f"error writing message: {os.strerror(errno.EFBIG)}", "5.2.2")


_ENHANCED: dict[int, str] = {
    errno.EFBIG: "5.2.2",
    errno.EDQUOT: "4.2.2",
    errno.ENOSPC: "4.3.0",
    errno.EROFS: "4.3.0",
    errno.EIO: "4.3.0",
    errno.EMFILE: "4.3.0",
    errno.ENFILE: "4.3.0",
    errno.ENOMEM: "4.3.0",
}
"""Enhanced code by errno (RFC 3463); every other error is 4.2.0. Postfix bounces some of them: here mail waits."""


def named(error: OSError, what: str) -> OSError:
    """The same error with what was attempted, for `Place.failed`."""
    return OSError(error.errno, error.strerror or "", what)
