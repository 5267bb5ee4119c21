"""Mail servers that relay through tayori and log in for it: a real Postfix with Cyrus SASL, a real Dovecot submission."""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.sasl import backends, matrix, relays, servers
from interop.sasl.peers import PASSWORD, connects, postfix_started, wait_for
from interop.sasl.relays import Means
from support.peers import missing, need_root, require
from support.ports import free_port
from support.server import Server

pytestmark = [pytest.mark.root, pytest.mark.peer]

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/pq
data_directory = {folder}/pd
myhostname = client.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
mydestination =
mynetworks = 127.0.0.0/8
smtp_host_lookup = native
smtp_tls_security_level = encrypt
smtp_sasl_auth_enable = yes
smtp_sasl_security_options = noanonymous
smtp_sasl_auth_soft_bounce = yes
import_environment = MAIL_CONFIG TZ KRB5_CONFIG={env[KRB5_CONFIG]} KRB5CCNAME={env[KRB5CCNAME]}
maillog_file = {folder}/plog
maillog_file_prefixes = /var, /tmp
transport_maps = inline:{{ {transports} }}
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
qmgr unix n - n 300 1 qmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
CLIENT = "{name} unix - - n - - smtp\n -o smtp_sasl_mechanism_filter={mechanism}\n -o smtp_sasl_password_maps=static:{login}\n"
DOVECOT = """
protocols = imap submission
ssl = no
submission_relay_host = localhost
submission_relay_port = {relay}
submission_relay_ssl = starttls
submission_relay_ssl_verify = yes
ssl_client_ca_file = {ca}
submission_relay_user = {user}
submission_relay_password = {password}
{more}
service submission-login {{
  inet_listener submission {{
    port = {port}
  }}
}}
"""


@pytest.fixture
def given() -> Iterator[Means]:
    need_root("Postfix and Dovecot")
    with relays.means() as made:
        yield made


@pytest.fixture
def tayori(given: Means, tmp_path: Path) -> Iterator[Server]:
    """It relays for whoever has logged in, and for nobody else."""
    backends.folder_of(tmp_path)
    (tmp_path / "users").write_text(f"taro:{{PLAIN}}{PASSWORD}\n")
    main = {
        "myhostname": "localhost",
        "mydestination": "mail.example.com",
        "mynetworks": "",
        "default_transport": "discard",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_local_domain": relays.HOST,
        "smtpd_tls_security_level": "may",
        "smtpd_tls_auth_only": "yes",
        "smtpd_tls_chain_files": str(given.keys.server),
        "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
    }
    names = " ".join(matrix.relayed("postfix")).lower()
    conf = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\nmech_list: {names}\n"
    conf += f"keytab: {given.kdc.keytab_path}\n"
    with Server(tmp_path, main, files={"sasl/smtpd.conf": conf}, env=given.kdc.env) as server:
        yield server


@contextmanager
def postfix(given: Means, relay: int) -> Iterator[int]:
    """Mail for MECHANISM.good goes to `relay` with a login by that mechanism; for MECHANISM.bad with a wrong one."""
    require("postfix")
    folder, port = given.folder, free_port()
    for name in ("petc", "pq", "pd"):
        (folder / name).mkdir()
    subprocess.run(["chown", "postfix", str(folder / "pd")], check=True)
    services, transports = "", []
    for mechanism in matrix.relayed("postfix"):
        for kind, password in (("good", PASSWORD), ("bad", "wrong")):
            name = f"{mechanism.lower()}.{kind}"
            # a ticket asks for no password, so that the wrong one is a ticket that the KDC does not give
            host = "127.0.0.1" if name == "gssapi.bad" else "localhost"
            services += CLIENT.format(name=name, mechanism=mechanism, login=f"taro:{password}")
            transports.append(f"{{ {name} = {name}:[{host}]:{relay} }}")
    env = given.environment()
    (given.kdc.folder / "cache-taro").chmod(0o644)
    main = MAIN.format(folder=folder, env=env, transports=", ".join(transports))
    (folder / "petc/main.cf").write_text(main)
    (folder / "petc/master.cf").write_text(MASTER.format(port=port) + services)
    with postfix_started(folder / "petc", port):
        yield port


def test_postfix_relays_through_tayori(given: Means, tayori: Server) -> None:
    names = matrix.relayed("postfix")
    with postfix(given, tayori.port) as port:
        to = [f"x@{name.lower()}.{kind}" for name in names for kind in ("good", "bad")]
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.sendmail("me@client.example", to, "Subject: x\n\nhello\n")
        log = given.folder / "plog"

        def outcome(address: str) -> str:
            lines = [line for line in log.read_text().splitlines() if f"to=<{address}>" in line]
            return lines[-1] if lines else ""

        wait_for(lambda: all(map(outcome, to)), 30)
        for name in names:
            assert "status=sent" in outcome(f"x@{name.lower()}.good"), name
            why = "; server localhost[127.0.0.1] said: 535 5.7.8" if name != "GSSAPI" else "; cannot authenticate"
            bad = outcome(f"x@{name.lower()}.bad")
            assert f"status=deferred (SASL authentication failed{why}" in bad, bad
            tayori.wait_log(f"login method={name} user=taro@mail.example.com client=127.0.0.1")


def through_dovecot(given: Means, tayori: Server, user: str, password: str, more: str = "") -> bool:
    """taro, logged in at Dovecot, sends a message; whether Dovecot could pass it on."""
    port = free_port()
    conf = DOVECOT.format(
        relay=tayori.port, ca=given.keys.authority, user=user, password=password, more=more, port=port
    )
    with servers.dovecot(conf):
        wait_for(lambda: connects(port))
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.login("taro", PASSWORD)
            try:
                client.sendmail("taro@example.com", ["x@elsewhere.example"], "Subject: x\n\nhello\n")
            except smtplib.SMTPSenderRefused as error:
                assert error.smtp_code == 421 and b"Failed to establish relay connection" in error.smtp_error
                return False
            return True


def test_dovecot_relays_through_tayori(given: Means, tayori: Server) -> None:
    """By PLAIN over STARTTLS, the only one it has; who is logged in at Dovecot comes along as AUTH= of MAIL."""
    if not Path("/usr/lib/dovecot/submission").exists():
        missing("dovecot-submissiond is not installed")
    assert matrix.relayed("dovecot") == ("PLAIN",)
    assert through_dovecot(given, tayori, "taro", PASSWORD)
    tayori.wait_log("sasl_method=PLAIN, sasl_username=taro@mail.example.com, sasl_sender=taro")
    assert not through_dovecot(given, tayori, "taro", "wrong")
    tayori.wait_log("login method=PLAIN user=taro@mail.example.com")
    # a master user would act for others with a password of his own: nobody may here
    assert not through_dovecot(given, tayori, "hanako", PASSWORD, "submission_relay_master_user = taro")
    tayori.wait_log("refused (taro may not act as hanako)")
