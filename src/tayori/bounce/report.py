"""Delivery status notifications: multipart/report of RFC 6522 with the message/delivery-status of RFC 3464.

Three parts: a text for people, the fields for programs, and the message or its headers. A message that asked for
SMTPUTF8 gets the global types of RFC 6533, and its report asks for SMTPUTF8, as in Postfix. Texts from other servers
are folded and stripped of control characters: nothing that a remote said can add a header or a MIME boundary.
"""

from __future__ import annotations

import datetime
import re
from email.utils import format_datetime

from tayori.bounce.options import BounceOptions
from tayori.bounce.rules import Entry, Kind, Notice, Outcome
from tayori.protocol.address import quote
from tayori.protocol.headers import fields, header_end
from tayori.protocol.orcpt import decoded, unxtext
from tayori.queue.content import Content
from tayori.queue.model import Attributes, Message, Recipient, Slice, Stored

WIDTH = 78
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")

SUBJECTS: dict[Kind, tuple[str, str]] = {
    Kind.FAILED: ("Undelivered Mail Returned to Sender", "Postmaster Copy: Undelivered Mail"),
    Kind.DELAYED: ("Delayed Mail (still being retried)", "Postmaster Warning: Delayed Mail"),
    Kind.SUCCESS: ("Successful Mail Delivery Report", "Postmaster Copy: Successful Mail Delivery Report"),
}
TEXTS: dict[Kind, str] = {
    Kind.FAILED: """\
This is the mail system at {hostname}.

Your message could not be delivered to the recipients below, and no
further attempt will be made. The reason stands beside each of them.
{returned}

If you need help, write to postmaster and include this report.

                   The mail system
""",
    Kind.DELAYED: """\
This is the mail system at {hostname}.

THIS IS ONLY A WARNING. YOU NEED NOT SEND YOUR MESSAGE AGAIN.

Your message has not yet reached the recipients below, {warning}
after it came here. Delivery will be tried until it is {lifetime} old.
{returned}

If you need help, write to postmaster and include this report.

                   The mail system
""",
    Kind.SUCCESS: """\
This is the mail system at {hostname}.

Your message was delivered to the recipients below, or handed to a
mail system that sends no confirmation of its own.
{returned}

                   The mail system
""",
}
_PARTS: dict[Kind, str] = {
    Kind.FAILED: "Undelivered Message",
    Kind.DELAYED: "Delayed Message",
    Kind.SUCCESS: "Message",
}


def report(
    notice: Notice,
    message: Message,
    original: Content,
    options: BounceOptions,
    number: int,
    now: float,
    seven: bool = True,
) -> Message:
    """The report as a message for the queue (LF line ends), numbered `number`, arriving `now` (epoch seconds).

    `original` is the content of `message`; `seven`: whether it is ASCII, where it is a large one that goes back
    whole. Pure: nothing is sent or kept here.
    """
    identity = f"{number:X}"
    boundary = f"{message.id}.{int(now)}/{options.hostname}"
    utf8 = message.attributes.smtputf8
    headers_only = only_headers(notice, original, options)
    returned, large = _returned(message, original, headers_only)
    seven = seven or not large
    # everything after the top headers, so that the outer encoding is that of what is inside
    body = b"".join(
        (
            b"This is a message in MIME format.\n\n",
            _part(boundary, "Notification", "text/plain; charset=utf-8", _human(notice, headers_only, options)),
            _part(
                boundary,
                "Delivery report",
                "message/global-delivery-status" if utf8 else "message/delivery-status",
                _machine(notice, message, options),
            ),
            _part(
                boundary,
                _PARTS[notice.kind] + (" Headers" if headers_only else ""),
                _RETURNED_TYPES[utf8, headers_only],
                returned,
                seven,
                closed=not large,
            ),
        )
    )
    end = f"--{boundary}--\n".encode()
    encoding = _encoding(body, seven)
    thread = _thread(original) if options.threaded else ""
    head = _head(notice, options, identity, boundary, now, encoding, thread)
    content: Content = Stored((head, b"\n" + body, *large, b"\n" + end)) if large else head + b"\n" + body + end
    return Message(
        number=number,
        arrival=now,
        sender=notice.sender,
        size=len(content),
        attributes=Attributes(
            kind="bounce",
            rewrite_context="local",
            message_id=f"<{_stamp(now)}.{identity}@{options.hostname}>",
            smtputf8=utf8,
            body="8BITMIME" if encoding == "8bit" or not head.isascii() else "7BIT",
        ),
        recipients=(
            Recipient(
                n=1,
                address=notice.recipient,
                original=options.written.get(notice.recipient, notice.recipient) if notice.copy else notice.recipient,
                notify="NEVER",
            ),
        ),
        content=content,
    )


