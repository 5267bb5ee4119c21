"""English that was left in a text of another language: runs of words, but for what must stay as it is."""

from __future__ import annotations

import re

RUN = re.compile(r"[A-Za-z][a-z'’]+(?: [a-z][a-z'’]*){2,}")
REPLY = re.compile(r"\b[2345]\d\d[ -](?:\d\.\d+\.\d+ )?.*")
"""What an SMTP server says stays English, to the end of its line."""
SERVICE = re.compile(r"\S+ (?:unix|inet) [ny-] [^、。]*")
"""A line of master.cf."""
COMMAND = re.compile(r"\btayori user (?:add|passwd|list|delete)\b")
"""What to type."""
ALLOWED = (
    "No such file or directory",
    "Name or service not known",
    "Temporary failure in name resolution",
    "Server configuration error",
    "Server configuration problem",
    "no mechanism available",
    "systemctl start saslauthd",
)


def english(text: str, allowed: tuple[str, ...] = ()) -> list[str]:
    """Three or more English words in a row, where neither `allowed` nor a server's reply explains them."""
    found = []
    for line in text.split("\n"):
        rest = COMMAND.sub("", SERVICE.sub("", REPLY.sub("", line)))
        for one in (*ALLOWED, *allowed):
            rest = rest.replace(one, "")
        found += [f"{one.group()}: {line.strip()}" for one in RUN.finditer(rest)]
    return found
