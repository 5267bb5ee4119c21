from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.smtp_client import Client
from tayori.protocol.smtp_client_values import (
    Answered,
    Authenticated,
    AuthRefused,
    Challenged,
    ClientOptions,
    ClientRecipient,
    Done,
    Envelope,
    Event,
    Lost,
    Ready,
    RefusedSession,
    SendContent,
    Stage,
    StartTls,
    TlsRefused,
    WasReset,
)

EHLO = b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
PLAIN = b"250-mx.example\r\n250 HELP\r\n"


def envelope(*names: str, **more: object) -> Envelope:
    return Envelope("me@a.example", tuple(ClientRecipient(f"{n}@b.example") for n in names), **more)  # type: ignore[arg-type]


def ready(ehlo: bytes = EHLO, **options: object) -> Client:
    client = Client(ClientOptions("me.example", **options))  # type: ignore[arg-type]
    client.receive(b"220 mx.example ESMTP\r\n")
    client.outgoing()
    (event,) = client.receive(ehlo)
    assert isinstance(event, Ready)
    return client


def answers(events: list[Event]) -> list[tuple[int, int, Stage]]:
    return [(e.index, e.reply.code, e.stage) for e in events if isinstance(e, Answered)]


def test_handshake() -> None:
    client = Client(ClientOptions("me.example"))
    assert client.stage is Stage.GREETING and client.outgoing() == b""
    assert client.receive(b"220-hi\r\n220 mx\r\n") == []
    assert client.outgoing() == b"EHLO me.example\r\n" and client.stage is Stage.EHLO
    (event,) = client.receive(EHLO)
    assert event == Ready({"PIPELINING": "", "SIZE": "1000", "8BITMIME": "", "SMTPUTF8": ""}, "mx.example")
    assert client.idle and client.stage is Stage.IDLE


def test_helo_when_ehlo_is_unknown() -> None:
    client = Client(ClientOptions("me.example"))
    client.receive(b"220 x\r\n")
    assert client.receive(b"502 what\r\n") == []
    assert client.outgoing() == b"EHLO me.example\r\nHELO me.example\r\n"
    assert client.receive(b"250 mx\r\n") == [Ready({}, "mx")]


@pytest.mark.parametrize(("greeting", "code"), [(b"554 no\r\n", 554), (b"421 busy\r\n", 421), (b"450 x\r\n", 450)])
def test_greeting_that_refuses(greeting: bytes, code: int) -> None:
    client = Client(ClientOptions("me.example"))
    refused, lost = client.receive(greeting)
    assert isinstance(refused, RefusedSession) and refused.reply.code == code and isinstance(lost, Lost)
    assert client.over and client.outgoing() == b""


def test_helo_refused() -> None:
    client = Client(ClientOptions("me.example"))
    client.receive(b"220 x\r\n500 a\r\n")
    refused = client.receive(b"550 no helo\r\n")[0]
    assert isinstance(refused, RefusedSession) and refused.stage is Stage.HELO


def test_pipelined_transaction() -> None:
    client = ready()
    client.begin(envelope("x", "y", size=77, body="8BITMIME", smtputf8=True))
    assert client.outgoing() == (
        b"MAIL FROM:<me@a.example> SIZE=77 BODY=8BITMIME SMTPUTF8\r\n"
        b"RCPT TO:<x@b.example>\r\nRCPT TO:<y@b.example>\r\nDATA\r\n"
    )
    assert client.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n") == [SendContent()]
    assert client.stage is Stage.BODY
    client.content(b"one\r\n", last=False)
    client.content(b"two\r\n")
    assert client.outgoing() == b"one\r\ntwo\r\n.\r\n" and client.stage is Stage.DOT
    events = client.receive(b"250 2.0.0 queued\r\n")
    assert answers(events) == [(0, 250, Stage.DOT), (1, 250, Stage.DOT)] and events[-1] == Done()
    assert client.idle


