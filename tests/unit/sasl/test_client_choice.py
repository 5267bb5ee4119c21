"""Which mechanism the client takes, and whose password, by Postfix's rules."""

from __future__ import annotations

import asyncio
import time

import pytest

from support.mechanisms import BINDINGS, client_context
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.sasl import client
from tayori.sasl.client import ClientLogin, Login, PasswordMaps
from tayori.sasl.steps import SaslError
from tayori.tables.outcome import TempFail
from tayori.tables.registry import Tables

ALL = "GSSAPI EXTERNAL PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS XOAUTH2 ANONYMOUS"


def rules(**values: str) -> ClientLogin:
    settings = Settings.of(values)
    return ClientLogin(settings, Tables(settings))


def chosen(login: ClientLogin, offered: str, tls: bool = False, verified: bool = False, **context: object) -> str:
    found = login.choose(offered.split(), login.options(tls, verified), client_context(**context))  # type: ignore[arg-type]
    return found[0] if found else ""


def test_default_options_refuse_plain_text_and_take_the_strongest() -> None:
    assert chosen(rules(), "PLAIN LOGIN") == ""
    assert chosen(rules(), "PLAIN LOGIN CRAM-MD5") == "CRAM-MD5"
    assert chosen(rules(), ALL) == "SCRAM-SHA-256"
    assert chosen(rules(), ALL, channel_bindings=BINDINGS) == "SCRAM-SHA-256-PLUS"
    assert chosen(rules(), "plain scram-sha-1") == "SCRAM-SHA-1"
    assert chosen(rules(), "NTLM OTP") == ""


def test_options_by_tls_state() -> None:
    login = rules(smtp_sasl_tls_security_options="noanonymous", smtp_sasl_tls_verified_security_options="mutual_auth")
    assert chosen(login, "PLAIN") == ""
    assert chosen(login, "PLAIN LOGIN", tls=True) == "PLAIN"
    assert chosen(login, "PLAIN LOGIN", tls=True, verified=True) == ""
    assert chosen(login, "PLAIN DIGEST-MD5", tls=True, verified=True) == "DIGEST-MD5"
    assert chosen(login, "PLAIN", verified=True) == "", "verified means nothing without TLS"
    assert chosen(rules(smtp_sasl_security_options="noplaintext, nodictionary"), ALL) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, login", "PLAIN"),
        ("login", "LOGIN"),
        ("!scram-sha-256, !scram-sha-1, static:rest", "DIGEST-MD5"),
        ("!plain", ""),
        ("", "SCRAM-SHA-256"),
    ],
)
def test_mechanism_filter(text: str, expected: str) -> None:
    login = rules(smtp_sasl_mechanism_filter=text, smtp_sasl_security_options="noanonymous")
    assert chosen(login, ALL) == expected


def test_a_token_beats_nothing_and_password_mechanisms_need_a_password() -> None:
    login = rules(smtp_sasl_security_options="noanonymous")
    assert chosen(login, ALL, password="", token="abc") == "XOAUTH2"
    assert chosen(login, "PLAIN", password="") == ""
    assert chosen(login, "EXTERNAL PLAIN", password="", certificate=True) == "EXTERNAL"
    assert chosen(login, "EXTERNAL PLAIN", certificate=True) == "PLAIN"
    assert chosen(login, "EXTERNAL", password="") == ""


def test_a_ticket_or_certificate_before_a_password_only_where_the_filter_leaves_nothing_else() -> None:
    options = {"smtp_sasl_security_options": "noanonymous"}
    assert chosen(rules(**options), "GSSAPI") == "", "a password in the map is meant"
    assert chosen(rules(**options), "GSSAPI", password="") == "GSSAPI"
    filtered = rules(smtp_sasl_mechanism_filter="gssapi, external", **options)
    assert chosen(filtered, ALL) == "GSSAPI"
    assert chosen(filtered, ALL, certificate=True) == "EXTERNAL"
    assert chosen(rules(smtp_sasl_mechanism_filter="gssapi, plain", **options), ALL) == "PLAIN"
    assert chosen(rules(smtp_sasl_mechanism_filter="anonymous, oauthbearer", **options), ALL) == ""


def test_the_name_of_the_map_goes_along_with_a_certificate() -> None:
    for username, response in (("taro@example.com", b"taro@example.com"), ("", b"")):
        login = Login(rules(), client_context(username, password=""))
        assert login.choose(["EXTERNAL"], True) is None
        found = login.choose(["EXTERNAL"], True, certificate=True)
        assert found is not None and found[1].next(None) == response


