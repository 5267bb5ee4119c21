"""TLS engines over memory: verified or not, channel bindings on both sides, SNI, versions."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from OpenSSL import SSL

from support.certificates import Pair, make
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net import tls
from tayori.net.tls import TlsEngine, TlsError, TlsSession, client_context, server_context

CA = make("Test CA", ca=True)
SERVER = make("mail.example.com", CA)
CLIENT = make("client.example", CA)
STRANGER = make("client.example")


def shake(server: TlsEngine, client: TlsEngine) -> tuple[TlsSession, TlsSession]:
    """Carry bytes until both are done; the server's view, the client's view."""
    for _ in range(20):
        done = client.handshake()
        server_bytes = client.outgoing()
        if server_bytes:
            server.feed(server_bytes)
        done = server.handshake() and done
        client_bytes = server.outgoing()
        if client_bytes:
            client.feed(client_bytes)
        if done and not client_bytes and not server_bytes:
            return server.session(), client.session()
    raise AssertionError("no end of the handshake")


Meet = Callable[..., tuple[TlsSession, TlsSession]]


@pytest.fixture
def meet(tmp_path: Path) -> Meet:
    def act(
        server: dict[str, str] | None = None,
        client: dict[str, str] | None = None,
        pair: Pair | None = None,
        name: str = "",
    ) -> tuple[TlsSession, TlsSession]:
        ca = tmp_path / "ca.pem"
        ca.write_bytes(CA.certificate_pem)
        ours = {
            "smtpd_tls_chain_files": SERVER.write(tmp_path / "server.pem"),
            "smtpd_tls_CAfile": str(ca),
            **(server or {}),
        }
        theirs = {"smtp_tls_CAfile": str(ca), **(client or {})}
        if pair is not None:
            theirs["smtp_tls_chain_files"] = pair.write(tmp_path / "client.pem")
        accepting = server_context(Settings.of(ours))
        assert accepting is not None
        return shake(accepting.engine(True), client_context(Settings.of(theirs)).engine(False, name))

    return act


def test_the_client_knows_the_server(meet: Meet) -> None:
    server, client = meet()
    assert client.verified and client.subject_cn() == "mail.example.com" and client.issuer_cn() == "Test CA"
    assert not server.verified and server.peer_certificate is None
    assert server.protocol == client.protocol == "TLSv1.3" and server.bits >= 128


def test_bindings_are_the_same_on_both_sides(meet: Meet) -> None:
    """RFC 9266 tls-exporter and RFC 5929 tls-server-end-point: what SCRAM-…-PLUS proves."""
    server, client = meet()
    assert set(server.bindings) == {"tls-exporter", "tls-server-end-point"}
    assert server.bindings == client.bindings
    assert len(server.bindings["tls-exporter"]) == 32
    again, _ = meet()
    assert again.bindings["tls-exporter"] != server.bindings["tls-exporter"]
    assert again.bindings["tls-server-end-point"] == server.bindings["tls-server-end-point"]
    assert repr(server).find(repr(server.bindings["tls-exporter"])) < 0


def test_tls_unique_instead_of_the_exporter_before_tls_1_3(meet: Meet) -> None:
    """RFC 9266: no tls-unique in TLS 1.3, and the exporter is safe there alone."""
    server, client = meet({"smtpd_tls_protocols": ">=TLSv1.2, <=TLSv1.2"})
    assert server.protocol == "TLSv1.2"
    assert set(server.bindings) == {"tls-server-end-point", "tls-unique"} and server.bindings == client.bindings
    assert len(server.bindings["tls-unique"]) == 12, "a Finished message of TLS 1.2"
    again, _ = meet({"smtpd_tls_protocols": ">=TLSv1.2, <=TLSv1.2"})
    assert again.bindings["tls-unique"] != server.bindings["tls-unique"]


def test_no_tls_unique_without_the_extended_master_secret(monkeypatch: pytest.MonkeyPatch, meet: Meet) -> None:
    """RFC 7627 1: without it a man between two sessions can make their Finished messages alike."""
    library = SimpleNamespace(SSL_get_extms_support=lambda ssl: 0, SSL_session_reused=SSL._lib.SSL_session_reused)
    monkeypatch.setattr(tls, "SSL", Patched(library))
    server, _ = meet({"smtpd_tls_protocols": ">=TLSv1.2, <=TLSv1.2"})
    assert set(server.bindings) == {"tls-server-end-point"}


class Patched:
    """pyOpenSSL's module with another library below."""

    def __init__(self, library: object) -> None:
        self._lib = library

    def __getattr__(self, name: str) -> object:
        return getattr(SSL, name)


