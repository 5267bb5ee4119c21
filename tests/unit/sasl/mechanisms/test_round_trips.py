"""Every mechanism's own client against its own server; wrong passwords, unknown users, other people's names."""

from __future__ import annotations

import pytest

from support.mechanisms import BINDINGS, client_context, login, server_context
from tayori.sasl.mechanisms import MECHANISMS, Nonces
from tayori.sasl.steps import Challenge, Failure, FetchSecret, SaslError, Secret, Success
from tayori.sasl.verifiers.base import Refused, TryLater

USERS = {"taro": "himitsu", "太郎": "ひみつ", "müller": "größe", "a,b=c": 'x"y\\z', "taro@example.jp": "p w"}
PASSWORDS = [name for name, row in MECHANISMS.items() if row.needs in ("password", "secrets")]
SERVER_PROVES = [name for name, row in MECHANISMS.items() if row.traits.mutual_auth and row.needs == "secrets"]


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_right_password_logs_in(mechanism: str, user: str, initial: bool) -> None:
    row = MECHANISMS[mechanism]
    server = row.server(server_context(channel_bindings=BINDINGS, offers_plus=row.plus))
    client = row.client(client_context(user, USERS[user], channel_bindings=BINDINGS if row.plus else {}))
    assert login(server, client, USERS, initial) == Success(user)


@pytest.mark.parametrize("plain_store", [True, False])
@pytest.mark.parametrize(("user", "password"), [("taro", "himitsU"), ("nobody", "himitsu")])
@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_wrong_password_and_unknown_user_do_not(mechanism: str, user: str, password: str, plain_store: bool) -> None:
    row = MECHANISMS[mechanism]
    server = row.server(server_context(channel_bindings=BINDINGS, plain_store=plain_store))
    client = row.client(client_context(user, password, channel_bindings=BINDINGS))
    result = login(server, client, USERS)
    assert isinstance(result, Failure)
    assert not result.temporary
    assert not result.malformed


@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_nobody_acts_as_another(mechanism: str) -> None:
    row = MECHANISMS[mechanism]
    if mechanism in ("LOGIN", "CRAM-MD5"):
        return  # these carry no authorisation identity
    server = row.server(server_context(channel_bindings=BINDINGS))
    client = row.client(client_context("taro", "himitsu", authzid="müller", channel_bindings=BINDINGS))
    assert login(server, client, USERS) == Failure("taro may not act as müller")
    server = row.server(server_context(channel_bindings=BINDINGS))
    client = row.client(client_context("taro", "himitsu", authzid="taro", channel_bindings=BINDINGS))
    assert login(server, client, USERS) == Success("taro")


@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_trouble_in_the_back_end_is_temporary(mechanism: str) -> None:
    row = MECHANISMS[mechanism]
    server = row.server(server_context(channel_bindings=BINDINGS))
    client = row.client(client_context(channel_bindings=BINDINGS))
    step = server.next(client.next(None))
    while isinstance(step, Challenge):
        step = server.next(client.next(step.data))
    result = server.next(TryLater("database is down"))
    assert result == Failure("database is down", temporary=True)
    assert server.next(b"") == Failure("the exchange is over")


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_tokens(mechanism: str) -> None:
    row = MECHANISMS[mechanism]
    for initial in (True, False):
        client = row.client(client_context(token="token-of-taro"))
        assert login(row.server(server_context()), client, USERS, initial) == Success("taro")
    server = row.server(server_context(oauth={"scope": "mail"}))
    client = row.client(client_context(token="token-of-nobody"))
    assert login(server, client, USERS) == Failure("bad token")
    assert '"scope":"mail"' in client.note
    assert not client.complete
    server = row.server(server_context())
    assert login(server, row.client(client_context("müller", token="token-of-taro")), USERS) == Failure("bad token")
    with pytest.raises(SaslError):
        row.client(client_context(token="a\x01b")).next(None)