def test_without_pipelining_one_command_at_a_time() -> None:
    client = ready(PLAIN)
    client.begin(envelope("x", "y", size=5, body="8BITMIME"))
    said = []
    for reply in (b"250 a\r\n", b"250 b\r\n", b"550 c\r\n", b"354 d\r\n"):
        said.append(client.outgoing())
        events = client.receive(reply)
    assert said == [
        b"MAIL FROM:<me@a.example>\r\n",
        b"RCPT TO:<x@b.example>\r\n",
        b"RCPT TO:<y@b.example>\r\n",
        b"DATA\r\n",
    ]
    assert events == [SendContent()]


def test_without_pipelining_data_is_not_sent_when_nobody_is_left() -> None:
    client = ready(PLAIN)
    client.begin(envelope("x"))
    client.receive(b"250 a\r\n")
    events = client.receive(b"550 b\r\n")
    assert answers(events) == [(0, 550, Stage.RCPT)] and events[-1] == Done()
    assert b"DATA" not in client.outgoing() and client.idle


def test_without_pipelining_mail_refused_ends_it() -> None:
    client = ready(PLAIN)
    client.begin(envelope("x", "y"))
    events = client.receive(b"451 4.7.1 later\r\n")
    assert answers(events) == [(0, 451, Stage.MAIL), (1, 451, Stage.MAIL)] and events[-1] == Done() and client.idle


def test_pipelined_mail_refused_keeps_count_of_the_other_replies() -> None:
    client = ready()
    client.begin(envelope("x", "y"))
    events = client.receive(b"550 no\r\n503 a\r\n503 b\r\n503 c\r\n")
    assert answers(events) == [(0, 550, Stage.MAIL), (1, 550, Stage.MAIL)]
    assert events[-1] == Done() and client.idle


def test_data_accepted_although_no_recipient_was_sends_an_empty_message() -> None:
    client = ready()
    client.begin(envelope("x"))
    client.outgoing()
    events = client.receive(b"250 a\r\n550 b\r\n354 go on\r\n")
    assert answers(events) == [(0, 550, Stage.RCPT)] and SendContent() not in events
    assert client.outgoing() == b".\r\n"
    assert client.receive(b"554 no valid recipients\r\n") == [Done()] and client.idle


def test_data_refused_answers_those_who_were_accepted() -> None:
    client = ready()
    client.begin(envelope("x", "y"))
    events = client.receive(b"250 a\r\n550 b\r\n250 c\r\n451 d\r\n")
    assert answers(events) == [(0, 550, Stage.RCPT), (1, 451, Stage.DATA)] and events[-1] == Done()


def test_lmtp_answers_each_recipient() -> None:
    client = ready(lmtp=True)
    client.begin(envelope("x", "y", "z"))
    client.receive(b"250 a\r\n250 b\r\n550 c\r\n250 d\r\n354 go\r\n")
    client.content(b"m\r\n")
    assert answers(client.receive(b"250 x ok\r\n")) == [(0, 250, Stage.DOT)]
    events = client.receive(b"452 z full\r\n")
    assert answers(events) == [(2, 452, Stage.DOT)] and events[-1] == Done()


def test_lmtp_says_lhlo() -> None:
    client = Client(ClientOptions("me.example", lmtp=True))
    client.receive(b"220 x\r\n")
    assert client.outgoing() == b"LHLO me.example\r\n"
    assert isinstance(client.receive(b"500 no\r\n")[0], RefusedSession)


def test_421_in_the_middle_leaves_the_rest_unanswered() -> None:
    client = ready()
    client.begin(envelope("x", "y", "z"))
    events = client.receive(b"250 a\r\n250 b\r\n421 closing\r\n250 ignored\r\n")
    assert answers(events) == [(1, 421, Stage.RCPT)]
    assert isinstance(events[-1], Lost) and client.unanswered == {0, 2} and client.over


@pytest.mark.parametrize(
    ("so_far", "stage"),
    [
        (b"", Stage.MAIL),
        (b"250 a\r\n", Stage.RCPT),
        (b"250 a\r\n250 b\r\n", Stage.DATA),
        (b"250 a\r\n250 b\r\n354 c\r\n", Stage.BODY),
    ],
)
def test_end_of_input_names_the_stage(so_far: bytes, stage: Stage) -> None:
    client = ready()
    client.begin(envelope("x"))
    if so_far:
        client.receive(so_far)
    assert client.receive(b"") == [Lost(stage)] and client.unanswered == {0}


