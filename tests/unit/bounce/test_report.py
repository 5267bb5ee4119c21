from __future__ import annotations

import email
import email.policy
from email.message import Message as Mail
from pathlib import Path

import pytest

from support.large import body, keep
from tayori.bounce.options import BounceOptions
from tayori.bounce.report import fold, report
from tayori.bounce.rules import Kind, Notice, notices
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.queue.content import blocks, is_ascii
from tayori.queue.model import Attributes, Message, Recipient, Stored

OPTIONS = BounceOptions.of(
    Settings.of({"myhostname": "mail.example.com", "mydomain": "example.com", "myorigin": "$mydomain"})
)
NOW = 1_795_543_674.5
CONTENT = b"Received: from x\nSubject: hello\n\nbody text\n"
NO_USER = BouncedDelivery(
    "host mx.b.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)",
    "5.1.1",
    "mx.b.example[192.0.2.1]:25",
    "550 5.1.1 no such user",
)


def message(sender: str = "me@a.example", **attributes: object) -> Message:
    return Message(0xABC, NOW - 60, sender, len(CONTENT), Attributes(**attributes), ())  # type: ignore[arg-type]


def entry(
    outcome: DeliveryOutcome = NO_USER, address: str = "you@b.example", **more: str
) -> tuple[Recipient, DeliveryOutcome]:
    return Recipient(1, address, more.pop("original", address), **more), outcome  # type: ignore[arg-type]


def written(
    kind: Kind = Kind.FAILED, original: bytes = CONTENT, options: BounceOptions = OPTIONS, **attributes: object
) -> tuple[Message, Mail]:
    (notice,) = notices(kind, message(**attributes), (entry(),), options)
    made = report(notice, message(**attributes), original, options, 0xDEF, NOW)
    assert made.content is not None
    return made, email.message_from_bytes(made.content, policy=email.policy.SMTP)


def test_envelope_is_the_null_sender_to_the_sender() -> None:
    made, _ = written()
    assert (made.sender, [r.address for r in made.recipients]) == ("", ["me@a.example"])
    assert made.number == 0xDEF and made.arrival == NOW and made.size == len(made.content or b"")
    assert made.attributes.kind == "bounce"
    assert made.recipients[0].notify == "NEVER"


def test_report_has_the_fields_of_rfc_3464() -> None:
    _, mail = written()
    assert mail.get_content_type() == "multipart/report" and mail.get_param("report-type") == "delivery-status"
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["From"] == "Mail Delivery System <MAILER-DAEMON@example.com>"
    assert mail["Subject"] == "Undelivered Mail Returned to Sender"
    text, status, returned = mail.get_payload()
    assert "<you@b.example>: host mx.b.example" in text.get_content()
    per_message, per_recipient = status.get_payload()
    assert per_message["Reporting-MTA"] == "dns; mail.example.com"
    assert per_message["X-Postfix-Queue-ID"] == "ABC"
    assert per_message["X-Postfix-Sender"] == "rfc822; me@a.example"
    assert per_message["Arrival-Date"]
    assert per_recipient["Final-Recipient"] == "rfc822; you@b.example"
    assert per_recipient["Original-Recipient"] == "rfc822; you@b.example"
    assert per_recipient["Action"] == "failed"
    assert per_recipient["Status"] == "5.1.1"
    assert per_recipient["Remote-MTA"] == "dns; mx.b.example"
    assert per_recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"
    assert returned.get_content_type() == "message/rfc822"
    inner = returned.get_payload(0)
    assert inner["Return-Path"] == "<me@a.example>" and inner["Subject"] == "hello"
    assert inner.get_payload().strip() == "body text"


def test_a_large_message_returns_headers_only() -> None:
    options = BounceOptions(size_limit=100)
    _, mail = written(original=CONTENT + b"x" * 100, options=options)
    returned = mail.get_payload()[2]
    assert returned.get_content_type() == "text/rfc822-headers"
    assert "Subject: hello" in returned.get_content() and "body text" not in returned.get_content()


