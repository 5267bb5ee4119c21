"""The example exchanges that the RFCs print, byte for byte, both sides."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tayori.sasl.mechanisms import MECHANISMS, ClientContext, ServerContext
from tayori.sasl.steps import Challenge, CheckPassword, CheckToken, FetchSecret, Secret, Success
from tayori.sasl.verifiers.base import Accepted


def server_context(random: bytes, **changes: Any) -> ServerContext:
    base: dict[str, Any] = {"realm": "", "hostname": "h", "clock": lambda: 0.0, "random": lambda n: random}
    return ServerContext(**{**base, **changes})


def client_context(username: str, password: str, random: bytes = b"", **changes: Any) -> ClientContext:
    return ClientContext(username, password, random=lambda n: random, clock=lambda: 0.0, **changes)


def test_rfc4616_plain() -> None:
    server = MECHANISMS["PLAIN"].server(server_context(b""))
    assert server.next(b"\0tim\0tanstaaftanstaaf") == CheckPassword("tim", "tanstaaftanstaaf")
    assert server.next(Accepted("tim")) == Success("tim")
    client = MECHANISMS["PLAIN"].client(client_context("tim", "tanstaaftanstaaf"))
    assert client.next(None) == b"\0tim\0tanstaaftanstaaf"


def test_rfc4616_plain_for_somebody_else_is_refused() -> None:
    step = MECHANISMS["PLAIN"].server(server_context(b"")).next(b"Ursel\0Kurt\0xipj3plmq")
    assert "Kurt may not act as Ursel" in str(step)


def test_login_prompts_as_cyrus_has_them() -> None:
    server = MECHANISMS["LOGIN"].server(server_context(b""))
    prompts = [server.next(None), server.next(b"tim")]
    assert [base64.b64encode(p.data) for p in prompts if isinstance(p, Challenge)] == [
        b"VXNlcm5hbWU6",
        b"UGFzc3dvcmQ6",
    ]


def test_rfc2195_cram_md5() -> None:
    server = MECHANISMS["CRAM-MD5"].server(
        server_context((1896).to_bytes(2, "big"), clock=lambda: 697170952.0, hostname="postoffice.reston.mci.net")
    )
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    assert server.next(None) == Challenge(challenge)
    client = MECHANISMS["CRAM-MD5"].client(client_context("tim", "tanstaaftanstaaf"))
    assert client.next(None) is None
    assert client.next(challenge) == b"tim b913a602c7eda7a495b4e6e7334d3890"
    asked = server.next(b"tim b913a602c7eda7a495b4e6e7334d3890")
    assert asked == FetchSecret("tim", ("userPassword",))
    assert server.next(Secret({"userPassword": b"tanstaaftanstaaf"})) == Success("tim")


RFC2831_RESPONSE = (
    b'charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,'
    b'cnonce="OA6MHXh6VqTrRk",digest-uri="imap/elwood.innosoft.com",'
    b"response=d388dad90d4bbd760a152321f2143af7,qop=auth"
)


def test_rfc2831_digest_md5_server() -> None:
    nonce = base64.b64decode("OA6MG9tEQGm2hh==")
    context = server_context(nonce, realm="elwood.innosoft.com", service="imap")
    server = MECHANISMS["DIGEST-MD5"].server(context)
    challenge = server.next(None)
    assert isinstance(challenge, Challenge)
    sent = base64.b64encode(nonce).decode()
    assert challenge.data == (
        f'realm="elwood.innosoft.com",nonce="{sent}",qop="auth",charset=utf-8,algorithm=md5-sess'.encode()
    )


def test_rfc2831_digest_md5_values() -> None:
    from tayori.sasl.mechanisms.digest_fields import read
    from tayori.sasl.mechanisms.digest_md5 import proof, user_hash

    fields = read(RFC2831_RESPONSE)
    secret = user_hash("chris", "elwood.innosoft.com", "secret")
    assert proof(secret, fields, "OA6MG9tEQGm2hh", "AUTHENTICATE") == "d388dad90d4bbd760a152321f2143af7"
    assert proof(secret, fields, "OA6MG9tEQGm2hh", "") == "ea40f60335c427b5527b84dbabcdfffd"


def test_rfc2831_digest_md5_client() -> None:
    client = MECHANISMS["DIGEST-MD5"].client(
        client_context("chris", "secret", b"\x38\x0e\x8c", host="elwood.innosoft.com", service="imap")
    )
    assert client.next(None) is None
    response = client.next(
        b'realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8'
    )
    assert response is not None
    assert b'username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001' in response


SCRAM = {
    "SCRAM-SHA-1": (
        "fyko+d2lbbFgONRv9qkxdawL",
        "3rfcNHYJY1ZVvWVs7j",
        "QSXCR+Q6sek8bf92",
        "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "SCRAM-SHA-256": (
        "rOprNGfwEbeRWgbNEkqO",
        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.mark.parametrize("mechanism", SCRAM)
def test_rfc5802_and_rfc7677_scram_client_proof(mechanism: str) -> None:
    """The client's nonce of the RFC is not base64 of whole bytes for SHA-1, so the proof is computed below it."""
    from tayori.sasl.mechanisms.scram import proves
    from tayori.sasl.secrets import derive, mac

    cnonce, snonce, salt, proof, signature = SCRAM[mechanism]
    hash_ = mechanism.removeprefix("SCRAM-")
    keys = derive(hash_, "pencil", base64.b64decode(salt), 4096)
    auth_message = f"n=user,r={cnonce},r={cnonce}{snonce},s={salt},i=4096,c=biws,r={cnonce}{snonce}".encode()
    assert proves(keys, auth_message, base64.b64decode(proof))
    assert not proves(keys, auth_message + b"x", base64.b64decode(proof))
    assert base64.b64encode(mac(hash_, keys.server, auth_message)).decode() == signature