def test_the_service_of_lmtp_is_lmtp() -> None:
    """It is part of DIGEST-MD5's digest-uri and of Kerberos' names; Cyrus's lmtpd refuses "smtp"."""
    for prefix in ("smtp", "lmtp"):
        settings = Settings.of({f"{prefix}_sasl_password_maps": "static:taro:pw"})
        login = asyncio.run(PasswordMaps(settings, Tables(settings), prefix).find("x", "x", ""))
        assert isinstance(login, Login) and login.context.service == prefix


def test_a_step_that_hangs_ends_and_does_not_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        complete, blocking, note = False, True, ""

        def next(self, challenge: bytes | None) -> bytes | None:
            time.sleep(0.5)
            return b"late"

    async def scenario() -> None:
        beats = 0
        work = asyncio.ensure_future(client.respond(Slow(), None))
        while not work.done():
            await asyncio.sleep(0.01)
            beats += 1
        assert beats > 5
        with pytest.raises(SaslError, match="no answer from the KDC"):
            work.result()

    monkeypatch.setattr(client, "BLOCKING_SECONDS", 0.2)
    asyncio.run(scenario())


def test_refusals_say_why() -> None:
    login = rules(smtp_sasl_mechanism_filter="!cram-md5, static:x")
    said = login.refusals(
        ["PLAIN", "CRAM-MD5", "NTLM", "XOAUTH2", "SCRAM-SHA-1"], login.options(False), client_context()
    )
    assert said == {
        "PLAIN": "not allowed by the security option noplaintext",
        "CRAM-MD5": "left out by smtp_sasl_mechanism_filter",
        "NTLM": "not known here",
        "XOAUTH2": "not allowed by the security option noplaintext",
    }


def test_no_y_flag_when_plus_was_offered_but_filtered() -> None:
    login = rules(smtp_sasl_mechanism_filter="scram-sha-256")
    context = client_context(channel_bindings=BINDINGS)
    found = login.choose(ALL.split(), login.options(True), context)
    assert found is not None
    assert (found[1].next(None) or b"").startswith(b"n,,")
    found = login.choose(["SCRAM-SHA-256"], login.options(True), context)
    assert found is not None
    assert (found[1].next(None) or b"").startswith(b"y,,")


def test_unknown_option_is_an_error_with_its_name() -> None:
    with pytest.raises(ConfigError, match="noplain "):
        rules(smtp_sasl_security_options="noplain")


def passwords(**values: str) -> PasswordMaps:
    settings = Settings.of(
        {
            "smtp_sasl_password_maps": "inline:{[mail.example.jp]:587=taro:hi:mitsu, mx.example.jp=hanako:x,"
            " a@example.org=sender:s, @example.net=domain:d}",
            **values,
        }
    )
    return PasswordMaps(settings, Tables(settings))


@pytest.mark.parametrize(
    ("nexthop", "host", "sender", "by_sender", "user"),
    [
        ("[mail.example.jp]:587", "mail.example.jp", "a@example.org", "no", "taro"),
        ("[mail.example.jp]:587", "mail.example.jp", "a@example.org", "yes", "sender"),
        ("[mail.example.jp]:587", "mail.example.jp", "a+x@example.org", "yes", "sender"),
        ("[mail.example.jp]:587", "mail.example.jp", "b@example.net", "yes", "domain"),
        ("example.jp", "mx.example.jp", "", "yes", "hanako"),
        ("other.example", "mx.other.example", "b@example.com", "yes", ""),
    ],
)
def test_password_maps(nexthop: str, host: str, sender: str, by_sender: str, user: str) -> None:
    maps = passwords(smtp_sender_dependent_authentication=by_sender, recipient_delimiter="+")
    login = asyncio.run(maps.find(nexthop, host, sender))
    if not user:
        assert login is None
        return
    assert isinstance(login, Login)
    assert login.context.username == user
    assert "mitsu" not in repr(login)
    if user == "taro":
        assert login.context.password == "hi:mitsu", "only the first colon parts name and password"
        assert login.choose(["SCRAM-SHA-256", "PLAIN"], tls=True) is not None
        assert login.refusals(["PLAIN"], tls=False) != {}


def test_password_table_that_fails_is_no_missing_password() -> None:
    maps = passwords(smtp_sasl_password_maps="fail:down")
    assert isinstance(asyncio.run(maps.find("x", "y", "")), TempFail)
