"""Notices to the postmaster: which classes a session falls into (recorded from a real Postfix 3.7), and what is shown."""

from __future__ import annotations

import pytest

from tayori.policy.verdict import Action, Reason, Verdict
from tayori.programs.daemons.smtpd.transcript import Transcript
from tayori.protocol.reply import Reply
from tayori.protocol.smtp_commands import split_command

ALL = frozenset(("bounce", "policy", "protocol", "resource", "software", "data"))
UNKNOWN = Reply(550, "5.1.1", "<x@y.z>: Recipient address rejected: User unknown in local recipient table")


def hear(transcript: Transcript, line: bytes) -> None:
    transcript.heard(*split_command(line), line)


@pytest.mark.parametrize(
    ("verb", "reply", "kind"),
    [
        ("FOO", Reply(500, "5.5.2", "Error: command not recognized"), "protocol"),
        ("MAIL", Reply(501, "5.1.7", "Bad sender address syntax"), "protocol"),
        ("MAIL", Reply(555, "5.5.4", "Unsupported option: X=1"), "protocol"),
        ("DATA", Reply(503, "5.5.1", "Error: need RCPT command"), "protocol"),
        ("STARTTLS", Reply(502, "5.5.1", "Error: command not implemented"), "protocol"),
        ("MAIL", Reply(552, "5.3.4", "Message size exceeds fixed limit"), "policy"),
        ("VRFY", Reply(502, "5.5.1", "VRFY command is disabled"), "policy"),
        ("DATA", Reply(552, "5.3.4", "Error: message file too big"), "bounce"),
        ("DATA", Reply(550, "5.7.1", "no spam"), "policy"),
        ("MAIL", Reply(452, "4.3.1", "Insufficient system storage"), "resource"),
        ("DATA", Reply(451, "4.3.0", "Error: queue file write error"), "resource"),
        ("AUTH", Reply(535, "5.7.8", "Error: authentication failed"), ""),
        ("ETRN", Reply(459, "4.0.0", "no"), ""),
        ("RCPT", Reply(452, "4.5.3", "Error: too many recipients"), ""),
        ("MAIL", Reply(450, "4.7.0", "Error: too much mail from 192.0.2.1"), ""),
    ],
)
def test_classes_of_replies(verb: str, reply: Reply, kind: str) -> None:
    for one in sorted(ALL):
        transcript = Transcript(frozenset((one,)), 100)
        transcript.heard(verb, b"", verb.encode())
        transcript.answered(verb, reply, False)
        assert transcript.due == (one == kind), one


def test_rules_and_helo() -> None:
    for restriction, reply, kind in (
        ("reject_unlisted_recipient", UNKNOWN, "bounce"),
        ("reject_unlisted_recipient", Reply(550, "5.1.2", "no such domain"), "policy"),
        ("reject_unauth_destination", Reply(454, "4.7.1", "Relay access denied"), "policy"),
    ):
        transcript = Transcript(frozenset((kind,)), 100)
        hear(transcript, b"RCPT TO:<x@y.z>")
        transcript.judged(Verdict(Action.REJECT, reply, Reason("RCPT", "", restriction)))
        transcript.answered("RCPT", reply, False)
        assert transcript.due and transcript.bounced == (kind == "bounce")
    transcript = Transcript(ALL - {"protocol"}, 100)
    transcript.answered("MAIL", Reply(503, "5.5.1", "Error: send HELO/EHLO first"), True)
    assert transcript.due


def test_text_hides_what_a_client_logs_in_with() -> None:
    transcript = Transcript(ALL, 100)
    transcript.said(b"220 mail.example.com ESMTP\r\n")
    hear(transcript, b"EHLO x\x1b[2J\xff")
    transcript.said(b"250-mail.example.com\r\n250 " + b"WORD " * 20 + b"\r\n")
    hear(transcript, b"auth plain AGFsaWNlAHNlY3JldA==")
    transcript.said(b"535 5.7.8 no\r\n")
    text = transcript.text("lost connection")
    assert "AUTH plain (not shown)" in text and "AGFsaWNl" not in text
    assert "\x1b" not in text and " In:  EHLO x?[2J" in text
    assert " Out: 250-mail.example.com\n Out: 250 WORD" in text and max(map(len, text.splitlines())) < 80
    assert "lost connection" in text


@pytest.mark.parametrize(
    "lines",
    [
        [b"AUTH PLAIN c2VjcmV0"],
        [b"AUTH\tPLAIN\tc2VjcmV0"],
        [b" \tauth \tplain \t c2VjcmV0 "],
        [b"AUTH LOGIN", b"YWxpY2U=", b"c2VjcmV0"],
        [b"AUTH LOGIN c2VjcmV0", b"c2VjcmV0"],
        [b"AUTH PLAIN", b"c2VjcmV0 x"],
    ],
)
def test_no_secret_is_kept_however_it_comes(lines: list[bytes]) -> None:
    transcript = Transcript(ALL, 100)
    for line in (*lines, b"RSET", b"FOO"):
        hear(transcript, line)
    text = transcript.text("")
    assert "c2VjcmV0" not in text and "YWxpY2U=" not in text
    assert text.count("(not shown)") == len(lines) and " In:  RSET\n In:  FOO" in text


def test_nothing_is_kept_that_nobody_wants_and_long_sessions_are_bounded() -> None:
    transcript = Transcript(frozenset(("2bounce",)), 3)
    hear(transcript, b"NOOP")
    assert not transcript.kept and not transcript.long
    transcript = Transcript(ALL, 3)
    for _ in range(10_000):
        hear(transcript, b"NOOP")
    assert transcript.long and len(transcript.text("").splitlines()) < 6_000
    transcript.wrong("protocol")
    transcript.forget()
    assert not transcript.long and not transcript.due