@pytest.mark.parametrize("mechanism", SCRAM)
def test_rfc5802_and_rfc7677_scram_client(mechanism: str) -> None:
    cnonce, snonce, salt, proof, signature = SCRAM[mechanism]
    client = MECHANISMS[mechanism].client(client_context("user", "pencil", base64.b64decode(cnonce)))
    assert client.next(None) == f"n,,n=user,r={cnonce}".encode()
    assert client.next(f"r={cnonce}{snonce},s={salt},i=4096".encode()) == (
        f"c=biws,r={cnonce}{snonce},p={proof}".encode()
    )
    assert not client.complete
    assert client.next(f"v={signature}".encode()) == b""
    assert client.complete


def test_rfc7628_oauthbearer() -> None:
    message = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=587\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlz"
        b"dGEuY29tCg==\x01\x01"
    )
    server = MECHANISMS["OAUTHBEARER"].server(server_context(b""))
    token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    assert server.next(message) == CheckToken("user@example.com", token)
    client = MECHANISMS["OAUTHBEARER"].client(
        client_context("user@example.com", "", host="server.example.com", port=587, token=token)
    )
    assert client.next(None) == message


def test_xoauth2_of_google_and_microsoft() -> None:
    token = "vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg=="
    message = f"user=someuser@example.com\x01auth=Bearer {token}\x01\x01".encode()
    client = MECHANISMS["XOAUTH2"].client(client_context("someuser@example.com", "", token=token))
    assert client.next(None) == message
    server = MECHANISMS["XOAUTH2"].server(server_context(b""))
    assert server.next(message) == CheckToken("someuser@example.com", token)


def test_rfc4422_external() -> None:
    row = MECHANISMS["EXTERNAL"]
    assert row.server(server_context(b"", external="fred@example.com")).next(b"") == Success("fred@example.com")
    assert row.server(server_context(b"", external="fred@example.com")).next(b"fred@example.com") == Success(
        "fred@example.com"
    )
    assert "may not act" in str(row.server(server_context(b"", external="fred")).next(b"fredo"))
    assert "no client certificate" in str(row.server(server_context(b"")).next(b""))


def test_rfc4505_anonymous_is_refused_unless_asked_for() -> None:
    row = MECHANISMS["ANONYMOUS"]
    assert row.server(server_context(b"", anonymous=True)).next(b"sirhc") == Success("anonymous")
    assert "not asked for" in str(row.server(server_context(b"")).next(b"sirhc"))