def test_oauth_without_a_token_gets_the_json_first() -> None:
    server = MECHANISMS["OAUTHBEARER"].server(server_context())
    assert server.next(b"n,,\x01\x01") == Challenge(b'{"status":"invalid_request"}')
    assert server.next(b"\x01") == Failure("no bearer token")


@pytest.mark.parametrize("mechanism", SERVER_PROVES)
def test_client_refuses_a_server_that_cannot_prove_itself(mechanism: str) -> None:
    row = MECHANISMS[mechanism]
    server = row.server(server_context(channel_bindings=BINDINGS))
    client = row.client(client_context(channel_bindings=BINDINGS))
    step = server.next(client.next(None))
    final = b""
    while not isinstance(step, Success):
        if isinstance(step, Challenge):
            final = step.data
            if final.startswith((b"v=", b"rspauth=")):
                break
            step = server.next(client.next(final))
        else:
            assert isinstance(step, FetchSecret)
            step = server.next(Secret({"userPassword": b"himitsu"}))
    assert not client.complete, "a 235 at this point would be a server that proved nothing"
    forged = final[:-4] + (b"AAA=" if final.startswith(b"v=") else b"0000")
    with pytest.raises(SaslError, match="does not know the password"):
        client.next(forged)
    assert not client.complete


def test_scram_plus_falls_to_a_man_in_the_middle() -> None:
    """Another TLS session has another exporter value (RFC 5802 6)."""
    row = MECHANISMS["SCRAM-SHA-256-PLUS"]
    server = row.server(server_context(channel_bindings=BINDINGS))
    client = row.client(client_context(channel_bindings={"tls-exporter": b"M" * 32}))
    result = login(server, client, USERS)
    assert isinstance(result, Failure)
    assert "channel binding does not match" in result.why


@pytest.mark.parametrize(
    ("flag", "plus", "offers", "why"),
    [
        ("y", False, True, "may have removed it"),
        ("p=tls-exporter", False, True, ""),
        ("n", True, True, "-PLUS without channel binding"),
        ("y", True, True, "-PLUS without channel binding"),
        ("p=tls-unique", True, True, "tls-unique is not available"),
        ("y", False, False, ""),
        ("n", False, True, ""),
    ],
)
def test_scram_gs2_flags(flag: str, plus: bool, offers: bool, why: str) -> None:
    row = MECHANISMS["SCRAM-SHA-256" + "-PLUS" * plus]
    step = row.server(server_context(channel_bindings=BINDINGS, offers_plus=offers)).next(
        f"{flag},,n=taro,r=abc".encode()
    )
    if why:
        assert isinstance(step, Failure)
        assert why in step.why
    else:
        assert isinstance(step, FetchSecret)


def test_scram_client_says_y_only_when_no_plus_was_offered() -> None:
    row = MECHANISMS["SCRAM-SHA-256"]
    said = [
        row.client(client_context(channel_bindings=bindings, offers_plus=offers)).next(None)
        for bindings, offers in (({}, False), (BINDINGS, False), (BINDINGS, True))
    ]
    assert [text[:3] for text in said if text] == [b"n,,", b"y,,", b"n,,"]


def test_scram_unknown_user_looks_like_a_known_one() -> None:
    """The salt is the same each time, differs by name, and neither depends on whether there is an answer."""
    row = MECHANISMS["SCRAM-SHA-256"]

    def first(user: str, answer: object, key: bytes = b"k") -> bytes:
        server = row.server(server_context(server_key=key))
        server.next(f"n,,n={user},r=abc".encode())
        step = server.next(answer)
        assert isinstance(step, Challenge)
        return step.data

    unknown = first("jiro", Refused("unknown"))
    assert unknown == first("jiro", Refused("unknown"))
    assert unknown == first("jiro", Secret({"userPassword": b"x"}))
    assert unknown != first("saburo", Refused("unknown"))
    assert unknown != first("jiro", Refused("unknown"), b"other key")


