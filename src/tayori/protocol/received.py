"""The Received header and the date, pure (RFC 5321 4.4, RFC 3848, RFC 5322 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tayori.protocol.idn import a_labels

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def rfc5322_date(when: datetime) -> str:
    """`Tue, 24 Nov 2026 18:05:06 +0000 (UTC)`; `when` must know its time zone."""
    zone = when.strftime("%z")
    name = when.tzname() or ""
    shown = f" ({name})" if name.isalnum() and not name.isdigit() else ""
    return (
        f"{_DAYS[when.weekday()]}, {when.day} {_MONTHS[when.month - 1]} {when.year} "
        f"{when.hour:02}:{when.minute:02}:{when.second:02} {zone}{shown}"
    )


@dataclass(frozen=True, slots=True)
class Trace:
    """What a Received header says. `protocol` is the `with` word; empty `recipient`: not shown (several).
    `hidden`: nothing about the client is shown (smtpd_hide_client_session)."""

    helo: str
    client_name: str
    client_address: str
    hostname: str
    mail_name: str
    protocol: str
    queue_id: str
    date: str
    recipient: str = ""
    tls: str = ""
    login: str = ""
    hidden: bool = False


def bracketed(address: str) -> str:
    """`[1.2.3.4]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3)."""
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def transmission(esmtp: bool, tls: bool, login: bool, utf8: bool) -> str:
    """The transmission type of RFC 3848 and RFC 6531: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, UTF8SMTP…"""
    if not esmtp:
        return "SMTP"
    return ("UTF8SMTP" if utf8 else "ESMTP") + ("S" if tls else "") + ("A" if login else "")


def _bytewise(login: str) -> str:
    """A login name, which need not be UTF-8 elsewhere: `?` for each byte beyond ASCII, as in Postfix."""
    return login if login.isascii() else "".join(c if c.isascii() else "?" * len(c.encode()) for c in login)


def _in_ascii(address: str) -> str:
    """With A-labels where that makes it ASCII: a header in ASCII can go to servers without SMTPUTF8."""
    shown = a_labels(address)
    return shown if shown.isascii() else address


def received(trace: Trace) -> bytes:
    """The whole header, folded as Postfix folds it, LF ended."""
    lines: list[str] = []
    by = f"by {trace.hostname} ({trace.mail_name})"
    if trace.hidden:
        by = f"Received: {by} id {trace.queue_id}"
    else:
        shown = bracketed(trace.client_address)
        lines.append(f"Received: from {trace.helo or trace.client_name} ({trace.client_name} {shown})")
        if trace.tls:
            lines.append(f"\t{trace.tls}")
        if trace.login:
            lines.append(f"\t(Authenticated sender: {_bytewise(trace.login)})")
        by = f"\t{by} with {trace.protocol} id {trace.queue_id}"
    if trace.recipient:
        shown = trace.recipient if trace.recipient.isascii() else _in_ascii(trace.recipient)
        lines += [by, f"\tfor <{shown}>; {trace.date}"]
    else:
        lines += [by + ";", f"\t{trace.date}"]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")