def test_the_finished_message_of_a_resumed_session_is_the_servers() -> None:
    """Python's own ssl module says the same on both sides, for a new session and for a resumed one."""
    seen = []
    session = None
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.maximum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:
        accepting.load_cert_chain(SERVER.write(Path(folder) / "chain"))
    asking = client_context(Settings.of({}))
    for _ in range(2):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = accepting.wrap_bio(incoming, outgoing, server_side=True)
        client = asking.engine(False, "mail.example.com")
        if session is not None:
            client._connection.set_session(session)
        for _ in range(10):
            done = client.handshake()
            incoming.write(client.outgoing())
            try:
                server.do_handshake()
            except ssl.SSLWantReadError:
                pass
            if outgoing.pending:
                client.feed(outgoing.read())
            if done and client.handshake():
                break
        session = client._connection.get_session()
        seen.append((server.session_reused, server.get_channel_binding("tls-unique"), client.session().bindings))
    assert [reused for reused, *_ in seen] == [False, True]
    for _, unique, bindings in seen:
        assert unique and bindings["tls-unique"] == unique


@pytest.mark.parametrize(("pair", "verified"), [(CLIENT, True), (STRANGER, False)])
def test_client_certificates_come_through_verified_or_not(meet: Meet, pair: Pair, verified: bool) -> None:
    server, _ = meet({"smtpd_tls_ask_ccert": "yes"}, pair=pair)
    assert server.verified is verified
    assert server.peer_certificate == pair.certificate
    assert bool(server.verify_error) is not verified
    assert server.cert_fingerprint("sha256") and server.cert_fingerprint("sha256") != server.pubkey_fingerprint(
        "sha256"
    )


def test_a_certificate_is_not_asked_for_unless_set(meet: Meet) -> None:
    server, _ = meet(pair=CLIENT)
    assert server.peer_certificate is None and server.cert_fingerprint("sha256") == ""


def test_a_server_nobody_vouches_for(meet: Meet, tmp_path: Path) -> None:
    lone = make("mail.example.com")
    _, client = meet({"smtpd_tls_chain_files": lone.write(tmp_path / "lone.pem")})
    assert not client.verified and client.peer_certificate == lone.certificate


def test_sni(meet: Meet) -> None:
    server, _ = meet(name="mail.example.com")
    assert server.server_name == "mail.example.com"
    server, _ = meet(name="127.0.0.1")
    assert server.server_name == ""


def test_no_common_version(meet: Meet) -> None:
    with pytest.raises(TlsError):
        meet({"smtpd_tls_protocols": ">=TLSv1.3"}, {"smtp_tls_protocols": "<=TLSv1.2"})


def test_garbage_is_no_handshake(tmp_path: Path) -> None:
    context = server_context(Settings.of({"smtpd_tls_chain_files": SERVER.write(tmp_path / "s.pem")}))
    assert context is not None
    engine = context.engine(True)
    engine.feed(b"EHLO evil\r\n" * 10)
    with pytest.raises(TlsError):
        engine.handshake()


def test_data_both_ways_and_the_end(tmp_path: Path) -> None:
    context = server_context(Settings.of({"smtpd_tls_chain_files": SERVER.write(tmp_path / "s.pem")}))
    assert context is not None
    server, client = context.engine(True), client_context(Settings.of({})).engine(False)
    shake(server, client)
    big = bytes(range(256)) * 1000
    client.send(big)
    server.feed(client.outgoing())
    got = b""
    while (part := server.receive()) is not None:
        got += part
    assert got == big
    client.close()
    server.feed(client.outgoing())
    assert server.receive() == b""


def test_key_and_certificate_must_fit(tmp_path: Path) -> None:
    path = tmp_path / "mixed.pem"
    path.write_bytes(CLIENT.key_pem + SERVER.certificate_pem)
    with pytest.raises(ConfigError, match="do not fit"):
        server_context(Settings.of({"smtpd_tls_chain_files": str(path)}))
    with pytest.raises(ConfigError, match="cannot be read"):
        server_context(Settings.of({"smtpd_tls_chain_files": str(tmp_path / "none.pem")}))
    assert server_context(Settings.of({})) is None


@pytest.mark.parametrize("value", ["TLSv9", ">=TLSv1.3, <=TLSv1.2", "=="])
def test_protocols_that_make_no_sense(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="smtpd_tls_protocols"):
        server_context(
            Settings.of({"smtpd_tls_chain_files": SERVER.write(tmp_path / "s.pem"), "smtpd_tls_protocols": value})
        )