def test_ret_hdrs_returns_headers_only() -> None:
    _, mail = written(ret="HDRS")
    assert mail.get_payload()[2].get_content_type() == "text/rfc822-headers"


def test_local_failure_has_no_remote_mta() -> None:
    local = entry(BouncedDelivery('unknown user: "you"', "5.1.1", "local"))
    (notice,) = notices(Kind.FAILED, message(), (local,), OPTIONS)
    content = report(notice, message(), CONTENT, OPTIONS, 1, NOW).content or b""
    assert b'Diagnostic-Code: X-Postfix; unknown user: "you"\n' in content and b"Remote-MTA" not in content


def test_a_remote_reply_cannot_add_headers_parts_or_long_lines() -> None:
    evil = "550 no\r\n\r\n--ABC.1795543674/mail.example.com\r\nSubject: gotcha " + "x" * 3000
    hostile = entry(BouncedDelivery(f"host h[1] said: {evil}", "5.0.0\nX: y", "h[1]:25", evil), "you@b\r\nBcc: z")
    (notice,) = notices(Kind.FAILED, message("me@a\nBcc: w"), (hostile,), OPTIONS)
    content = report(notice, message("me@a\nBcc: w"), CONTENT, OPTIONS, 1, NOW).content or b""
    mail = email.message_from_bytes(content)
    assert len(mail.get_payload()) == 3 and mail["Bcc"] is None
    assert mail.get_payload()[1].get_payload()[1]["Status"] == "5.0.0"
    assert not any(line.startswith((b"Bcc", b"Subject: gotcha", b"X: y")) for line in content.split(b"\n"))
    assert max(len(line) for line in content.split(b"\n")) <= 998


def test_smtputf8_uses_the_global_types() -> None:
    who = message("mé@a.example", smtputf8=True)
    (notice,) = notices(Kind.FAILED, who, (entry(address="ü@b.example"),), OPTIONS)
    made = report(notice, who, CONTENT, OPTIONS, 1, NOW)
    content = (made.content or b"").decode()
    assert "Content-Type: message/global-delivery-status" in content and "Content-Type: message/global\n" in content
    assert "Final-Recipient: utf-8; ü@b.example" in content
    assert made.attributes.smtputf8 and made.attributes.body == "8BITMIME"
    assert content.count("Content-Transfer-Encoding: 8bit") >= 3


def test_the_types_follow_what_the_message_asked_for() -> None:
    """As Postfix 3.7: global types even where all is ASCII, and none for mail that did not ask for SMTPUTF8."""
    for asked in (True, False):
        who = message("me@a.example", smtputf8=asked)
        (notice,) = notices(
            Kind.FAILED, who, (entry(address="ü@b.example" if not asked else "x@b.example"),), OPTIONS
        )
        made = report(notice, who, CONTENT, OPTIONS, 1, NOW)
        content = (made.content or b"").decode()  # type: ignore[union-attr]
        assert made.attributes.smtputf8 is asked
        assert ("message/global-delivery-status" in content) is asked
        assert "Final-Recipient: " + ("rfc822; x@b.example" if asked else "utf-8; ü@b.example") in content


def test_original_recipients_are_shown_decoded() -> None:
    for orcpt, shown in (
        (r"utf-8;j\x{FC}rgen@old.example", "utf-8;jürgen@old.example"),
        ("rfc822;a+2Bb@old.example", "rfc822;a+b@old.example"),
        ("rfc822;broken+", "rfc822;broken+"),
        (r"utf-8;a\x{A}Status: 2.0.0", "utf-8;a Status: 2.0.0"),
    ):
        (notice,) = notices(Kind.FAILED, message(), (entry(orcpt=orcpt),), OPTIONS)
        content = (report(notice, message(), CONTENT, OPTIONS, 1, NOW).content or b"").decode()  # type: ignore[union-attr]
        assert f"\nOriginal-Recipient: {shown}\n" in content