def test_end_of_input_after_the_dot() -> None:
    client = ready()
    client.begin(envelope("x"))
    client.receive(b"250 a\r\n250 b\r\n354 c\r\n")
    client.content(b"m\r\n")
    assert client.receive(b"") == [Lost(Stage.DOT)] and client.unanswered == {0}


def test_garbage_ends_the_session_and_settles_nobody() -> None:
    client = ready()
    client.begin(envelope("x"))
    (lost,) = client.receive(b"hello there\r\n")
    assert isinstance(lost, Lost) and "hello there" in lost.broken and client.unanswered == {0}


def test_2xx_to_data_settles_nobody() -> None:
    client = ready()
    client.begin(envelope("x"))
    events = client.receive(b"250 a\r\n250 b\r\n250 what\r\n")
    assert answers(events) == [] and isinstance(events[-1], Lost)


def test_starttls_forgets_what_was_learnt_in_the_clear() -> None:
    client = ready(b"250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
    client.start_tls()
    assert client.outgoing() == b"STARTTLS\r\n"
    assert client.receive(b"220 go\r\n") == [StartTls()] and not client.clear_pending()
    client.secured()
    assert client.capabilities == {} and client.outgoing() == b"EHLO me.example\r\n"


def test_bytes_injected_after_starttls_are_seen() -> None:
    client = ready(b"250-mx\r\n250 STARTTLS\r\n")
    client.start_tls()
    client.receive(b"220 go\r\n250-inj")
    assert client.clear_pending()
    other = ready(b"250-mx\r\n250 STARTTLS\r\n")
    other.start_tls()
    assert isinstance(other.receive(b"220 go\r\n250 injected\r\n")[-1], Lost)


def test_starttls_refused_goes_on() -> None:
    client = ready(b"250-mx\r\n250 STARTTLS\r\n")
    client.start_tls()
    assert isinstance(client.receive(b"454 not now\r\n")[0], TlsRefused) and client.idle


def test_auth() -> None:
    client = ready(b"250-mx\r\n250-AUTH=LOGIN PLAIN\r\n250 AUTH PLAIN\r\n")
    assert client.capabilities["AUTH"] == "LOGIN PLAIN"
    client.authenticate("PLAIN", b"\0u\0p")
    assert client.outgoing() == b"AUTH PLAIN AHUAcA==\r\n"
    assert client.receive(b"334 Zm9v\r\n") == [Challenged(b"foo")]
    client.respond(b"bar")
    assert client.outgoing() == b"YmFy\r\n"
    assert isinstance(client.receive(b"235 2.7.0 ok\r\n")[0], Authenticated)
    client.authenticate("EXTERNAL", b"")
    assert client.outgoing() == b"AUTH EXTERNAL =\r\n"
    client.receive(b"334 \r\n")
    client.respond(None)
    assert client.outgoing() == b"*\r\n"
    assert isinstance(client.receive(b"501 cancelled\r\n")[0], AuthRefused) and client.idle


def test_an_initial_response_too_long_for_a_command_waits_for_the_empty_challenge() -> None:
    client = ready(b"250-mx\r\n250 AUTH GSSAPI\r\n")
    ticket = bytes(range(256)) * 3
    client.authenticate("GSSAPI", ticket)
    assert client.outgoing() == b"AUTH GSSAPI\r\n"
    assert client.receive(b"334 \r\n") == []
    assert client.outgoing() == base64.b64encode(ticket) + b"\r\n"
    assert client.receive(b"334 Zm9v\r\n") == [Challenged(b"foo")], "only once"
    client.respond(b"")
    client.outgoing()
    client.receive(b"235 ok\r\n")
    client.authenticate("PLAIN", b"x" * ((512 - len("AUTH PLAIN \r\n")) // 4 * 3))
    assert client.outgoing().startswith(b"AUTH PLAIN eHh4"), "this one fits"


def test_a_late_response_is_forgotten_when_the_server_refuses_the_mechanism() -> None:
    client = ready(b"250-mx\r\n250 AUTH GSSAPI\r\n")
    client.authenticate("GSSAPI", b"x" * 1000)
    client.outgoing()
    assert isinstance(client.receive(b"504 no\r\n")[0], AuthRefused)
    client.authenticate("PLAIN", b"\0u\0p")
    client.outgoing()
    assert client.receive(b"334 \r\n") == [Challenged(b"")] and client.outgoing() == b""


def test_challenge_that_is_not_base64_ends_the_session() -> None:
    client = ready(b"250-mx\r\n250 AUTH LOGIN\r\n")
    client.authenticate("LOGIN", None)
    assert isinstance(client.receive(b"334 not base64!\r\n")[0], Lost)


def test_rset_and_quit() -> None:
    client = ready()
    client.reset()
    assert client.receive(b"250 ok\r\n") == [WasReset(True)] and client.idle
    client.quit()
    assert client.outgoing() == b"RSET\r\nQUIT\r\n"
    assert isinstance(client.receive(b"221 bye\r\n")[0], Lost) and client.over


def test_unasked_reply_ends_an_idle_session() -> None:
    (lost,) = ready().receive(b"421 idle too long\r\n")
    assert isinstance(lost, Lost) and lost.stage is Stage.IDLE


def test_discarded_keywords_are_not_used() -> None:
    client = ready(discard=frozenset({"PIPELINING", "SIZE"}))
    client.begin(envelope("x", size=9))
    assert client.outgoing() == b"MAIL FROM:<me@a.example>\r\n"


def test_dsn_parameters_only_when_offered() -> None:
    who = Envelope("me@a", (ClientRecipient("x@b", "NEVER", "rfc822;x@b"),), ret="HDRS", envid="id")
    client = ready(b"250-mx\r\n250-PIPELINING\r\n250 DSN\r\n")
    client.begin(who)
    assert client.outgoing().split(b"\r\n")[:2] == [
        b"MAIL FROM:<me@a> RET=HDRS ENVID=id",
        b"RCPT TO:<x@b> NOTIFY=NEVER ORCPT=rfc822;x@b",
    ]
    client = ready()
    client.begin(who)
    assert client.outgoing().split(b"\r\n")[:2] == [b"MAIL FROM:<me@a>", b"RCPT TO:<x@b>"]


@pytest.mark.parametrize("bad", ["x\r\nDATA", "x\ny", "x\0"])
def test_addresses_cannot_smuggle_commands(bad: str) -> None:
    with pytest.raises(ValueError, match="control"):
        ready().begin(Envelope("me@a", (ClientRecipient(bad),)))


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_any_bytes_end_in_an_answer_or_nothing_never_in_an_exception(chunks: list[bytes]) -> None:
    client = ready()
    client.begin(envelope("x", "y"))
    answered: set[int] = set()
    for chunk in [*chunks, b""]:
        for event in client.receive(chunk):
            if isinstance(event, Answered):
                assert event.index not in answered
                answered.add(event.index)
            elif isinstance(event, SendContent):
                client.content(b"m\r\n")
    assert answered | client.unanswered == {0, 1}


REPLIES = st.sampled_from(
    [b"250 a\r\n", b"354 b\r\n", b"450 c\r\n", b"550 d\r\n", b"421 e\r\n", b"503 f\r\n", b"250-g\r\n250 h\r\n"]
)


@given(st.lists(REPLIES, max_size=12), st.booleans(), st.booleans())
def test_every_recipient_is_answered_once_or_stays_open(replies: list[bytes], lmtp: bool, pipelining: bool) -> None:
    client = ready(EHLO if pipelining else PLAIN, lmtp=lmtp)
    client.begin(envelope("x", "y", "z"))
    answered: list[int] = []
    done = False
    for raw in replies:
        if done:
            break
        for event in client.receive(raw):
            if isinstance(event, Answered):
                answered.append(event.index)
            elif isinstance(event, SendContent):
                client.content(b"m\r\n")
            elif isinstance(event, Done):
                done = True
    assert len(answered) == len(set(answered))
    assert set(answered) | client.unanswered == {0, 1, 2}
    assert not (done and client.unanswered)
