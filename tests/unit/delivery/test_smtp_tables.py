"""The agent's tables and lmtp_ twins: EHLO keywords by address, changed replies, a greeting without ESMTP."""

from __future__ import annotations

import asyncio

from support.sink import Sink
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered
from tayori.delivery.smtp import SmtpAgent
from tayori.delivery.smtp_job import Attempt
from tayori.delivery.smtp_options import SmtpOptions
from tayori.protocol.smtp_client_values import Stage
from tayori.queue.model import Recipient
from tayori.tables.registry import Tables
from unit.delivery.test_mx import Zone

ONE = (Recipient(1, "user@b.example"),)


def send(nexthop: str, recipients: tuple[Recipient, ...] = ONE, zone: Zone | None = None, **values: str) -> Attempt:
    async def run() -> Attempt:
        settings = Settings.of({"myhostname": "me.example", **values})
        agent = SmtpAgent(settings, zone or Zone(), tables=Tables(settings), shuffle=None)
        try:
            return await agent.deliver(nexthop, "me@a.example", b"Subject: x\n\nx\n", recipients)
        finally:
            agent.close()
            await asyncio.sleep(0.01)

    return asyncio.run(run())


def test_keywords_are_not_believed_by_address() -> None:
    by_address = "inline:{ {127.0.0.1 = dsn, pipelining} }"
    with Sink(keywords=("PIPELINING", "DSN", "SIZE")) as sink:
        named = (Recipient(1, "user@b.example", notify="NEVER"),)
        send(f"[127.0.0.1]:{sink.port}", named, smtp_discard_ehlo_keyword_address_maps=by_address)
        send(f"[127.0.0.1]:{sink.port}", named, smtp_discard_ehlo_keyword_address_maps="inline:{192.0.2.1=dsn}")
        said = [line for _, line in sink.commands if line.startswith("RCPT")]
    assert said == ["RCPT TO:<user@b.example>", "RCPT TO:<user@b.example> NOTIFY=NEVER"]


def test_a_table_of_keywords_that_cannot_be_asked_defers() -> None:
    with Sink() as sink:
        got = send(f"[127.0.0.1]:{sink.port}", smtp_discard_ehlo_keyword_address_maps="fail:x")[1]
        assert sink.commands == []
    assert isinstance(got, DeferredDelivery) and got.enhanced == "4.3.0"


def test_replies_are_changed_before_they_are_read() -> None:
    with Sink(answers={"RCPT": "550 5.1.1 no"}) as sink:
        got = send(f"[127.0.0.1]:{sink.port}", smtp_reply_filter="regexp:{{/^550 5(.*)/ 450 4$$1}}")[1]
    assert isinstance(got, DeferredDelivery) and got.enhanced == "4.1.1"
    with Sink() as sink:
        assert isinstance(send(f"[127.0.0.1]:{sink.port}", smtp_reply_filter="fail:x")[1], DeferredDelivery)
        assert isinstance(send(f"[127.0.0.1]:{sink.port}", smtp_reply_filter="inline:{x=y}")[1], Delivered)


def test_ehlo_only_when_the_greeting_says_esmtp() -> None:
    first = []
    for greeting, always in (("220 b.example SMTP", "no"), ("220 b.example ESMTP", "no"), ("220 b.example", "yes")):
        with Sink(answers={"CONNECT": greeting}) as sink:
            send(f"[127.0.0.1]:{sink.port}", smtp_always_send_ehlo=always)
            first.append(sink.commands[0][1].split()[0])
    assert first == ["HELO", "EHLO", "EHLO"]


def test_mx_hosts_without_addresses_defer_when_asked_to() -> None:
    zone = Zone({"b.example": [(10, "mx.b.example")]})
    assert isinstance(send("b.example", zone=zone)[1], BouncedDelivery)
    got = send("b.example", zone=zone, smtp_defer_if_no_mx_address_found="yes")[1]
    assert isinstance(got, DeferredDelivery) and got.enhanced == "4.4.4"


def test_lmtp_has_its_own_settings() -> None:
    values = {
        "lmtp_mail_timeout": "7s",
        "lmtp_lhlo_timeout": "8s",
        "lmtp_connect_timeout": "9s",
        "lmtp_mx_session_limit": "3",
        "lmtp_line_length_limit": "100",
        "lmtp_balance_inet_protocols": "no",
        "lmtp_dns_support_level": "disabled",
        "lmtp_discard_lhlo_keywords": "size",
        "lmtp_fallback_relay": "[192.0.2.1]",
        "lmtp_tls_security_level": "encrypt",
        "lmtp_connection_reuse_count_limit": "5",
    }
    lmtp = SmtpOptions.of(Settings.of(values), lmtp=True)
    assert (lmtp.timeouts[Stage.MAIL], lmtp.timeouts[Stage.LHLO], lmtp.connect_timeout, lmtp.sessions) == (7, 8, 9, 3)
    assert (lmtp.line_limit, lmtp.balance, lmtp.dns, lmtp.client.discard) == (100, False, False, {"SIZE"})
    assert (lmtp.fallback, lmtp.tls_level, lmtp.reuse_count) == ("[192.0.2.1]", "encrypt", 5)
    smtp = SmtpOptions.of(Settings.of(values))
    assert (smtp.timeouts[Stage.MAIL], smtp.sessions, smtp.line_limit, smtp.dns) == (300, 2, 998, True)
    assert (smtp.fallback, smtp.client.discard, smtp.reuse_count) == ("", frozenset(), 0)
