"""Any bytes in any order: a mechanism never raises, never logs anybody in, and ends."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.mechanisms import BINDINGS, answer, client_context, login, server_context
from tayori.sasl.mechanisms import MECHANISMS, Nonces
from tayori.sasl.prep import PrepError, saslprep
from tayori.sasl.secrets import parse
from tayori.sasl.steps import Challenge, CheckPassword, Failure, SaslError, Success

NAMES = [name for name in MECHANISMS if name != "GSSAPI"]
PASSWORDS = [name for name, row in MECHANISMS.items() if row.needs in ("password", "secrets")]
USERS = {"taro": "himitsu-no-kotoba"}

PIECES = st.sampled_from(
    [
        b"\x00",
        b"taro",
        b"n,,",
        b"y,,",
        b"p=tls-exporter,,",
        b"n=taro",
        b",r=",
        b"c=biws",
        b",p=",
        b"AAAA",
        b"=",
        b"\x01",
        b"auth=Bearer x",
        b"user=taro",
        b'username="taro"',
        b'nonce="',
        b'"',
        b"nc=00000001",
        b"\xff",
        b"\xe3\x81",
        b" ",
        b'cnonce="a",',
        b'digest-uri="smtp/x",',
        b"response=" + b"0" * 32,
        b",",
        b"charset=utf-8,",
        b"0" * 32,
    ]
)
BLOB = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=14).map(b"".join))
EVENTS = st.lists(BLOB, min_size=1, max_size=5)


@pytest.mark.parametrize("mechanism", NAMES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(initial=st.one_of(st.none(), BLOB), events=EVENTS)
def test_any_bytes_never_raise_and_never_log_in(mechanism: str, initial: bytes | None, events: list[bytes]) -> None:
    context = server_context(channel_bindings=BINDINGS, nonces=Nonces(), plain_store=False)
    server = MECHANISMS[mechanism].server(context)
    step = server.next(initial)
    for event in events:
        while not isinstance(step, (Challenge, Success, Failure)):
            assert not isinstance(step, CheckPassword) or step.password != USERS["taro"]
            step = server.next(answer(step, USERS))
        assert not isinstance(step, Success)
        if isinstance(step, Failure):
            assert isinstance(server.next(event), Failure)
            return
        step = server.next(event)


@pytest.mark.parametrize("mechanism", NAMES)
@settings(max_examples=40, deadline=None)
@given(events=EVENTS)
def test_a_client_answers_any_server_with_bytes_or_sasl_error(mechanism: str, events: list[bytes]) -> None:
    row = MECHANISMS[mechanism]
    client = row.client(client_context(channel_bindings=BINDINGS, token="abc"))
    try:
        client.next(None)
        for event in events:
            client.next(event)
    except SaslError:
        assert not client.complete or not row.traits.mutual_auth
    if row.traits.mutual_auth:
        assert not client.complete


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn", "Co")), min_size=1, max_size=20)


@pytest.mark.parametrize("mechanism", PASSWORDS)
@settings(max_examples=15, deadline=None)
@given(user=TEXT.filter(lambda text: text.strip() == text), password=TEXT, wrong=TEXT)
def test_any_name_and_password_round_trip(mechanism: str, user: str, password: str, wrong: str) -> None:
    row = MECHANISMS[mechanism]
    known = user
    if mechanism.startswith("SCRAM"):
        try:
            known = saslprep(user, query=True).strip(" ")  # U+00B4 and others become a blank and a mark
        except PrepError:
            known = ""
    client = row.client(client_context(user, password, channel_bindings=BINDINGS))
    server = row.server(server_context(channel_bindings=BINDINGS))
    if not known:
        with pytest.raises(SaslError):
            client.next(None)
        return
    assert login(server, client, {known: password}) == Success(known)
    if _prepared(wrong) != _prepared(password):
        client = row.client(client_context(user, wrong, channel_bindings=BINDINGS))
        server = row.server(server_context(channel_bindings=BINDINGS))
        assert isinstance(login(server, client, {known: password}), Failure)


def _prepared(password: str) -> str:
    try:
        return saslprep(password, query=True)
    except PrepError:
        return password


@given(text=st.text(max_size=80))
def test_parsing_keys_never_raises(text: str) -> None:
    assert parse(text) is None or "SCRAM" in text.upper()
    parse(f"{{SCRAM-SHA-256}}{text}")


@given(text=st.text(max_size=30))
def test_saslprep_of_any_text_gives_text_or_prep_error(text: str) -> None:
    try:
        prepared = saslprep(text)
    except PrepError:
        return
    assert "\u00ad" not in prepared
    assert all(c.isprintable() for c in prepared)