def test_scram_stored_keys_log_in_and_are_preferred() -> None:
    from tayori.sasl.secrets import braces, derive, dollars

    keys = derive("SHA-256", "himitsu", b"0123456789abcdef", 5000)
    for values in (
        {"userPassword": braces(keys).encode()},
        {"authPassword": b"SCRAM-SHA-1$4096:AAAA$AAAA:AAAA\n" + dollars(keys).encode()},
        {"cmusaslsecretSCRAM-SHA-256": dollars(keys).encode(), "userPassword": b"another"},
    ):
        row = MECHANISMS["SCRAM-SHA-256"]
        server, client = row.server(server_context()), row.client(client_context())
        step = server.next(client.next(None))
        assert isinstance(step, FetchSecret)
        step = server.next(Secret(values, username="taro@example.jp"))
        assert isinstance(step, Challenge)
        assert b",i=5000" in step.data
        step = server.next(client.next(step.data))
        assert isinstance(step, Challenge)
        assert server.next(client.next(step.data)) == Success("taro@example.jp")


def test_scram_keys_of_another_hash_are_no_plain_password() -> None:
    from tayori.sasl.secrets import braces, derive

    text = braces(derive("SHA-1", "himitsu", b"0123456789abcdef"))
    row = MECHANISMS["SCRAM-SHA-256"]
    result = login(row.server(server_context()), row.client(client_context(password=text)), {"taro": text})
    assert isinstance(result, Failure)
    assert "no SCRAM-SHA-256 key" in result.why


@pytest.mark.parametrize("iterations", [0, 1, 4095, 2_000_001, 999_999_999])
def test_scram_client_refuses_few_and_endless_iterations(iterations: int) -> None:
    client = MECHANISMS["SCRAM-SHA-256"].client(client_context())
    first = client.next(None)
    assert first is not None
    nonce = first.partition(b"r=")[2].decode()
    with pytest.raises(SaslError, match=r"iterations|malformed"):
        client.next(f"r={nonce}xyz,s=QUJD,i={iterations}".encode())


def test_digest_md5_logs_in_again_with_the_next_count_only() -> None:
    """RFC 2831 2.2: the same nonce with nc=2; a replay of nc=2 gets stale=true."""
    from tayori.sasl.mechanisms.digest_fields import read
    from tayori.sasl.mechanisms.digest_md5 import proof, user_hash

    row = MECHANISMS["DIGEST-MD5"]
    context = server_context(nonces=Nonces(), realm="example.jp")
    server, client = row.server(context), row.client(client_context())
    client.next(None)
    challenge = server.next(None)
    assert isinstance(challenge, Challenge)
    first = client.next(challenge.data)
    assert first is not None
    assert isinstance(server.next(first), FetchSecret)
    assert isinstance(server.next(Secret({"userPassword": b"himitsu"})), Challenge)
    assert server.next(b"") == Success("taro")

    fields = read(first) | {"nc": "00000002"}
    response = proof(user_hash("taro", "example.jp", "himitsu"), fields, fields["nonce"], "AUTHENTICATE")
    text = first.replace(b"nc=00000001", b"nc=00000002").replace(fields["response"].encode(), response.encode())
    server = row.server(context)
    assert isinstance(server.next(text), FetchSecret)
    last = server.next(Secret({"userPassword": b"himitsu"}))
    assert isinstance(last, Challenge)
    assert last.data.startswith(b"rspauth=")
    assert server.next(b"") == Success("taro")

    replay = row.server(context).next(text)
    assert isinstance(replay, Challenge)
    assert b"stale=true" in replay.data
    without_memory = row.server(server_context(realm="example.jp")).next(text)
    assert isinstance(without_memory, Challenge)
    assert b"stale=true" in without_memory.data


