"""The agent against a scripted server; the texts and codes are those that a real Postfix 3.7 logged for the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from support.ports import free_port
from support.sink import Answer, Sink
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.smtp import SmtpAgent
from tayori.delivery.smtp_job import Attempt
from tayori.queue.model import Attributes, Recipient
from unit.delivery.test_mx import Zone

CONTENT = b"Subject: hello\n\n.dot\nbody\n"
H = "127.0.0.1[127.0.0.1]"
ONE = (Recipient(1, "user@b.example"),)


def settings(**more: str) -> Settings:
    return Settings.of(
        {"myhostname": "me.example", "smtp_helo_timeout": "1s", "smtp_data_done_timeout": "1s", **more}
    )


def send(
    nexthop: str,
    recipients: tuple[Recipient, ...] = ONE,
    *,
    zone: Zone | None = None,
    content: bytes = CONTENT,
    attributes: Attributes | None = None,
    times: int = 1,
    lmtp: bool = False,
    sender: str = "me@a.example",
    between: Callable[[], None] | None = None,
    **more: str,
) -> Attempt:
    async def run() -> Attempt:
        agent = SmtpAgent(settings(**more), zone or Zone(), lmtp=lmtp, shuffle=None)
        try:
            for number in range(times):
                if number and between is not None:
                    between()
                    await asyncio.sleep(0.05)
                attempt = await agent.deliver(nexthop, sender, content, recipients, attributes)
            return attempt
        finally:
            agent.close()
            await asyncio.sleep(0.01)

    return asyncio.run(run())


def outcome(
    answers: dict[str, Answer] | None = None, *, keywords: tuple[str, ...] | None = None, **more: object
) -> DeliveryOutcome:
    extra = {} if keywords is None else {"keywords": keywords}
    with Sink(answers=answers, **extra) as sink:  # type: ignore[arg-type]
        return send(f"[127.0.0.1]:{sink.port}", **more)[1]  # type: ignore[arg-type]


def test_delivered() -> None:
    with Sink() as sink:
        attempt = send(f"[127.0.0.1]:{sink.port}", (Recipient(1, "x@b.example"), Recipient(7, "a b@b.example")))
        (got,) = sink.wait(1)
    relay = f"{H}:{sink.port}"
    assert (
        attempt[1]
        == attempt[7]
        == Delivered("250 2.0.0 Ok: queued as S1", "2.0.0", relay, "250 2.0.0 Ok: queued as S1")
    )
    assert attempt.healthy is True
    assert got.sender == "me@a.example" and got.recipients == ("x@b.example", '"a b"@b.example')
    assert got.content == b"Subject: hello\r\n\r\n.dot\r\nbody\r\n"


@pytest.mark.parametrize(
    ("answers", "kind", "enhanced", "text"),
    [
        ({"RCPT": "550 5.1.1 no such user\n550 5.1.1 second line"}, BouncedDelivery, "5.1.1",
         f"host {H} said: 550-5.1.1 no such user 550 5.1.1 second line (in reply to RCPT TO command)"),
        ({"RCPT": "450 4.2.1 try later"}, DeferredDelivery, "4.2.1", f"host {H} said: 450 4.2.1 try later (in reply to RCPT TO command)"),
        ({"MAIL": "550 go away"}, BouncedDelivery, "5.0.0", f"host {H} said: 550 go away (in reply to MAIL FROM command)"),
        ({"DATA": "554 no"}, BouncedDelivery, "5.0.0", f"host {H} said: 554 no (in reply to DATA command)"),
        ({".": "554 5.7.1 spam"}, BouncedDelivery, "5.7.1", f"host {H} said: 554 5.7.1 spam (in reply to end of DATA command)"),
        ({".": "451 4.7.1 grey"}, DeferredDelivery, "4.7.1", f"host {H} said: 451 4.7.1 grey (in reply to end of DATA command)"),
        ({"CONNECT": "554 5.7.1 no service"}, DeferredDelivery, "4.7.1", f"host {H} refused to talk to me: 554 5.7.1 no service"),
        ({"CONNECT": "421 4.3.2 busy"}, DeferredDelivery, "4.3.2", f"host {H} refused to talk to me: 421 4.3.2 busy"),
        ({"CONNECT": "close"}, DeferredDelivery, "4.4.2", f"lost connection with {H} while receiving the initial server greeting"),
        ({"EHLO": "550 no", "HELO": "550 no helo"}, BouncedDelivery, "5.0.0", f"host {H} refused to talk to me: 550 no helo"),
        ({"EHLO": "close"}, DeferredDelivery, "4.4.2", f"lost connection with {H} while performing the EHLO handshake"),
        ({"MAIL": "close"}, DeferredDelivery, "4.4.2", f"lost connection with {H} while sending MAIL FROM"),
        ({"RCPT": "close"}, DeferredDelivery, "4.4.2", f"lost connection with {H} while sending RCPT TO"),
        ({"DATA": "close"}, DeferredDelivery, "4.4.2", f"lost connection with {H} while sending DATA command"),
        ({".": "close"}, DeferredDelivery, "4.4.2", f"lost connection with {H} while sending end of data -- message may be sent more than once"),
        ({"RCPT": "421 4.3.2 shutting down"}, DeferredDelivery, "4.3.2", f"host {H} said: 421 4.3.2 shutting down (in reply to RCPT TO command)"),
        ({"CONNECT": "hang"}, DeferredDelivery, "4.4.2", f"conversation with {H} timed out while receiving the initial server greeting"),
        ({"EHLO": "hang"}, DeferredDelivery, "4.4.2", f"conversation with {H} timed out while performing the EHLO handshake"),
        ({".": "hang"}, DeferredDelivery, "4.4.2", f"conversation with {H} timed out while sending end of data -- message may be sent more than once"),
    ],
)  # fmt: skip
def test_refusals_in_postfixs_words(
    answers: dict[str, Answer], kind: type[DeliveryOutcome], enhanced: str, text: str
) -> None:
    got = outcome(answers)
    assert (type(got), got.enhanced, got.text) == (kind, enhanced, text)
    assert got.relay.startswith(H)


def test_garbage_is_a_protocol_error_and_defers() -> None:
    for stage in ("CONNECT", "RCPT", "."):
        got = outcome({stage: "hello there"})
        assert isinstance(got, DeferredDelivery) and got.enhanced == "4.5.0" and "hello there" in got.text


def test_connection_refused() -> None:
    port = free_port()
    attempt = send(f"[127.0.0.1]:{port}")
    assert attempt[1] == DeferredDelivery(f"connect to {H}:{port}: Connection refused", "4.4.1", "none")
    assert attempt.healthy is False and attempt.reason == attempt[1].text


def test_ehlo_unknown_falls_back_to_helo() -> None:
    assert isinstance(outcome({"EHLO": "502 no"}), Delivered)


def test_each_recipient_has_its_own_fate() -> None:
    def rcpt(line: str) -> str | None:
        return "550 5.1.1 bad" if "bad" in line else "452 4.5.3 too many" if "later" in line else None

    with Sink(answers={"RCPT": rcpt}) as sink:
        attempt = send(
            f"[127.0.0.1]:{sink.port}",
            tuple(Recipient(n, f"{word}@b.example") for n, word in enumerate(("bad", "later", "good"), 1)),
        )
        assert sink.wait(1)[0].recipients == ("good@b.example",)
    assert [type(attempt[n]) for n in (1, 2, 3)] == [BouncedDelivery, DeferredDelivery, Delivered]
    assert attempt.healthy is True


def test_size_is_checked_before_sending() -> None:
    got = outcome(keywords=("PIPELINING", "SIZE 20"))
    assert (type(got), got.enhanced) == (BouncedDelivery, "5.3.4")
    assert got.text == f"message size 31 exceeds size limit 20 of server {H}"


def test_a_session_is_used_again() -> None:
    with Sink() as sink:
        assert isinstance(send(f"[127.0.0.1]:{sink.port}", times=5)[1], Delivered)
        assert len(sink.wait(5)) == 5 and sink.sessions == 1


def test_no_reuse_when_the_cache_is_off_or_the_session_worn() -> None:
    for more in ({"smtp_connection_cache_on_demand": "no"}, {"smtp_connection_reuse_count_limit": "1"}):
        with Sink() as sink:
            send(f"[127.0.0.1]:{sink.port}", times=3, **more)
            assert sink.sessions == 3


def test_a_cached_session_that_the_server_closed_costs_nothing() -> None:
    def mail(line: str) -> str | None:
        count = sum("MAIL" in text for _, text in sink.commands)
        return "close" if count == 2 else None

    with Sink(answers={"MAIL": mail}) as sink:
        assert isinstance(send(f"[127.0.0.1]:{sink.port}", times=2)[1], Delivered)
        assert sink.sessions == 2 and len(sink.messages) == 2


def test_a_session_after_a_refusal_is_not_kept() -> None:
    for stage, sessions in (("RCPT", 2), ("MAIL", 2), (".", 1)):
        with Sink(answers={stage: "550 no"}) as sink:
            send(f"[127.0.0.1]:{sink.port}", times=2)
            assert sink.sessions == sessions


def test_next_host_takes_over_after_failure_and_temporary_refusal() -> None:
    for answers in ({"CONNECT": "554 no"}, {"CONNECT": "close"}, {"RCPT": "450 later"}, {"MAIL": "close"}):
        with Sink(host="127.0.0.2", answers=answers) as first, Sink(host="127.0.0.3", port=first.port) as second:
            zone = Zone({"b.example": [(1, "one"), (2, "two")]}, {"one": ["127.0.0.2"], "two": ["127.0.0.3"]})
            attempt = send(f"b.example:{first.port}", zone=zone)
            assert isinstance(attempt[1], Delivered) and attempt[1].relay == f"two[127.0.0.3]:{first.port}"
            assert attempt.healthy is True and len(second.wait(1)) == 1


def test_a_lost_answer_to_the_content_is_not_tried_elsewhere_at_once() -> None:
    with Sink(host="127.0.0.2", answers={".": "close"}) as first, Sink(host="127.0.0.3", port=first.port) as second:
        zone = Zone({"b.example": [(1, "one"), (2, "two")]}, {"one": ["127.0.0.2"], "two": ["127.0.0.3"]})
        assert isinstance(send(f"b.example:{first.port}", zone=zone)[1], DeferredDelivery)
        assert second.messages == []


def test_session_limit() -> None:
    with Sink(host="127.0.0.2", answers={"RCPT": "450 a"}) as sink:
        zone = Zone({}, {"b.example": ["127.0.0.2"] * 5})
        send(f"b.example:{sink.port}", zone=zone)
        assert sink.sessions == 2
        send(f"b.example:{sink.port}", zone=zone, smtp_mx_session_limit="0")
        assert sink.sessions == 7


def test_5xx_greeting_bounces_when_not_skipped() -> None:
    assert isinstance(outcome({"CONNECT": "554 5.7.1 no"}, smtp_skip_5xx_greeting="no"), BouncedDelivery)


def test_fallback_relay() -> None:
    with Sink() as sink:
        fallback = f"[127.0.0.1]:{sink.port}"
        assert isinstance(send("gone.example", smtp_fallback_relay=fallback)[1], Delivered)
        assert isinstance(send(f"[127.0.0.1]:{free_port()}", smtp_fallback_relay=fallback)[1], Delivered)
        loops = Zone({"b.example": [(1, "me.example")]}, {"me.example": ["192.0.2.1"]})
        assert send("b.example", zone=loops, smtp_fallback_relay=fallback)[1].enhanced == "5.4.6"
        assert len(sink.messages) == 2


def test_unknown_domain_bounces_without_blaming_a_site() -> None:
    attempt = send("gone.example")
    assert isinstance(attempt[1], BouncedDelivery) and attempt[1].enhanced == "5.4.4" and attempt.healthy is None


def test_server_with_our_own_name_is_a_loop_on_port_25_only() -> None:
    with Sink(host="127.0.0.2", name="ME.example") as sink:
        zone = Zone({"b.example": [(1, "one")]}, {"one": ["127.0.0.2"]})
        got = send(f"b.example:{sink.port}", zone=zone)[1]
        assert got.text == f"mail for b.example:{sink.port} loops back to myself" and got.enhanced == "5.4.6"
        assert isinstance(send(f"[127.0.0.2]:{sink.port}")[1], Delivered)


def test_control_characters_in_an_address_are_never_sent() -> None:
    with Sink() as sink:
        attempt = send(f"[127.0.0.1]:{sink.port}", (Recipient(1, "x@b\r\nDATA"), Recipient(2, "ok@b.example")))
        assert isinstance(attempt[1], BouncedDelivery) and isinstance(attempt[2], Delivered)


def test_encrypt_without_starttls_defers() -> None:
    got = outcome(smtp_tls_security_level="encrypt")
    assert (type(got), got.enhanced, got.text) == (
        DeferredDelivery,
        "4.7.4",
        f"TLS is required, but was not offered by host {H}",
    )


def test_stronger_tls_levels_are_refused_not_weakened() -> None:
    with pytest.raises(ConfigError, match="verify"):
        asyncio.run(_build(smtp_tls_security_level="verify"))


async def _build(**more: str) -> SmtpAgent:
    return SmtpAgent(settings(**more), Zone())


def test_lmtp_has_one_answer_per_recipient(tmp_path: object) -> None:
    path = f"{tmp_path}/lmtp"
    with Sink(path=path, lmtp=True, answers={".full@b.example": "452 4.2.2 full"}) as sink:
        attempt = send(f"unix:{path}", (Recipient(1, "full@b.example"), Recipient(2, "ok@b.example")), lmtp=True)
        assert sink.commands[0][1] == "LHLO me.example"
        assert sink.wait(1)[0].recipients == ("ok@b.example",)
    assert attempt[1] == DeferredDelivery(
        f"host me.example[{path}] said: 452 4.2.2 full (in reply to end of DATA command)",
        "4.2.2",
        f"me.example[{path}]",
        "452 4.2.2 full",
    )
    assert isinstance(attempt[2], Delivered)
    gone = send("unix:/nonexistent/socket", lmtp=True)[1]
    assert (
        gone.text == "connect to me.example[/nonexistent/socket]: No such file or directory"
        and gone.enhanced == "4.4.1"
    )


def test_large_content_goes_in_pieces() -> None:
    for size in (0, 1, 65535, 65536, 65537, 1_000_000):
        content = (b"x" * 63 + b"\n") * (size // 64) + b"y" * (size % 64)
        with Sink() as sink:
            send(f"[127.0.0.1]:{sink.port}", content=content)
            got = sink.wait(1)[0].content
        assert got.replace(b"\r\n", b"\n") == content + (b"" if not content or content.endswith(b"\n") else b"\n")