def test_original_8bit_is_declared() -> None:
    made, mail = written(original=b"Subject: x\n\nh\xe9\n")
    assert mail["Content-Transfer-Encoding"] == "8bit"
    assert mail.get_payload()[2]["Content-Transfer-Encoding"] == "8bit"
    assert mail.get_payload()[0]["Content-Transfer-Encoding"] is None
    assert made.attributes.body == "8BITMIME"


def test_null_sender_is_never_bounced() -> None:
    assert notices(Kind.FAILED, message(""), (entry(),), OPTIONS) == ()
    assert notices(Kind.DELAYED, message(""), (entry(),), OPTIONS) == ()
    assert notices(Kind.SUCCESS, message(""), (entry(notify="SUCCESS"),), OPTIONS) == ()


@pytest.mark.parametrize("word", ["2bounce", "bounce"])
def test_double_bounce_goes_to_postmaster_when_asked(word: str) -> None:
    options = BounceOptions.of(
        Settings.of({"myhostname": "m.example", "myorigin": "o.example", "notify_classes": word})
    )
    (notice,) = notices(Kind.FAILED, message(""), (entry(),), options)
    assert (notice.sender, notice.recipient) == ("double-bounce@m.example", "postmaster@o.example")
    again = message(notice.sender)
    assert notices(Kind.FAILED, again, (entry(),), options) == ()


def test_bounce_class_copies_headers_to_postmaster() -> None:
    options = BounceOptions.of(Settings.of({"myhostname": "m.example", "notify_classes": "bounce"}))
    first, copy = notices(Kind.FAILED, message(), (entry(),), options)
    assert first.sender == "" and copy.copy and copy.headers_only
    content = report(copy, message(), CONTENT, options, 1, NOW).content or b""
    assert b"Subject: Postmaster Copy: Undelivered Mail\n" in content and b"body text" not in content


@pytest.mark.parametrize(
    ("kind", "notify", "told"),
    [
        (Kind.FAILED, "", True),
        (Kind.FAILED, "NEVER", False),
        (Kind.FAILED, "FAILURE", True),
        (Kind.FAILED, "DELAY,SUCCESS", False),
        (Kind.DELAYED, "", True),
        (Kind.DELAYED, "FAILURE", False),
        (Kind.DELAYED, "FAILURE,DELAY", True),
        (Kind.SUCCESS, "", False),
        (Kind.SUCCESS, "SUCCESS", True),
        (Kind.SUCCESS, "FAILURE", False),
    ],
)
def test_notify_of_the_recipient_decides(kind: Kind, notify: str, told: bool) -> None:
    assert bool(notices(kind, message(), (entry(notify=notify),), OPTIONS)) is told


def test_delay_warning_says_that_it_is_only_a_warning() -> None:
    options = BounceOptions(warning=14_400, lifetime=432_000)
    late = entry(DeferredDelivery("connect to h[1]:25: Connection refused", "4.4.1"))
    (notice,) = notices(Kind.DELAYED, message(), (late,), options)
    content = (report(notice, message(), CONTENT, options, 1, NOW).content or b"").decode()
    assert "ONLY A WARNING" in content and "4 hours" in content and "5 days" in content
    assert "Action: delayed\nStatus: 4.4.1\n" in content
    assert "Content-Type: text/rfc822-headers" in content


def test_success_report_tells_relayed_from_delivered() -> None:
    both = (
        entry(Delivered("delivered to maildir"), notify="SUCCESS"),
        entry(Delivered("250 ok", relay="h[1]:25", reply="250 ok"), "far@b.example", notify="SUCCESS"),
    )
    (notice,) = notices(Kind.SUCCESS, message(), both, OPTIONS)
    content = report(notice, message(), CONTENT, OPTIONS, 1, NOW).content or b""
    assert b"Action: delivered" in content and b"Action: relayed" in content