_RETURNED_TYPES: dict[tuple[bool, bool], str] = {
    (False, False): "message/rfc822",
    (False, True): "text/rfc822-headers",
    (True, False): "message/global",
    (True, True): "message/global-headers",
}


def _head(
    notice: Notice, options: BounceOptions, identity: str, boundary: str, now: float, encoding: str, thread: str
) -> bytes:
    date = _date(now)
    return _bytes(
        f"Received: by {options.hostname} ({options.mail_name})\n"
        f"\tid {identity}; {date}\n"
        f"Date: {date}\n"
        f"From: {options.reporter}\n"
        f"Subject: {SUBJECTS[notice.kind][notice.copy]}\n"
        f"To: {_shown(notice.recipient)}\n"
        f"{thread}"
        f"Auto-Submitted: {'auto-generated' if notice.copy else 'auto-replied'}\n"
        "MIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status;\n"
        f'\tboundary="{boundary}"\n'
        f"Content-Transfer-Encoding: {encoding}\n"
        f"Message-Id: <{_stamp(now)}.{identity}@{options.hostname}>\n"
    )


def _thread(original: Content) -> str:
    """References and In-Reply-To of a report: the Message-Id of the message; empty when it has none."""
    header = original.header if isinstance(original, Stored) else original[: header_end(original)]
    for one in fields(header):
        if one.name == "message-id" and one.value.strip():
            shown = b" ".join(one.value.split()).decode("utf-8", "surrogateescape")
            return f"References: {shown}\nIn-Reply-To: {shown}\n"
    return ""


def _human(notice: Notice, headers_only: bool, options: BounceOptions) -> bytes:
    text = TEXTS[notice.kind].format(
        hostname=options.hostname,
        warning=_duration(options.warning),
        lifetime=_duration(options.lifetime),
        returned=f"The {'headers of the message are' if headers_only else 'message is'} attached.",
    )
    for recipient, outcome in notice.entries:
        original = recipient.original
        also = f" (expanded from <{_shown(original)}>)" if original and original != recipient.address else ""
        text += "\n" + fold(f"<{_shown(recipient.address)}>{also}: {_text(outcome, notice.kind)}") + "\n"
    return _bytes(text)


def _machine(notice: Notice, message: Message, options: BounceOptions) -> bytes:
    name = options.mail_name.replace(" ", "-") or "Tayori"
    lines = [f"Reporting-MTA: dns; {options.hostname}"]
    if message.attributes.envid:
        lines.append(f"Original-Envelope-Id: {clean(unxtext(message.attributes.envid) or message.attributes.envid)}")
    lines.append(f"X-{name}-Queue-ID: {message.id}")
    if message.sender:
        lines.append(f"X-{name}-Sender: {_typed(message.sender)}")
    lines.append(f"Arrival-Date: {_date(message.arrival)}")
    groups = ["\n".join(lines)]
    groups.extend(_recipient_fields(entry, notice.kind, name) for entry in notice.entries)
    return _bytes("\n\n".join(groups) + "\n")


