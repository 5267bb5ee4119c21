"""header_checks, mime_header_checks, nested_header_checks and body_checks: header_checks(5), every action.

Each logical header field (folded lines as they are, without the last line end) and each body line is looked up
once; tables of patterns decide. Empty lines never match. After FILTER and REDIRECT nothing more of the message is
inspected, whatever the manual says: so a real Postfix does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tayori.config.settings import Settings
from tayori.protocol.headers import Field, bounded
from tayori.protocol.headers import fields as split_fields
from tayori.protocol.mime import MIME_NAMES, walk
from tayori.rewrite.results import Deferred, Place
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables

if TYPE_CHECKING:
    from tayori.protocol.headers import View

CODE = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+(.*))?\Z", re.DOTALL)
LABEL = re.compile(r"[!-9;-~]+[ \t]*:")
NAMES = ("header_checks", "mime_header_checks", "nested_header_checks", "body_checks")
ACTIONS = frozenset(
    [
        *("BCC", "DISCARD", "DUNNO", "FILTER", "HOLD", "IGNORE", "INFO", "OK"),
        *("PASS", "PREPEND", "REDIRECT", "REJECT", "REPLACE", "STRIP", "WARN"),
    ]
)
"""Those of header_checks(5)."""
LEAVING = ("DUNNO", "OK", "IGNORE", "INFO", "PREPEND", "REPLACE", "STRIP", "WARN")
"""The actions of smtp_header_checks and its like."""
_SHOWN = 200
Edit = tuple[int, int, bytes]
"""What stands from start to end becomes the bytes."""


@dataclass(slots=True)
class Findings:
    """What the checks asked for. `notes` are log lines in Postfix's form (`reject: header Subject: …`);
    `about` is what they say of the session (`from name[address]; from=<…> to=<…> proto=ESMTP helo=<…>`).
    `place`: where a refusal came from."""

    reject: tuple[int, str, str] | None = None
    hold: str = ""
    discard: bool = False
    filter: str = ""
    redirect: str = ""
    bcc: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    about: str = ""
    stopped: bool = False
    place: Place | None = None


class Checks:
    """The four lists, opened once. `prefix` "smtp_" gives the SMTP client's own lists (smtp_header_checks …),
    whose actions are fewer."""

    def __init__(self, settings: Settings, tables: Tables, prefix: str = "") -> None:
        """Raises ConfigError for a table that cannot be used."""
        self._maps = {name: Maps.from_settings(tables, settings, prefix + name) for name in NAMES}
        self._leaving = prefix
        self._origins = {name: settings.origin(prefix + name) for name in NAMES}
        self._body_limit = settings.number("body_checks_size_limit") if self._maps["body_checks"] else 0
        self._line_limit = settings.number("line_length_limit")
        self._header_limit = settings.number("header_size_limit")
        self._nesting = settings.number("mime_nesting_limit")
        self._boundary = settings.number("mime_boundary_length_limit")
        self._mime = not settings.flag("disable_mime_input_processing")
        self.headers = bool(self._maps["header_checks"] or self._maps["mime_header_checks"])
        self.body = bool(
            self._maps["body_checks"] or self._maps["mime_header_checks"] or self._maps["nested_header_checks"]
        )

    def __bool__(self) -> bool:
        return self.headers or self.body

    async def header(self, header: list[Field], findings: Findings) -> list[Field] | Deferred:
        """The message's own header after the checks."""
        out: list[Field] = []
        for number, one in enumerate(header):
            if findings.stopped:
                out.extend(header[number:])
                break
            name = "mime_header_checks" if one.name in MIME_NAMES else "header_checks"
            raws = await self._ask(name, one.raw, "header", findings)
            if isinstance(raws, Deferred):
                return raws
            if raws == one.raw:
                out.append(one)
            elif raws:
                out.extend(split_fields(raws))
        return out

    async def rest(self, content: View, start: int, header: list[Field], findings: Findings) -> list[Edit] | Deferred:
        """What the checks change in what follows the header, from `start` (the empty line), in order."""
        if findings.stopped or not self.body:
            return []
        primary = [(one.name, one.value) for one in header] if self._mime else []
        edits: list[Edit] = []
        for item in walk(content, start, primary, self._nesting, self._boundary, self._body_limit):
            raw = content[item.start : item.end]
            if item.kind == "body":
                new = await self._body_line(raw, findings)
            else:
                name = "mime_header_checks" if item.kind == "mime" else "nested_header_checks"
                new = await self._ask(name, raw, "header", findings)
            if isinstance(new, Deferred):
                return new
            if new != raw:
                edits.append((item.start, item.end, new))
            if findings.stopped:
                break
        return edits

    async def _body_line(self, raw: bytes, findings: Findings) -> bytes | Deferred:
        if len(raw) <= self._line_limit:
            return await self._ask("body_checks", raw, "body", findings)
        out: list[bytes] = []
        for at in range(0, len(raw), self._line_limit):
            new = await self._ask("body_checks", raw[at : at + self._line_limit], "body", findings)
            if isinstance(new, Deferred):
                return new
            out.append(new)
        return b"".join(out)

    async def _ask(self, name: str, raw: bytes, what: str, findings: Findings) -> bytes | Deferred:
        """The bytes that stand in the place of `raw` after the action."""
        text = raw.rstrip(b"\n")
        maps = self._maps[name]
        if not text or not maps or findings.stopped:
            return raw
        shown = bounded(text, self._header_limit).decode("utf-8", "surrogateescape")
        answer = await maps.lookup(shown)
        if isinstance(answer, TempFail):
            return Deferred(answer.why)
        if not isinstance(answer, Found):
            return raw
        verb, _, argument = answer.value.strip().partition(" ")
        if self._leaving and verb.upper() not in LEAVING:
            findings.notes.append(f"warning: {self._leaving}{name}: {verb} is no action for mail that leaves")
            return raw
        new = _act(verb.upper(), argument.strip(), raw, f"{what} {_printable(shown)}", findings, what != "body")
        if findings.reject is not None:
            origin = answer.origin
            if origin is None or not origin.file.startswith("/"):  # rules in main.cf itself
                origin = self._origins[name]
            findings.place = Place(f"{self._leaving}{name}", origin, _printable(shown))
        return new