def test_addresses_stand_in_external_form() -> None:
    (notice,) = notices(Kind.FAILED, message("my self@a.example"), (entry(address="we ird@b.example"),), OPTIONS)
    content = report(notice, message("my self@a.example"), CONTENT, OPTIONS, 1, NOW).content or b""
    assert b'\nTo: "my self"@a.example\n' in content and b'Return-Path: <"my self"@a.example>' in content
    assert b'Final-Recipient: rfc822; "we ird"@b.example\n' in content and b'<"we ird"@b.example>: ' in content


def test_orcpt_and_envid_are_decoded_and_the_alias_is_named() -> None:
    who = message(envid="a+2Bb")
    aliased = entry(original="info@a.example", orcpt="rfc822;info+2Bx@a.example")
    (notice,) = notices(Kind.FAILED, who, (aliased,), OPTIONS)
    content = report(notice, who, CONTENT, OPTIONS, 1, NOW).content or b""
    assert b"Original-Envelope-Id: a+b\n" in content
    assert b"Original-Recipient: rfc822;info+x@a.example\n" in content
    assert b"(expanded from <info@a.example>)" in content.replace(b"\n    ", b" ")


def test_fold_breaks_at_blanks() -> None:
    folded = fold(" ".join(["word"] * 40))
    assert all(len(line) <= 78 for line in folded.split("\n")) and folded.replace("\n    ", " ") == " ".join(
        ["word"] * 40
    )


def test_myorigin_may_be_a_file(tmp_path: object) -> None:
    path = f"{tmp_path}/mailname"
    with open(path, "w") as file:
        file.write("from.file.example\n")
    options = BounceOptions.of(Settings.of({"myorigin": path}))
    assert options.reporter == "Mail Delivery System <MAILER-DAEMON@from.file.example>"
    assert options.bounce_notice == "postmaster@from.file.example"


def test_who_reports() -> None:
    def reporter(**more: str) -> str:
        return BounceOptions.of(Settings.of({"myorigin": "a.example", **more})).reporter

    assert reporter() == "Mail Delivery System <MAILER-DAEMON@a.example>"
    assert reporter(append_at_myorigin="no") == "Mail Delivery System <MAILER-DAEMON>"
    assert reporter(header_from_format="obsolete") == "MAILER-DAEMON@a.example (Mail Delivery System)"


def test_empty_body_and_headerless_originals() -> None:
    for original in (b"", b"\nonly body\n", b"Subject: no end"):
        notice = Notice(Kind.FAILED, "", "me@a.example", (entry(),), headers_only=True)
        content = report(notice, message(), original, OPTIONS, 1, NOW).content or b""
        assert len(email.message_from_bytes(content).get_payload()) == 3


@pytest.mark.parametrize("end", [b"", "\u00e4\n".encode()], ids=["7bit", "8bit"])
@pytest.mark.parametrize("limit", ["5000000", "50000"])
def test_a_message_in_a_file_comes_back_as_one_in_memory(tmp_path: Path, end: bytes, limit: str) -> None:
    options = BounceOptions.of(Settings.of({"myhostname": "mail.example.com", "bounce_size_limit": limit}))
    whole = CONTENT + body(400_000) + end
    (notice,) = notices(Kind.FAILED, message(), (entry(),), options)
    wanted = report(notice, message(), whole, options, 0xDEF, NOW)
    large = keep(tmp_path / "A", whole)
    made = report(notice, message(), large, options, 0xDEF, NOW, seven=is_ascii(large))
    assert made.content is not None
    assert b"".join(blocks(made.content)) == wanted.content
    assert (made.size, made.attributes) == (wanted.size, wanted.attributes)
    assert isinstance(made.content, Stored) == (limit == "5000000"), "only what was asked for whole lies in a file"
