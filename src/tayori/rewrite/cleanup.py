"""cleanup(8): from what a client sent to a message that is ready for the queue.

The envelope gets its standard form, canonical and virtual mappings and blind copies; the header is counted,
dropped, checked, completed and rewritten; the body is looked at only where checks ask for it. When none of
that is configured, one bounded scan of the header is all. A table that cannot answer refuses the message with
4xx; nothing is lost or silently left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from tayori.config.settings import Settings
from tayori.protocol.address import split
from tayori.protocol.headers import Field, fields, header_end
from tayori.rewrite.checks import Checks, Edit, Findings
from tayori.rewrite.classes import Classes
from tayori.rewrite.headerfix import HeaderFix
from tayori.rewrite.mapping import ENVELOPE_RECIPIENT, ENVELOPE_SENDER, Canonical, Mapper, TooMany, Virtual
from tayori.rewrite.results import Cleaned, Deferred, Rewritten
from tayori.rewrite.strict import Strict
from tayori.rewrite.targets import parse_destinations
from tayori.tables.maps import Maps
from tayori.tables.registry import Tables

if TYPE_CHECKING:
    from tayori.protocol.headers import View

QUEUE_ERROR = (451, "4.3.0", "Error: queue file write error")
HEADER_TOO_LARGE = (552, "5.3.4", "Message header size exceeds fixed limit")
TOO_MANY_HOPS = (554, "5.4.0", "Error: too many hops")
EXPANSION = (451, "4.6.0", "Alias expansion error")
HEADER_MOST = 1024 * 1024
"""Bytes of a header that are taken into memory, of a message that is not."""
NO_MAPPINGS = "no_address_mappings"
NO_CHECKS = "no_header_body_checks"


class Incoming(msgspec.Struct, frozen=True):
    """A message as accepted. `sender` is "" for <>; `recipients` as the client named them; `content` has LF
    line ends and no Received of ours, and may be a mapped file; `trace` (header fields, LF ended) goes on top.

    `remote`: False for sendmail and local_header_rewrite_clients. `now` is seconds since the epoch. `full_name`
    is sendmail's -F. `internal`: born here (bounces): no blind copies, no checks. `about` describes the session
    in the notes of checks (`from name[address]; from=<…> to=<…> proto=ESMTP helo=<…>`), needed only when
    `Cleanup.checking`. `overrides` are words of receive_override_options. `service` is cleanup_service_name.
    `redirect`: REDIRECT of access(5), which one of header_checks(5) overrides.
    """

    sender: str
    recipients: tuple[Rewritten, ...]
    content: View
    trace: bytes = b""
    remote: bool = True
    now: float = 0.0
    queue_id: str = ""
    full_name: str = ""
    internal: bool = False
    about: str = ""
    overrides: frozenset[str] = frozenset()
    service: str = ""
    redirect: str = ""


class Cleanup:
    """The cleaning rules of one configuration. All tables are opened at construction."""

    def __init__(self, settings: Settings, tables: Tables, classes: Classes | None = None) -> None:
        """Raises ConfigError for a table that cannot be used."""
        self._mapper = Mapper(settings, classes or Classes(settings, tables))
        self._form = self._mapper.form
        self._canonical = Canonical(settings, tables, self._mapper)
        self._virtual = Virtual(settings, tables, self._mapper)
        self._headers = HeaderFix(settings, self._mapper, self._canonical)
        self._checks = Checks(settings, tables)
        self.checking = bool(self._checks)
        self._strict = Strict(settings) or None
        self._always_bcc = settings.text("always_bcc")
        self._sender_bcc = Maps.from_settings(tables, settings, "sender_bcc_maps")
        self._recipient_bcc = Maps.from_settings(tables, settings, "recipient_bcc_maps")
        self._mapped = bool(
            self._canonical or self._virtual or self._always_bcc or self._sender_bcc or self._recipient_bcc
        )
        self._hops = settings.number("hopcount_limit")
        self._by_original = settings.flag("enable_original_recipient")
        self._null_recipient = settings.text("empty_address_recipient")
        names = {b"received", b"message-id", *(name.encode() for name in self._headers.drop)}
        initials = b"".join({n[:1].lower() + n[:1].upper() for n in names if n})
        self._notable = re.compile(
            rb"\n(?=[" + re.escape(initials) + rb"])(" + b"|".join(map(re.escape, sorted(names))) + rb")[ \t]*:",
            re.IGNORECASE,
        )
        self._drop = frozenset(name.encode() for name in self._headers.drop)

    async def clean(self, message: Incoming) -> Cleaned:
        """The message for the queue; `reject` set when it must be refused."""
        strict = self._strict
        if strict is None or message.internal or NO_CHECKS in message.overrides:
            return await self._clean(message)
        whole = isinstance(message.content, bytes)
        if whole:
            message = replace(message, content=strict.strip(message.content[:]), trace=strict.strip(message.trace))
        refusal = strict.refusal(message.content, message.content[: header_end(message.content)])
        if refusal is not None:
            return Cleaned(message.sender, (), b"", reject=refusal, notes=(f"reject: {refusal[2]}",))
        cleaned = await self._clean(message)
        return cleaned if whole else strict.strip_mapped(cleaned, message.content)

    async def _clean(self, message: Incoming) -> Cleaned:
        plain = not self._mapped or (message.internal and not self._canonical and not self._virtual)
        if plain or NO_MAPPINGS in message.overrides:
            sender = self._form.envelope(message.sender)
            recipients = self._plain_recipients(message)
        else:
            envelope = await self._envelope(message)
            if isinstance(envelope, Cleaned):
                return envelope
            sender, recipients = envelope
        return await self._content(message, Cleaned(sender, recipients, b""))

    def _plain_recipients(self, message: Incoming) -> tuple[Rewritten, ...]:
        form = self._form.envelope
        if len(message.recipients) == 1:
            one = message.recipients[0]
            address = form(one.address)
            if address == one.address and one.original:
                return message.recipients
            return (Rewritten(address, one.original or one.address, one.notify, one.orcpt),)
        return self._unique([(form(one.address or self._null_recipient), one) for one in message.recipients])

    def _unique(self, pairs: list[tuple[str, Rewritten]]) -> tuple[Rewritten, ...]:
        """Duplicates removed, case folded. What counts is the address, what the client called it
        (enable_original_recipient), and what it wishes to hear: two wishes are two recipients, as in Postfix."""
        out: dict[tuple[str, str, str, str], Rewritten] = {}
        for address, one in pairs:
            original = one.original or one.address
            key = (address.lower(), original.lower() if self._by_original else "", one.notify, one.orcpt.lower())
            if key not in out:
                out[key] = Rewritten(address, original, one.notify, one.orcpt)
        return tuple(out.values())

    async def _envelope(self, message: Incoming) -> tuple[str, tuple[Rewritten, ...]] | Cleaned:
        sender = self._form.envelope(message.sender)
        if sender and self._canonical:
            mapped = await self._canonical.map(sender, ENVELOPE_SENDER)
            if isinstance(mapped, Deferred):
                return _refused(message, QUEUE_ERROR, mapped.why)
            sender = mapped
        wanted: list[Rewritten] = []
        for one in message.recipients:
            address = self._form.envelope(one.address or self._null_recipient)
            if self._canonical:
                mapped = await self._canonical.map(address, ENVELOPE_RECIPIENT)
                if isinstance(mapped, Deferred):
                    return _refused(message, QUEUE_ERROR, mapped.why)
                address = mapped
            wanted.append(Rewritten(address, one.original or one.address, one.notify, one.orcpt))
        if not message.internal:
            copies = await self._copies(sender, wanted)
            if isinstance(copies, Deferred):
                return _refused(message, QUEUE_ERROR, copies.why)
            wanted += copies
        return await self._expanded(message, sender, wanted)

    async def _expanded(
        self, message: Incoming, sender: str, wanted: list[Rewritten]
    ) -> tuple[str, tuple[Rewritten, ...]] | Cleaned:
        pairs = await self._aliased(message, wanted)
        return pairs if isinstance(pairs, Cleaned) else (sender, self._unique(pairs))

    async def _aliased(self, message: Incoming, wanted: list[Rewritten]) -> list[tuple[str, Rewritten]] | Cleaned:
        """Each with the addresses that virtual_alias_maps make of it."""
        if not self._virtual:
            return [(one.address, one) for one in wanted]
        pairs: list[tuple[str, Rewritten]] = []
        for one in wanted:
            found = await self._virtual.expand(one.address)
            if isinstance(found, Deferred):
                return _refused(message, QUEUE_ERROR, found.why)
            if isinstance(found, TooMany):
                return _refused(message, EXPANSION, found.why)
            pairs += [(address, one) for address in found]
        return pairs

    async def _copies(self, sender: str, wanted: list[Rewritten]) -> list[Rewritten] | Deferred:
        """Blind copies: always_bcc, sender_bcc_maps, recipient_bcc_maps; nobody is told when they fail."""
        found: list[str] = []
        if self._always_bcc:
            found.append(self._always_bcc)
        asks = [(self._sender_bcc, sender)] if sender else []
        asks += [(self._recipient_bcc, one.address) for one in wanted]
        for maps, address in asks:
            if not maps:
                continue
            hit = await self._mapper.finder.find(maps, address)
            if isinstance(hit, Deferred):
                return hit
            if hit is not None:
                found += [target.text for target in parse_destinations(hit.found.value)]
        return await self._copied(found)

    async def _copied(self, found: list[str]) -> list[Rewritten] | Deferred:
        """Addresses of copies as recipients: canonical_maps hold for them, too."""
        forms = {address.lower(): address for address in map(self._form.envelope, reversed(found))}
        copies: list[Rewritten] = []
        for address in reversed(forms.values()):
            mapped = await self._canonical.map(address, ENVELOPE_RECIPIENT) if self._canonical else address
            if isinstance(mapped, Deferred):
                return mapped
            copies.append(Rewritten(mapped, mapped, "NEVER"))
        return copies

    async def _content(self, message: Incoming, cleaned: Cleaned) -> Cleaned:
        content = message.content
        end = header_end(content)
        mapped = not isinstance(content, bytes)
        if mapped and end > HEADER_MOST:
            return replace(cleaned, reject=HEADER_TOO_LARGE, notes=(f"message rejected: header of {end} bytes",))
        head = content[:end]
        hops = message.trace.count(b"Received:")
        message_id = ""
        dropping = False
        for match in self._notable.finditer(b"\n" + head):
            name = match.group(1).lower()
            if name == b"received":
                hops += 1
            elif name == b"message-id" and not message_id:
                message_id = _value(head, match.end() - 1)
            if name in self._drop:
                dropping = True
        if hops >= self._hops:
            return replace(cleaned, reject=TOO_MANY_HOPS, notes=("message rejected: hopcount exceeded",))
        rewriting = not message.remote or self._headers.rewrites_remote
        checking = bool(self._checks) and not message.internal and NO_CHECKS not in message.overrides
        if rewriting and not message.full_name:
            rewriting = not self._headers.settled(head)
        gap = b"" if content[end : end + 1] == b"\n" or end == len(content) else b"\n"
        if not (rewriting or checking or dropping or self._headers.always_add or end > self._headers.size_limit):
            return Cleaned(
                cleaned.sender,
                _redirected(cleaned.recipients, message.redirect) if message.redirect else cleaned.recipients,
                b"".join((message.trace, head, gap, b"" if mapped else content[end:]))
                if gap or mapped
                else message.trace + content,
                message_id,
                cut=end,
            )
        return await self._worked(message, cleaned, fields(head), end, gap, checking, rewriting)

    async def _worked(
        self,
        message: Incoming,
        cleaned: Cleaned,
        header: list[Field],
        end: int,
        gap: bytes,
        checking: bool,
        rewriting: bool,
    ) -> Cleaned:
        """The way for messages whose header or body needs work."""
        findings = Findings(about=message.about, redirect=message.redirect)
        trace = message.trace
        header = self._headers.trimmed(header)
        edits: list[Edit] = []
        if checking:
            header = fields(trace) + header
            trace = b""
            checked = await self._checks.header(header, findings)
            if isinstance(checked, Deferred):
                return _refused(message, QUEUE_ERROR, checked.why)
            header = checked
            body = await self._checks.rest(message.content, end, header, findings)
            if isinstance(body, Deferred):
                return _refused(message, QUEUE_ERROR, body.why)
            edits = body
        names = {one.name for one in header}
        header = [one for one in header if one.name not in self._headers.drop]
        if rewriting:
            fixed = await self._headers.rewritten(header, message.remote)
            if isinstance(fixed, Deferred):
                return _refused(message, QUEUE_ERROR, fixed.why)
            header = fixed
        if rewriting or self._headers.always_add:
            header += self._headers.missing(names, cleaned.sender, message.full_name, message.now, message.queue_id)
            header += self._headers.undisclosed(names)
        block = b"".join(one.raw for one in header)
        found = next((one for one in header if one.name == "message-id"), None)
        recipients = cleaned.recipients
        if findings.redirect:
            recipients = _redirected(recipients, findings.redirect)
        elif findings.bcc:
            copies = await self._copied(list(findings.bcc))
            if isinstance(copies, Deferred):
                return _refused(message, QUEUE_ERROR, copies.why)
            pairs = await self._aliased(message, copies)
            if isinstance(pairs, Cleaned):
                return pairs
            recipients = self._unique([*((one.address, one) for one in recipients), *pairs])
        return Cleaned(
            cleaned.sender,
            recipients,
            b"".join((trace, block, gap, *_rest(message.content, end, edits))),
            found.value.decode("utf-8", "surrogateescape") if found else "",
            findings.reject,
            findings.hold,
            findings.discard,
            "" if findings.redirect else findings.filter,
            tuple(findings.notes),
            end,
            tuple(edits),
            findings.place,
        )


def _rest(content: View, at: int, edits: list[Edit]) -> list[bytes]:
    """What follows the header, its edits made; nothing of a mapped file, which is not to be read whole."""
    if not isinstance(content, bytes):
        return []
    out: list[bytes] = []
    for start, end, new in edits:
        out += (content[at:start], new)
        at = end
    return [*out, content[at:]]


def _value(head: bytes, at: int) -> str:
    """The text of the header field whose value begins at `at`, on its first non-blank line."""
    stop = head.find(b"\n", at)
    text = head[at:stop].strip()
    if not text:
        text = head[stop + 1 : head.find(b"\n", stop + 1)].strip()
    return text.decode("utf-8", "surrogateescape")


def _redirected(recipients: tuple[Rewritten, ...], address: str) -> tuple[Rewritten, ...]:
    """One copy to `address`, in the place of the recipient that Postfix keeps: the first by domain and name."""
    first = min(recipients, key=lambda one: split(one.address.lower())[::-1], default=None)
    return (replace(first, address=address),) if first is not None else ()


def _refused(message: Incoming, reject: tuple[int, str, str], why: str) -> Cleaned:
    return Cleaned(message.sender, (), b"", reject=reject, notes=(f"warning: {why}",))
