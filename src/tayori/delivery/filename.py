"""The name of a message's file in a Maildir: the same at every attempt, so that delivering twice is one file."""

from __future__ import annotations

import hashlib

from tayori.queue.model import Recipient


def file_name(number: int, arrival: float, recipient: Recipient, host: str, part: str = "") -> str:
    """`SECONDS.QnumberRrecipient[Mpart].HOST`. `arrival`: seconds since the epoch; `host`: as `safe_host` gives it.

    `part` tells the members of one expansion apart, which may end in one Maildir; empty for no expansion. A member
    that waits by itself is named after the recipient it came from: the first attempt may have written the file.
    """
    mark = "M" + hashlib.blake2b(part.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest() if part else ""
    return f"{int(arrival)}.Q{number:X}R{recipient.origin or recipient.n}{mark}.{host}"


def safe_host(host: str) -> str:
    """A host name as maildir(5) wants it in file names."""
    return host.replace("/", "\\057").replace(":", "\\072")
