"""TLS and SASL towards a next hop."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.sink import Answer, Sink
from tayori.config.settings import Settings
from tayori.delivery.outcome import DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.smtp import SmtpAgent
from tayori.delivery.smtp_auth import LoginTrouble
from tayori.queue.model import Recipient
from tayori.sasl.steps import ClientMechanism
from tayori.tables.outcome import TempFail
from unit.delivery.test_mx import Zone


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "cert").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context


class Plain:
    complete = True
    note = ""
    blocking = False

    def next(self, challenge: bytes | None) -> bytes | None:
        return b"\0user\0secret"


class LoginMechanism:
    complete = True
    note = ""
    blocking = False

    def __init__(self) -> None:
        self._words = [b"user", b"secret"]

    def next(self, challenge: bytes | None) -> bytes | None:
        return None if challenge is None else self._words.pop(0)


@dataclass
class Login:
    mechanism: str

    def choose(
        self,
        offered: Sequence[str],
        tls: bool,
        verified: bool = False,
        channel_bindings: Mapping[str, bytes] | None = None,
        certificate: bool = False,
    ) -> tuple[str, ClientMechanism] | None:
        if self.mechanism not in offered:
            return None
        return self.mechanism, Plain() if self.mechanism == "PLAIN" else LoginMechanism()

    async def remembered(self) -> str:
        return ""

    async def refused(self, said: str = "") -> None:
        pass


@dataclass
class Logins:
    answer: Login | TempFail | Exception | None

    async def find(self, nexthop: str, host: str, sender: str) -> Login | TempFail | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def send(sink: Sink, logins: Logins | None = None, times: int = 1, **more: str) -> DeliveryOutcome:
    async def run() -> DeliveryOutcome:
        settings = Settings.of({"myhostname": "me.example", "smtp_helo_timeout": "2s", **more})
        agent = SmtpAgent(settings, Zone(), logins=logins)
        try:
            for _ in range(times):
                got = await agent.deliver(
                    f"[127.0.0.1]:{sink.port}", "me@a.example", b"Subject: x\n\nb\n", (Recipient(1, "u@b.example"),)
                )
            return got[1]
        finally:
            agent.close()
            await asyncio.sleep(0.01)

    return asyncio.run(run())


def test_level_may_uses_tls_when_offered(server_tls: ssl.SSLContext) -> None:
    with Sink(tls=server_tls) as sink:
        assert isinstance(send(sink, smtp_tls_security_level="may", times=2), Delivered)
        assert all(m.tls for m in sink.wait(2)) and sink.sessions == 1
        assert isinstance(send(sink, smtp_tls_security_level="none"), Delivered)
        assert not sink.messages[-1].tls
    with Sink() as sink:
        assert isinstance(send(sink, smtp_tls_security_level="may"), Delivered)


def test_old_parameters_set_the_level(server_tls: ssl.SSLContext) -> None:
    with Sink(tls=server_tls) as sink:
        send(sink, smtp_use_tls="yes")
        assert sink.wait(1)[0].tls


def test_level_encrypt(server_tls: ssl.SSLContext) -> None:
    with Sink(tls=server_tls) as sink:
        assert isinstance(send(sink, smtp_tls_security_level="encrypt"), Delivered)
        assert sink.wait(1)[0].tls


@pytest.mark.parametrize("answer", ["454 4.7.0 not now", "502 no"])
def test_starttls_refused(server_tls: ssl.SSLContext, answer: Answer) -> None:
    with Sink(tls=server_tls, answers={"STARTTLS": answer}) as sink:
        assert isinstance(send(sink, smtp_tls_security_level="may"), Delivered)
        got = send(sink, smtp_tls_security_level="encrypt")
        assert isinstance(got, DeferredDelivery) and got.enhanced == "4.7.4"
        assert [m.tls for m in sink.messages] == [False]


def test_handshake_that_fails_is_tried_again_in_the_clear_only_at_level_may(server_tls: ssl.SSLContext) -> None:
    # 220 and then no TLS: what the server says next is no TLS record
    with Sink(tls=server_tls, answers={"STARTTLS": "220 go\n220 junk"}) as sink:
        got = send(sink, smtp_tls_security_level="encrypt")
        assert isinstance(got, DeferredDelivery) and sink.messages == []


def test_injected_bytes_after_starttls_end_the_session(server_tls: ssl.SSLContext) -> None:
    def inject(line: str) -> str:
        return "220 go\n250 injected"

    with Sink(tls=server_tls, answers={"STARTTLS": inject}) as sink:
        assert isinstance(send(sink, smtp_tls_security_level="encrypt"), DeferredDelivery)
        assert sink.messages == []


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN"])
def test_login(name: str) -> None:
    with Sink(keywords=("PIPELINING", f"AUTH {name}")) as sink:
        assert isinstance(send(sink, Logins(Login(name)), times=2), Delivered)
        words = sink.wait(2)[1].login.split()
        assert sink.sessions == 1
    decoded = [base64.b64decode(word) for word in words]
    assert decoded == ([b"\0user\0secret"] if name == "PLAIN" else [b"user", b"secret"])


def test_login_that_fails_defers_or_bounces_as_set() -> None:
    with Sink(keywords=("AUTH PLAIN",), answers={"AUTH": "535 5.7.8 wrong"}) as sink:
        got = send(sink, Logins(Login("PLAIN")))
        assert isinstance(got, DeferredDelivery) and got.enhanced == "4.7.8"
        assert got.text == "SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8 wrong"
        assert send(sink, Logins(Login("PLAIN")), smtp_sasl_auth_soft_bounce="no").enhanced == "5.7.8"
        assert sink.messages == []


def test_no_common_mechanism_or_no_table_defers_and_no_entry_goes_on() -> None:
    with Sink(keywords=("AUTH CRAM-MD5",)) as sink:
        assert isinstance(send(sink, Logins(Login("PLAIN"))), DeferredDelivery)
        assert isinstance(send(sink, Logins(TempFail("down"))), DeferredDelivery)
        assert isinstance(send(sink, Logins(LoginTrouble("down"))), DeferredDelivery)
        assert sink.messages == []
        assert isinstance(send(sink, Logins(None)), Delivered)
