"""What a worker asks of the local delivery process, and what that answers: one message, many mailboxes.

The worker decides who gets the mail (aliases, tables, transports); the local process only writes files with the
recipient's rights. `Target.name` is the same at each attempt, so that a repeated delivery is the same file.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Target(msgspec.Struct, frozen=True, array_like=True, omit_defaults=False):
    """One mailbox, or one thing to look for.

    `n`: the recipient's delivery number in the message. `kind`: "local" (`user` is looked up in the password
    file; mailbox, uid and gid are not used) or "virtual" (`mailbox` is an absolute path, with "/" at its end a
    Maildir, else an mbox file; written as `uid`/`gid`). `address` is for logs and replies. `prefix`: the headers to
    put on top (`trace_headers.prefix`). `name`: the Maildir file's base name. `sender`: envelope sender, for the
    "From " line of an mbox file. `look`: of a "local" one, its ~/.forward counts before the mailbox.

    Other kinds: "forward" only looks for ~/.forward; "file" is `mailbox` written as `uid`/`gid` for an alias or
    .forward, and "include" reads the list `mailbox` with these rights: these two only the process's own user may ask
    for, who has made sure that a file of the configuration or of the user says so.
    """

    n: int
    kind: Literal["local", "virtual", "forward", "file", "include"]
    address: str
    user: str = ""
    mailbox: str = ""
    uid: int = -1
    gid: int = -1
    prefix: bytes = b""
    name: str = ""
    sender: str = ""
    look: bool = False


class Deliver(msgspec.Struct, frozen=True, array_like=True):
    """Deliver one message. `number` is the queue's; `content` has LF line ends.

    `recovered`: an earlier attempt may have been cut off, so look whether the file is already there. `size` above 0:
    `content` is empty, the message is the last `size` bytes of its content file.
    """

    seq: int
    number: int
    content: bytes
    targets: tuple[Target, ...]
    recovered: bool = False
    size: int = 0


class Result(msgspec.Struct, frozen=True, array_like=True):
    """How target `n` ended. "sent" means: on stable storage.

    "forward": nothing is written; `data` is what the .forward `text` says, `whole` as forward.Found. "include":
    `data` is the list, `uid` whose it is. "none": there is no .forward.
    """

    n: int
    status: Literal["sent", "deferred", "bounced", "forward", "include", "none"]
    enhanced: str
    text: str
    data: str = ""
    whole: bool = False
    uid: int = -1


class Done(msgspec.Struct, frozen=True, array_like=True):
    """The answer to the Deliver with the same `seq`."""

    seq: int
    outcomes: tuple[Result, ...]
