"""The headers that final delivery puts on top, loop detection by Delivered-To, and the mbox envelope line.

local(8), virtual(8): Return-Path, X-Original-To, Delivered-To, in this order. Addresses are in external form, as in
SMTP (`"a b"@example.com`). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import localtime, strftime

from tayori.queue.content import Content, blocks, lines

_BREAKS = re.compile(r"[\r\n\0]")
_FROM = re.compile(rb"^From ", re.MULTILINE)
_DELIVERED = re.compile(rb"^delivered-to:[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)


def _bytes(address: str) -> bytes:
    return _BREAKS.sub("?", address).encode("utf-8", "surrogateescape")


def prefix(sender: str, original: str, delivered_to: str) -> bytes:
    """Headers on top of a message. An empty `original` (enable_original_recipient = no, or no such address) or
    `delivered_to` leaves its line out; an empty `sender` is the null sender `<>`.
    """
    lines = b"Return-Path: <" + _bytes(sender) + b">\n"
    if original:
        lines += b"X-Original-To: " + _bytes(original) + b"\n"
    if delivered_to:
        lines += b"Delivered-To: " + _bytes(delivered_to) + b"\n"
    return lines


def loops(content: bytes, address: str) -> bool:
    """Whether the header (not the body) says that this message was delivered to `address` before.

    As local(8) does: the whole of the line's value counts, case folded; a folded line does not.
    """
    end = content.find(b"\n\n")
    header = content if end < 0 else content[: end + 1]
    if b"elivered-" not in header and b"ELIVERED-" not in header.upper():
        return False
    wanted = address.casefold()
    return any(
        found.rstrip(b"\r").decode("utf-8", "surrogateescape").casefold() == wanted
        for found in _DELIVERED.findall(header)
    )


def from_line(sender: str, when: float) -> bytes:
    """The mbox "From " line; `when` is seconds since the epoch, written in local time as local(8) does.

    The null sender is MAILER-DAEMON.
    """
    return (
        b"From "
        + (_bytes(sender) or b"MAILER-DAEMON")
        + strftime("  %a %b %e %H:%M:%S %Y\n", localtime(when)).encode()
    )


def mbox(content: Content, head: bytes, sender: str, when: float) -> Iterator[bytes]:
    """A message as it stands in an mbox file: "From " line, `head`, ">From " quoting, an empty line at the end; in
    one piece, or several of a large one. Raises Unreadable."""
    top = from_line(sender, when) + head
    if isinstance(content, bytes):
        quoted = from_quoted(content)
        yield top + quoted + (b"\n" if quoted.endswith(b"\n") else b"\n\n")
        return
    yield top
    last = b""
    for piece in lines(blocks(content), from_quoted):
        yield piece
        last = piece[-1:]
    yield b"\n" if last == b"\n" else b"\n\n"


def from_quoted(content: bytes) -> bytes:
    """`>` before every line that would look like the beginning of the next message."""
    return _FROM.sub(b">From ", content) if b"From " in content else content
