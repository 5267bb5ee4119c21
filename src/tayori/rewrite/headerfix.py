"""The header of a new message: what cleanup(8) drops, completes, adds and counts.

Dropped: message_drop_headers. For local mail (sendmail, local_header_rewrite_clients) or with
always_add_missing_headers, missing Message-Id, Date and From are added at the end of the header, as Resent-
fields when the message has any; undisclosed_recipients_header stands for a missing To, Cc and Bcc.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import formatdate

from tayori.config.settings import Settings
from tayori.protocol.address import quote, quoted_string
from tayori.protocol.address_list import addresses, parse, written
from tayori.protocol.headers import Field, bounded, field
from tayori.protocol.received import rfc5322_date
from tayori.rewrite.mapping import HEADER_RECIPIENT, HEADER_SENDER, Canonical, Mapper
from tayori.rewrite.results import Deferred

SENDER_FIELDS = frozenset(
    (
        "from",
        "sender",
        "reply-to",
        "errors-to",
        "return-receipt-to",
        "disposition-notification-to",
        "mail-followup-to",
        "resent-from",
        "resent-sender",
        "resent-reply-to",
    )
)
RECIPIENT_FIELDS = frozenset(("to", "cc", "bcc", "apparently-to", "resent-to", "resent-cc", "resent-bcc"))
_SHOWN = frozenset(("to", "cc", "resent-to", "resent-cc"))
_PHRASE = re.compile(r"[A-Za-z0-9#$&'*+/=?^_`{|}~ -]*\Z")


_FULL = rb"[A-Za-z0-9_+=-]+(?:\.[A-Za-z0-9_+=-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
# one address with a full domain, with or without a plain phrase: nothing in it would change
_COMPLETE = re.compile(rb"[A-Za-z-]+:[ \t]*(?:[A-Za-z0-9 .'_-]*<" + _FULL + rb">|" + _FULL + rb")[ \t]*\n")


_ADDRESSED = frozenset(name.encode() for name in SENDER_FIELDS | RECIPIENT_FIELDS)
_REQUIRED = frozenset((b"from", b"date", b"message-id"))
_NOTABLE = re.compile(
    rb"^(resent-[a-z-]+|" + b"|".join(sorted(_ADDRESSED | _REQUIRED)) + rb")[ \t]*:", re.IGNORECASE | re.MULTILINE
)


class HeaderFix:
    """The rules of one configuration."""

    def __init__(self, settings: Settings, mapper: Mapper, canonical: Canonical) -> None:
        self._mapper = mapper
        self._canonical = canonical
        self.drop = frozenset(word.rstrip(":").lower() for word in settings.items("message_drop_headers"))
        self.always_add = settings.flag("always_add_missing_headers")
        self.rewrites_remote = bool(settings.text("remote_header_rewrite_domain"))
        self.size_limit = settings.number("header_size_limit")
        self._tokens = settings.number("header_address_token_limit")
        self._undisclosed = settings.text("undisclosed_recipients_header")
        self._myhostname = settings.text("myhostname")
        self._obsolete = settings.text("header_from_format") == "obsolete"

    def settled(self, head: bytes) -> bool:
        """Whether neither completion nor rewriting would change this header (LF ended): the way of most mail, by
        one look instead of taking the header apart."""
        if self._canonical or self._undisclosed:
            return False
        seen = set()
        for match in _NOTABLE.finditer(head):
            name = match.group(1).lower()
            if name.startswith(b"resent-"):
                return False
            seen.add(name)
            if name in _ADDRESSED:
                whole = _COMPLETE.match(head, match.start())
                if whole is None or head[whole.end() : whole.end() + 1] in (b" ", b"\t"):
                    return False
        return seen >= _REQUIRED

    def missing(self, names: set[str], sender: str, full_name: str, now: float, queue_id: str) -> list[Field]:
        """The fields that a local message lacks. `now` is seconds since the epoch."""
        resent = any(name.startswith("resent-") for name in names)
        prefix = "resent-" if resent else ""
        shown = "Resent-" if resent else ""
        out: list[Field] = []

        def add(name: str, value: str) -> None:
            if prefix + name.lower() not in names:
                out.append(Field(prefix + name.lower(), field(shown + name, value)))

        if prefix + "message-id" not in names:
            stamp = formatdate(now, usegmt=True)
            add("Message-Id", f"<{_stamp(stamp)}.{queue_id}@{self._myhostname}>")
        if prefix + "date" not in names:
            add("Date", rfc5322_date(datetime.fromtimestamp(int(now)).astimezone()))
        if prefix + "from" not in names:
            add("From", self._from(sender, full_name))
        return out

    def undisclosed(self, names: set[str]) -> list[Field]:
        """undisclosed_recipients_header, when none of the fields that show recipients had come; `names` are all that
        had, those that were dropped too."""
        if not self._undisclosed or names & _SHOWN:
            return []
        name, _, value = self._undisclosed.partition(":")
        return [Field(name.strip().lower(), field(name.strip(), value.strip()))]

    def _from(self, sender: str, full_name: str) -> str:
        address = quote(sender) if sender else "MAILER-DAEMON"
        if not full_name:
            return address
        return named(address, full_name, self._obsolete)

    def trimmed(self, header: list[Field]) -> list[Field]:
        """Fields longer than header_size_limit lose the lines that begin beyond it."""
        return [
            one if len(one.raw) <= self.size_limit else Field(one.name, bounded(one.raw, self.size_limit))
            for one in header
        ]

    async def rewritten(self, header: list[Field], remote: bool) -> list[Field] | Deferred:
        """Addresses in address fields in standard form, canonical and masqueraded."""
        out: list[Field] = []
        for one in header:
            kind = (
                HEADER_SENDER
                if one.name in SENDER_FIELDS
                else HEADER_RECIPIENT
                if one.name in RECIPIENT_FIELDS
                else ""
            )
            if kind:
                changed = await self._field(one, kind, remote)
                if isinstance(changed, Deferred):
                    return changed
                one = changed
            out.append(one)
        return out

    async def _field(self, one: Field, kind: str, remote: bool) -> Field | Deferred:
        if not self._canonical and _COMPLETE.fullmatch(one.raw):
            return one
        label, _, value = one.raw.decode("utf-8", "surrogateescape").partition(":")
        items = parse(value, self._tokens)
        same = True
        for found in addresses(items):
            address = self._mapper.form.header(found.address, remote, found.signs)
            if self._canonical and address:
                mapped = await self._canonical.map(address, kind)
                if isinstance(mapped, Deferred):
                    return mapped
                address = mapped
            if found.becomes(address):
                same = False
        if same:
            return one
        return Field(one.name, written(label, items).encode("utf-8", "surrogateescape"))


def named(address: str, full_name: str, obsolete: bool) -> str:
    """The value of a From field with a name; `obsolete`: in the form of header_from_format = obsolete."""
    if obsolete:
        return f"{address} ({full_name})"
    if not _PHRASE.match(full_name):
        full_name = quoted_string(full_name)
    return f"{full_name} <{address}>"


_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def _stamp(date: str) -> str:
    """`YYYYMMDDHHMMSS` from an RFC 5322 date in GMT."""
    _, day, month, year, clock, _ = date.split()
    return f"{year}{_MONTHS.index(month) // 3 + 1:02d}{int(day):02d}{clock.replace(':', '')}"