def _act(verb: str, text: str, raw: bytes, where: str, findings: Findings, is_header: bool) -> bytes:
    """One action of header_checks(5)."""
    if findings.about:
        where = f"{where} {findings.about}"
    note = f"{where}: {text}" if text else where
    if verb in ("DUNNO", "OK"):
        return raw
    if verb == "REJECT":
        match = CODE.match(text)
        enhanced, shown = (match.group(1), match.group(2) or "") if match else ("5.7.1", text)
        code = 451 if enhanced[0] == "4" else 550
        findings.reject = (code, enhanced, shown or "message content rejected")
        findings.stopped = True
        findings.notes.append(f"reject: {where}: {enhanced} {shown or 'message content rejected'}")
    elif verb == "DISCARD":
        findings.discard = findings.stopped = True
        findings.notes.append(f"discard: {note}")
    elif verb == "PASS":
        findings.stopped = True
        findings.notes.append(f"pass: {note}")
    elif verb in ("WARN", "INFO"):
        findings.notes.append(f"{'warning' if verb == 'WARN' else 'info'}: {note}")
    elif verb == "HOLD":
        findings.hold = text or "held by header_checks"
        findings.notes.append(f"hold: {note}")
    elif verb == "IGNORE":
        return b""
    elif verb == "STRIP":
        findings.notes.append(f"strip: {note}")
        return b""
    elif verb in ("PREPEND", "REPLACE"):
        return _changed(verb, text, raw, note, findings, is_header)
    elif verb == "FILTER" and ":" in text:
        findings.filter = text
        findings.stopped = True
        findings.notes.append(f"filter: {note}")
    elif verb == "REDIRECT" and "@" in text:
        findings.redirect = text
        findings.stopped = True
        findings.notes.append(f"redirect: {note}")
    elif verb == "BCC" and "@" in text:
        if text not in findings.bcc:
            findings.bcc.append(text)
        findings.notes.append(f"bcc: {note}")
    else:
        findings.notes.append(f'warning: unknown or incomplete action "{verb} {text}" for {where}')
    return raw


def _changed(verb: str, text: str, raw: bytes, note: str, findings: Findings, is_header: bool) -> bytes:
    if not text or (is_header and not LABEL.match(text)):
        findings.notes.append(f"warning: {verb} without a valid header label, for {note}")
        return raw
    findings.notes.append(f"{verb.lower()}: {note}")
    new = text.encode("utf-8", "surrogateescape") + b"\n"
    return new + raw if verb == "PREPEND" else new


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_SHOWN])
