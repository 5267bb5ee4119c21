"""tayori's SMTP client logs in at a real Postfix (Cyrus SASL), a real Dovecot submission server, and at tayori."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.sasl import backends, matrix, pki, servers
from interop.sasl.peers import PASSWORD, connects, short_folder, wait_for
from support.peers import missing, need_root, require
from support.ports import free_port
from support.server import Server
from support.sink import Sink
from tayori.config.settings import Settings
from tayori.delivery.outcome import DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.smtp import Recipient, SmtpAgent
from tayori.net.dns import Resolver
from tayori.programs.daemons.logins import RelayLogins
from tayori.programs.daemons.names import DnsNames
from tayori.tables.registry import Tables

HOST = "mail.example.com"
MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/q
data_directory = {folder}/d
myhostname = mail.example.com
inet_interfaces = 127.0.0.1
alias_maps =
alias_database =
mydestination =
mynetworks =
default_transport = discard
smtpd_tls_chain_files = {chain}
smtpd_tls_security_level = may
smtpd_sasl_auth_enable = yes
cyrus_sasl_config_path = {folder}/etc/sasl
maillog_file = {folder}/log
maillog_file_prefixes = /var, /tmp
smtpd_relay_restrictions = permit_sasl_authenticated, reject
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
qmgr unix n - n 300 1 qmgr
discard unix - - n - - discard
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""
SUBMISSION = """
protocols = imap submission
ssl = yes
ssl_cert = <{chain}
ssl_key = <{chain}
hostname = mail.example.com
submission_relay_host = 127.0.0.1
submission_relay_port = {sink}
service submission-login {{
  inet_listener submission {{
    port = {port}
  }}
}}
"""


def deliver(port: int, folder: Path, mechanism: str, password: str = PASSWORD, token: str = "", **more: str) -> str:
    """The login of a delivery by one mechanism; "" when it went well, else the reason."""
    if mechanism in matrix.TOKENS:
        (folder / "token").write_text(token + "\n")
        credentials = {"tayori_smtp_sasl_token_maps": f"static:taro@{HOST}:file:{folder}/token"}
    else:
        credentials = {"smtp_sasl_password_maps": f"static:taro:{password}"}
    settings = Settings.of(
        {
            "myhostname": "me.example",
            "smtp_tls_security_level": "encrypt",
            "smtp_sasl_auth_enable": "yes",
            "smtp_sasl_security_options": "noanonymous",
            "smtp_sasl_tls_security_options": "noanonymous",
            "smtp_sasl_mechanism_filter": mechanism,
            **credentials,
            **more,
        }
    )

    async def run() -> DeliveryOutcome:
        logins = RelayLogins.of(settings, Tables(settings), "smtp")
        agent = SmtpAgent(settings, DnsNames(settings, Resolver()), logins=logins)
        try:
            to = (Recipient(1, "taro@example.com"),)
            return (await agent.deliver(f"[127.0.0.1]:{port}", "me@example.com", b"Subject: x\n\nb\n", to))[1]
        finally:
            agent.close()
            await asyncio.sleep(0.01)

    got = asyncio.run(run())
    if isinstance(got, Delivered):
        return ""
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


def all_of(server: str, port: int, folder: Path, token: str = "") -> None:
    names = matrix.reached(server)
    assert set(names) <= set(offered(port))
    refused = {name: why for name in names if (why := deliver(port, folder, name, token=token))}
    assert not refused
    for name in (names[0], names[-1]):  # refusals are slow: servers delay them
        why = deliver(port, folder, name, "wrong", "wrong")
        assert "SASL authentication failed; server" in why and "535 5.7.8" in why, (name, why)
    away = deliver(port, folder, "GSSAPI")
    assert "no mechanism available" in away


@contextmanager
def postfix(folder: Path, keys: pki.Pki) -> Iterator[int]:
    need_root("Postfix")
    program, maker = require("postfix"), require("saslpasswd2", "sasl2-bin")
    for name in ("etc/sasl", "q", "d"):
        (folder / name).mkdir(parents=True)
    subprocess.run(["chown", "postfix", str(folder / "d")], check=True)
    port, file = free_port(), folder / "sasldb2"
    subprocess.run([maker, "-p", "-c", "-f", str(file), "-u", HOST, "taro"], input=PASSWORD.encode(), check=True)
    file.chmod(0o644)
    (folder / "etc/main.cf").write_text(MAIN.format(folder=folder, chain=keys.server))
    (folder / "etc/master.cf").write_text(MASTER.format(port=port))
    names = " ".join(name for name in matrix.reached("postfix"))
    (folder / "etc/sasl/smtpd.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {file}\nmech_list: {names.lower()}\n"
    )
    command = [program, "-c", str(folder / "etc")]
    subprocess.run([*command, "start"], check=True, capture_output=True, timeout=60)
    try:
        wait_for(lambda: connects(port))
        yield port
    finally:
        subprocess.run([*command, "stop"], capture_output=True, timeout=60)


@pytest.mark.root
@pytest.mark.peer
def test_a_real_postfix() -> None:
    with short_folder() as folder:
        keys = pki.make(folder)
        with postfix(folder, keys) as port:
            all_of("postfix", port, folder)


@pytest.mark.root
@pytest.mark.peer
def test_a_real_dovecot_submission_server() -> None:
    if not Path("/usr/lib/dovecot/submission").exists():
        missing("dovecot-submissiond is not installed")
    with short_folder() as folder, Sink() as sink:
        keys, port = pki.make(folder), free_port()
        more = SUBMISSION.format(chain=keys.server, sink=sink.port, port=port)
        with servers.dovecot(more):
            wait_for(lambda: connects(port))
            all_of("dovecot", port, folder)
            assert len(sink.messages) == len(matrix.reached("dovecot"))


@pytest.mark.peer
def test_tayori_itself(tmp_path: Path) -> None:
    """Also the mechanisms that no other program has, and channel binding by tls-exporter."""
    backends.folder_of(tmp_path)
    keys = pki.make(tmp_path)
    with backends.oauth() as tokens:
        (tmp_path / "users").write_text(f"taro:{{PLAIN}}{PASSWORD}\n")
        names = " ".join(matrix.reached("tayori")).lower()
        conf = tokens.conf.replace("oauth\n", "passwd-file oauth\n", 1)
        conf += f"passwd_file: {tmp_path}/users\nmech_list: {names}\n"
        main = {
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_local_domain": HOST,
            "smtpd_tls_security_level": "may",
            "smtpd_tls_chain_files": str(keys.server),
        }
        with Server(tmp_path, main, files={"sasl/smtpd.conf": conf}) as server:
            all_of("tayori", server.port, tmp_path, tokens.token)
            assert "login method=SCRAM-SHA-512-PLUS user=taro@mail.example.com" in server.log()
