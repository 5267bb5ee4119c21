"""A notice to the postmaster about one SMTP session (postconf(5) notify_classes)."""

from __future__ import annotations

from datetime import datetime

from tayori.bounce.options import BounceOptions
from tayori.protocol.received import rfc5322_date
from tayori.queue.model import Attributes, Message, Recipient


def session_notice(peer: str, said: str, bounced: bool, options: BounceOptions, number: int, now: float) -> Message:
    """The notice as a message for the queue (LF line ends), numbered `number`, arriving `now` (epoch seconds).

    `peer` is `name[address]`, `said` the body; `bounced`: mail was refused because it could not be delivered, which
    goes to bounce_notice_recipient, all else to error_notice_recipient. It never comes back: its sender is
    double_bounce_sender.
    """
    recipient = options.bounce_notice if bounced else options.error_notice
    date = rfc5322_date(datetime.fromtimestamp(int(now)).astimezone())
    head = (
        f"Received: by {options.hostname} ({options.mail_name})\n\tid {number:X}; {date}\n"
        f"Date: {date}\n"
        f"From: Mail Delivery System <MAILER-DAEMON@{options.hostname}>\n"
        f"To: Postmaster <{options.error_notice}>\n"
        f"Subject: {options.mail_name} SMTP server: errors from {peer}\n"
    )
    content = f"{head}\n{said}".encode("utf-8", "replace")
    return Message(
        number=number,
        arrival=now,
        sender=options.double_bounce,
        size=len(content),
        attributes=Attributes(
            kind="bounce", rewrite_context="local", body="7BIT" if content.isascii() else "8BITMIME"
        ),
        recipients=(Recipient(1, recipient, options.written.get(recipient, recipient), notify="NEVER"),),
        content=content,
    )