def _recipient_fields(entry: Entry, kind: Kind, name: str) -> str:
    recipient, outcome = entry
    lines = [f"Final-Recipient: {_typed(recipient.address)}"]
    if recipient.orcpt:
        lines.append(f"Original-Recipient: {clean(';'.join(decoded(recipient.orcpt) or (recipient.orcpt,)))}")
    elif recipient.original:
        lines.append(f"Original-Recipient: {_typed(recipient.original)}")
    action = kind.value
    if kind is Kind.SUCCESS and "[" in outcome.relay:
        action = "relayed"
    lines.append(f"Action: {action}")
    lines.append(f"Status: {_status(outcome.enhanced, kind)}")
    if outcome.reply:
        lines.append(f"Remote-MTA: dns; {clean(outcome.relay.split('[', 1)[0] or outcome.relay)}")
        lines.append(fold(f"Diagnostic-Code: smtp; {clean(outcome.reply)}"))
    elif outcome.unix:
        lines.append(fold(f"Diagnostic-Code: x-unix; {clean(outcome.unix)}"))
    else:
        lines.append(fold(f"Diagnostic-Code: X-{name}; {_text(outcome, kind)}"))
    return "\n".join(lines)


def _text(outcome: Outcome, kind: Kind) -> str:
    """What happened, in one line; of a success also by which way."""
    return clean(f"delivery via {outcome.relay}: {outcome.text}" if kind is Kind.SUCCESS else outcome.text)


def _status(enhanced: str, kind: Kind) -> str:
    """A temporary failure that has lasted too long keeps its 4.x.x (RFC 3464 2.3.4 allows it), as in Postfix."""
    if re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", enhanced):
        return enhanced
    return {Kind.FAILED: "5.0.0", Kind.DELAYED: "4.0.0", Kind.SUCCESS: "2.0.0"}[kind]


def only_headers(notice: Notice, original: Content, options: BounceOptions) -> bool:
    """Whether the message itself does not go back (RET=HDRS, bounce_size_limit)."""
    return notice.headers_only or (0 < options.size_limit < len(original))


def _returned(message: Message, original: Content, headers_only: bool) -> tuple[bytes, tuple[bytes | Slice, ...]]:
    """What is returned, and the parts that follow it where it is too large for memory."""
    top = b"Return-Path: <" + _bytes(_shown(message.sender)) + b">\n"
    if isinstance(original, Stored):
        return top + original.header, () if headers_only else original.parts[1:]
    return top + (_headers(original) if headers_only else original), ()


def _headers(original: bytes) -> bytes:
    if original.startswith(b"\n"):
        return b""
    end = original.find(b"\n\n")
    return original if end < 0 else original[: end + 1]


def _part(
    boundary: str, description: str, kind: str, content: bytes, seven: bool = True, closed: bool = True
) -> bytes:
    encoding = _encoding(content, seven)
    head = f"--{boundary}\nContent-Description: {description}\nContent-Type: {kind}\n"
    if encoding != "7bit":
        head += f"Content-Transfer-Encoding: {encoding}\n"
    if not closed:
        return head.encode() + b"\n" + content
    end = b"" if content.endswith(b"\n") else b"\n"
    return head.encode() + b"\n" + content + end + b"\n"


def _encoding(content: bytes, seven: bool = True) -> str:
    return "7bit" if seven and content.isascii() else "8bit"


def _typed(address: str) -> str:
    return f"{'rfc822' if address.isascii() else 'utf-8'}; {_shown(address)}"


def _shown(address: str) -> str:
    """External form (`"a b"@example.com`), one line."""
    return clean(quote(address))


def clean(text: str) -> str:
    """One line without control characters."""
    return _CONTROLS.sub(" ", text).strip()


def fold(text: str) -> str:
    """Break at blanks so that lines stay within WIDTH; continuation lines begin with four blanks (RFC 5322 2.2.3).

    A single word longer than 900 characters is cut, since no line may pass 998.
    """
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        while len(word) > 900:
            lines.append(line or word[:900])
            line, word = (line and "    " + word[:900]) or "", word[900:]
        if line and len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = "    " + word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return "\n".join(lines)


def _duration(seconds: int) -> str:
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= unit and seconds % unit == 0:
            count = seconds // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "0 seconds"


def _date(now: float) -> str:
    local = datetime.datetime.fromtimestamp(now).astimezone()
    return f"{format_datetime(local)} ({local.tzname()})"


def _stamp(now: float) -> str:
    return datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y%m%d%H%M%S")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
