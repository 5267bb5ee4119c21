"""tayori's SMTP client logs in at a real Postfix (Cyrus SASL), a real Dovecot submission server, gsasl, and tayori."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.sasl import backends, matrix, relays
from interop.sasl.gsasl_server import gsasl_server
from interop.sasl.peers import PASSWORD
from interop.sasl.relays import HOST, Means
from support.server import Server
from support.sink import Sink
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.smtp import Recipient, SmtpAgent
from tayori.net.dns import Resolver
from tayori.programs.daemons.logins import RelayLogins
from tayori.programs.daemons.names import DnsNames
from tayori.tables.registry import Tables


def deliver(
    port: int,
    folder: Path,
    mechanism: str,
    password: str = PASSWORD,
    token: str = "",
    lmtp: bool = False,
    **more: str,
) -> str:
    """The login of a delivery by one mechanism; "" when it went well, else the reason. `more`: smtp_ parameters."""
    credentials = {"smtp_sasl_password_maps": f"static:taro:{password}"}
    if mechanism in matrix.TOKENS:
        (folder / "token").write_text(token + "\n")
        credentials = {"tayori_smtp_sasl_token_maps": f"static:taro@{HOST}:file:{folder}/token"}
    values = {
        "smtp_tls_security_level": "encrypt",
        "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_security_options": "noanonymous",
        "smtp_sasl_tls_security_options": "noanonymous",
        "smtp_sasl_mechanism_filter": mechanism,
        **credentials,
        **more,
    }
    if lmtp:
        values = {"lmtp_" + name[5:] if name.startswith("smtp_") else name: value for name, value in values.items()}
    base = {"myhostname": "me.example", "inet_protocols": "ipv4", "smtp_host_lookup": "native"}  # for localhost
    settings = Settings.of({**base, **values})

    async def run() -> DeliveryOutcome:
        logins = RelayLogins.of(settings, Tables(settings), "lmtp" if lmtp else "smtp")
        agent = SmtpAgent(settings, DnsNames(settings, Resolver()), lmtp=lmtp, logins=logins)
        try:
            to = (Recipient(1, "taro" if lmtp else "taro@example.com"),)
            return (await agent.deliver(f"[localhost]:{port}", "me@example.com", b"Subject: x\n\nb\n", to))[1]
        finally:
            agent.close()
            await asyncio.sleep(0.01)

    got = asyncio.run(run())
    if isinstance(got, Delivered) or (isinstance(got, BouncedDelivery) and "in reply to RCPT TO" in got.text):
        return ""  # lmtpd has no mailbox, but says so only to those who have logged in
    assert isinstance(got, DeferredDelivery) and got.enhanced.startswith("4."), got
    return got.text


def offered(port: int) -> list[str]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        client.starttls(context=context)
        client.ehlo()
        return client.esmtp_features["auth"].split()


# What is said to a wrong secret where it is not 535 5.7.8.
NO = {
    ("tayori", "EXTERNAL"): "no mechanism available",
    ("cyrus", "EXTERNAL"): "Cannot start TLS",
    ("cyrus", ""): "501 5.5.4",
}


def secret_of(mechanism: str, given: Means, right: bool) -> dict[str, str]:
    """The settings by which a delivery has, or has not, what the server wants of this mechanism."""
    if mechanism == "EXTERNAL":
        file = str(given.keys.client if right else given.keys.lone)
        # the server makes a name of the certificate
        return {"smtp_sasl_password_maps": "static::", "smtp_tls_cert_file": file, "smtp_tls_key_file": file}
    return {"smtp_sasl_password_maps": "static:taro:"} if mechanism == "GSSAPI" else {}


def all_of(server: str, port: int, given: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each mechanism first with a wrong secret, then with the right one."""
    names = matrix.reached(server)
    tls: dict[str, Any] = {"smtp_tls_security_level": "none"} if server == "gsasl" else {"lmtp": server == "cyrus"}
    failed = []
    for name in names:
        for right in (False, True):
            for variable, value in given.environment(right).items():
                monkeypatch.setenv(variable, value)
            password, token = (PASSWORD, given.tokens.token) if right else ("wrong", "wrong")
            why = deliver(port, given.folder, name, password, token, **secret_of(name, given, right), **tls)
            no = NO.get((server, name)) or NO.get((server, "")) or "535 5.7.8"
            if (why != "") if right else (no not in why):
                failed.append((name, right, why))
    assert not failed
    assert "no mechanism available" in deliver(port, given.folder, "ANONYMOUS", **tls)


@pytest.fixture
def given() -> Iterator[Means]:
    with relays.means() as made:
        yield made


@pytest.mark.root
@pytest.mark.peer
def test_a_real_postfix(given: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    with relays.postfix(given) as port:
        assert set(offered(port)) == set(matrix.reached("postfix"))
        all_of("postfix", port, given, monkeypatch)


@pytest.mark.root
@pytest.mark.peer
def test_a_real_dovecot_submission_server(given: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sink() as sink, relays.dovecot(given, sink.port) as port:
        assert set(offered(port)) == set(matrix.reached("dovecot"))
        all_of("dovecot", port, given, monkeypatch)
        assert len(sink.messages) == len(matrix.reached("dovecot"))


@pytest.mark.root
@pytest.mark.peer
def test_cyrus_lmtpd(given: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    """By LMTP, whose service is "lmtp"; and a server of another maker that binds channels."""
    given.kdc.keytab("lmtp/localhost")
    given.false.keytab("lmtp/localhost")
    with relays.cyrus(given) as port:
        assert "in reply to MAIL FROM" in deliver(port, given.folder, "PLAIN", lmtp=True, smtp_sasl_auth_enable="no")
        all_of("cyrus", port, given, monkeypatch)


@pytest.mark.peer
def test_gsasl_as_server(given: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    with gsasl_server(matrix.reached("gsasl"), "taro", PASSWORD, "localhost", given.kdc.env) as port:
        all_of("gsasl", port, given, monkeypatch)


@pytest.mark.peer
def test_tayori_itself(given: Means, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the mechanisms that no other program has, and channel binding by tls-exporter."""
    backends.folder_of(tmp_path)
    (tmp_path / "users").write_text(f"taro:{{PLAIN}}{PASSWORD}\n")
    names = " ".join(matrix.reached("tayori")).lower()
    conf = given.tokens.conf.replace("oauth\n", "passwd-file oauth\n", 1)
    conf += f"passwd_file: {tmp_path}/users\nmech_list: {names}\nkeytab: {given.kdc.keytab_path}\n"
    main = {
        "myhostname": "localhost",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_local_domain": HOST,
        "smtpd_tls_security_level": "may",
        "smtpd_tls_chain_files": str(given.keys.server),
        "smtpd_tls_CAfile": str(given.keys.authority),
        "smtpd_tls_ask_ccert": "yes",
        "tayori_sasl_external_names": "email",
    }
    with Server(tmp_path, main, files={"sasl/smtpd.conf": conf}, env=given.kdc.env) as server:
        all_of("tayori", server.port, given, monkeypatch)
        log = server.log()
    assert "login method=SCRAM-SHA-512-PLUS user=taro@mail.example.com" in log
    assert "login method=EXTERNAL user=taro@example.com" in log
    assert "login method=GSSAPI user=taro@mail.example.com" in log
