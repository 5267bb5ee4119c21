"""What `postmap -q -` asks for: lines, or the headers and body lines of a message (-h, -b, -m), postmap(1)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from tayori.protocol import mime

# A header field with its folded lines, as header_checks(5) sees it.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")


def standard_input() -> bytes:
    """All of standard input, with LF line ends."""
    buffer = getattr(sys.stdin, "buffer", None)
    raw: bytes = buffer.read() if buffer is not None else sys.stdin.read().encode("utf-8", "surrogateescape")
    return raw.replace(b"\r\n", b"\n")


def keys(headers: bool, body: bool, structure: bool) -> Iterator[str]:
    """Every key in turn; `structure`: headers of attachments are headers, too (-m)."""
    content = standard_input()
    if headers or body:
        found = _of_message(content, headers, body, structure)
    else:
        found = iter(content.removesuffix(b"\n").split(b"\n") if content else ())
    for key in found:
        yield key.decode("utf-8", "surrogateescape")


def _of_message(content: bytes, headers: bool, body: bool, structure: bool) -> Iterator[bytes]:
    at = 0
    fields: list[tuple[str, bytes]] = []
    while match := _FIELD.match(content, at):
        if headers:
            yield match.group().rstrip(b"\n")
        fields.append((match.group(1).decode("ascii").lower(), match.group(2)))
        at = match.end()
    at += content[at : at + 1] == b"\n"
    if not structure:
        if body and at < len(content):
            yield from content[at:].removesuffix(b"\n").split(b"\n")
        return
    for item in mime.walk(content, at, fields):
        if (item.kind == "body" and body) or (item.kind != "body" and headers):
            yield content[item.start : item.end].rstrip(b"\n")
