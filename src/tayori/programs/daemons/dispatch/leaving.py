"""smtp_header_checks, smtp_mime_header_checks, smtp_nested_header_checks, smtp_body_checks and their lmtp_ twins
(postconf(5)): rules on mail as it leaves. What they change is changed for this next hop only."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable

from tayori.programs.daemons.dispatch.ended import Work
from tayori.protocol.headers import Field, fields, header_end
from tayori.queue.content import Content, Unreadable, open_file
from tayori.queue.model import Slice, Stored
from tayori.rewrite.checks import Checks, Edit, Findings
from tayori.rewrite.results import Deferred

Log = Callable[[str, str], None]


class Leaving:
    """The rules of one transport. `log(program, text)` writes a line."""

    def __init__(self, checks: Checks, program: str, log: Log) -> None:
        self._checks = checks
        self._program = program
        self._log = log

    async def content(self, work: Work) -> Content | Deferred:
        """The message as the rules leave it."""
        findings = Findings()
        content = work.content
        found = await (
            self._stored(content, findings) if isinstance(content, Stored) else self._whole(content, findings)
        )
        for note in findings.notes:
            self._log(self._program, f"{work.message.id}: {note}")
        return found

    async def _whole(self, content: bytes, findings: Findings) -> bytes | Deferred:
        end = header_end(content)
        header = await self._checks.header(fields(content[:end]), findings)
        if isinstance(header, Deferred):
            return header
        edits = await self._checks.rest(content, end, header, findings)
        if isinstance(edits, Deferred):
            return edits
        out, at = [_block(header)], end
        for start, stop, new in edits:
            out += (content[at:start], new)
            at = stop
        return b"".join((*out, content[at:]))

    async def _stored(self, content: Stored, findings: Findings) -> Stored | Deferred:
        header = await self._checks.header(fields(content.header), findings)
        if isinstance(header, Deferred):
            return header
        rest = content.parts[1:]
        last = rest[-1] if rest else b""
        if self._checks.body and isinstance(last, Slice):
            edits = await self._looked_at(last, header, findings)
            if isinstance(edits, Deferred):
                return edits
            rest = (*rest[:-1], *_cut(last, edits))
        return Stored((_block(header), *rest))

    async def _looked_at(self, part: Slice, header: list[Field], findings: Findings) -> list[Edit] | Deferred:
        """The edits in the file of a large message, of which `part` is the end."""
        try:
            fd = part.fd if part.fd >= 0 else open_file(part.path)
        except Unreadable as error:
            return Deferred(str(error))
        try:
            with mmap.mmap(fd, part.start + part.size, prot=mmap.PROT_READ) as view:
                return await self._checks.rest(view, part.start, header, findings)
        except (OSError, ValueError) as error:
            return Deferred(f"{part.path}: {error}")
        finally:
            if fd != part.fd:
                os.close(fd)


def _block(header: list[Field]) -> bytes:
    return b"".join(one.raw for one in header)


def _cut(part: Slice, edits: list[Edit]) -> list[bytes | Slice]:
    """A part of a file with its edits made."""
    out: list[bytes | Slice] = []
    at, stop = part.start, part.start + part.size
    for start, end, new in (*edits, (stop, stop, b"")):
        if start > at:
            out.append(Slice(part.path, at, start - at, part.fd))
        out.append(new)
        at = end
    return out