def test_digest_md5_rules() -> None:
    row = MECHANISMS["DIGEST-MD5"]
    context = server_context(realm="example.jp example.org")
    client = row.client(client_context(realm="example.org"))
    client.next(None)
    challenge = row.server(context).next(None)
    assert isinstance(challenge, Challenge)
    assert challenge.data.startswith(b'realm="example.jp",realm="example.org",')
    good = client.next(challenge.data)
    assert good is not None
    assert b'realm="example.org"' in good
    for old, new, why in (
        (b"nc=00000001", b"nc=00000002", "replay"),
        (b'realm="example.org"', b'realm="example.net"', "realm"),
        (b'digest-uri="smtp/', b'digest-uri="imap/', "another service"),
        (b"qop=auth", b"qop=auth-int", "qop"),
        (b'nonce="', b'nonce="x', "nonce is not ours"),
        (b"nc=00000001,", b"", "nc is missing"),
        (b"nc=00000001", b'nc=00000001,username="x"', "twice"),
    ):
        server = row.server(context)
        server.next(None)
        step = server.next(good.replace(old, new, 1))
        assert isinstance(step, Failure)
        assert why in step.why


def test_nonces_are_bounded_and_age() -> None:
    nonces = Nonces(limit=3, lifetime=10)
    for number in range(5):
        nonces.remember(f"n{number}", "u", "r", 1, float(number))
    assert list(nonces.seen) == ["n2", "n3", "n4"]
    assert nonces.expects("n4", "u", "r", 14.0) == 2
    assert nonces.expects("n4", "u", "r", 14.1) == 0
    assert nonces.expects("n4", "other", "r", 5.0) == 0
    assert nonces.expects("n0", "u", "r", 5.0) == 0


def test_answers_to_another_question_are_refused() -> None:
    server = MECHANISMS["PLAIN"].server(server_context())
    assert isinstance(server.next(Secret({})), Failure)
    server = MECHANISMS["PLAIN"].server(server_context())
    server.next(b"\0taro\0x")
    assert server.next(b"himitsu") == Failure("an answer to another question", malformed=True)
    server = MECHANISMS["CRAM-MD5"].server(server_context())
    server.next(None)
    server.next(b"taro " + b"0" * 32)
    assert server.next(Secret({})) == Failure("no plain password is stored for taro, as CRAM-MD5 needs")


def test_secrets_stay_out_of_reprs() -> None:
    step = MECHANISMS["PLAIN"].server(server_context()).next(b"\0taro\0himitsu")
    shown = f"{step!r} {client_context(token='token-of-taro')!r} {Secret({'userPassword': b'himitsu'})!r}"
    assert "himitsu" not in shown
    assert "token-of" not in shown


@pytest.mark.parametrize("mechanism", [name for name in PASSWORDS if not name.endswith("-PLUS")])
def test_blanks_around_a_name_are_no_part_of_it(mechanism: str) -> None:
    """As Cyrus SASL 2.1.28: a telephone's keyboard puts one behind each word. Inside they count, and so in passwords."""
    row = MECHANISMS[mechanism]

    def outcome(user: str, password: str = "himitsu") -> object:
        return login(row.server(server_context()), row.client(client_context(user, password)), USERS)

    assert outcome("taro ") == outcome(" taro") == Success("taro")
    assert isinstance(outcome("ta ro"), Failure) and isinstance(outcome(" "), Failure)
    assert isinstance(outcome("taro", "himitsu "), Failure)


@pytest.mark.parametrize("initial", [b"x", b"garbage,", b'username="taro"', b"\xff"])
def test_digest_md5_answers_a_broken_initial_response_by_a_challenge(initial: bytes) -> None:
    """As Cyrus SASL 2.1.28; it is not stale, for there was no nonce."""
    step = MECHANISMS["DIGEST-MD5"].server(server_context(nonces=Nonces())).next(initial)
    assert isinstance(step, Challenge) and b"nonce=" in step.data and b"stale" not in step.data
