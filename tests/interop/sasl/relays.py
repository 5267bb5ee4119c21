"""Servers that tayori logs in to as a client: Postfix with Cyrus SASL, and Dovecot's submission server, each private."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interop.sasl import backends, matrix, pki, servers
from interop.sasl.peers import PASSWORD, connects, postfix_started, running, short_folder, wait_for
from support.kdc import Kdc
from support.peers import missing, need_root, require
from support.ports import free_port

HOST = backends.HOST
MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/q
data_directory = {folder}/d
myhostname = localhost
smtpd_sasl_local_domain = {host}
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
import_environment = MAIL_CONFIG TZ KRB5_CONFIG={krb5} KRB5RCACHEDIR={replay}
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
ssl_cert = <{keys.server}
ssl_key = <{keys.server}
ssl_ca = <{keys.authority}
ssl_verify_client_cert = yes
ssl_require_crl = no
hostname = mail.example.com
submission_relay_host = 127.0.0.1
submission_relay_port = {sink}
import_environment = TZ KRB5_CONFIG={env[KRB5_CONFIG]} KRB5RCACHEDIR={env[KRB5RCACHEDIR]}
auth_mechanisms = {mechanisms}
auth_ssl_username_from_cert = yes
auth_krb5_keytab = {keytab}
# it would look for a key of submission/HOST, where RFC 4954 has smtp/HOST
auth_gssapi_hostname = "$ALL"
passdb {{
  driver = static
  args = nopassword
  mechanisms = external
}}
passdb {{
  driver = oauth2
  args = {folder}/oauth2.conf
  mechanisms = oauthbearer xoauth2
}}
service submission-login {{
  inet_listener submission {{
    port = {port}
  }}
}}
"""


LMTPD = """
configdirectory: {folder}/conf
partition-default: {folder}/spool
defaultpartition: default
servername: localhost
lmtp_admins: taro somebody
autocreate_quota: 0
autocreate_post: yes
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/sasldb2
sasl_mech_list: {mechanisms}
sasl_keytab: {keytab}
tls_server_cert: {folder}/server.pem
tls_server_key: {folder}/server.pem
tls_client_ca_file: {folder}/ca.pem
tls_client_certs: optional
tls_versions: tls1_2
"""
LMTPD_SERVICES = """
START {{
  recover cmd="ctl_cyrusdb -C {folder}/imapd.conf -r"
}}
SERVICES {{
  lmtp cmd="lmtpd -C {folder}/imapd.conf" listen="127.0.0.1:{port}" prefork=0
}}
EVENTS {{
}}
"""


@dataclass
class Means:
    """What a client may have: certificates, a ticket (and one of a false KDC), a token for taro@HOST."""

    folder: Path
    keys: pki.Pki
    kdc: Kdc
    false: Kdc
    tokens: backends.Store

    def environment(self, right: bool = True) -> dict[str, str]:
        """Where the Kerberos library finds the ticket."""
        kdc = self.kdc if right else self.false
        return {**kdc.env, "KRB5CCNAME": f"FILE:{kdc.folder}/cache-taro"}


@contextmanager
def means() -> Iterator[Means]:
    backends.need_gssapi()
    with (
        short_folder() as folder,
        Kdc(folder / "real") as kdc,
        Kdc(folder / "false") as false,
        backends.oauth() as tokens,
    ):
        for each in (kdc, false):
            each.user("taro", PASSWORD)
            each.keytab("smtp/localhost")
            each.ticket("taro", PASSWORD)
        yield Means(folder, pki.make(folder), kdc, false, tokens)


@contextmanager
def postfix(given: Means) -> Iterator[int]:
    """The port of a Postfix whose passwords are in sasldb2 and whose tickets are checked with its own keytab."""
    need_root("Postfix")
    require("postfix")
    maker = require("saslpasswd2", "sasl2-bin")
    folder, env = given.folder, given.kdc.env
    for name in ("etc/sasl", "q", "d"):
        (folder / name).mkdir(parents=True)
    subprocess.run(["chown", "postfix", str(folder / "d")], check=True)
    port, file = free_port(), folder / "sasldb2"
    subprocess.run([maker, "-p", "-c", "-f", str(file), "-u", HOST, "taro"], input=PASSWORD.encode(), check=True)
    file.chmod(0o644)
    places = {"krb5": env["KRB5_CONFIG"], "replay": env["KRB5RCACHEDIR"]}
    (folder / "etc/main.cf").write_text(MAIN.format(folder=folder, chain=given.keys.server, host=HOST, **places))
    (folder / "etc/master.cf").write_text(MASTER.format(port=port))
    names = " ".join(matrix.reached("postfix")).lower()
    (folder / "etc/sasl/smtpd.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {file}\nmech_list: {names}\n"
        f"keytab: {given.kdc.keytab_path}\n"
    )
    with postfix_started(folder / "etc", port):
        yield port


@contextmanager
def cyrus(given: Means) -> Iterator[int]:
    """The port of Cyrus IMAP's lmtpd: the one server here that binds channels (tls-unique, so TLS 1.2)."""
    need_root("Cyrus IMAP has a user of its own")
    master, maker = require("master", "cyrus-imapd"), require("saslpasswd2", "sasl2-bin")
    if not Path(master).parent.joinpath("lmtpd").exists():
        missing("cyrus-common is not installed")
    with short_folder() as folder:
        for name in ("db", "proc", "socket", "log", "msg", "lock"):
            (folder / "conf" / name).mkdir(parents=True)
        (folder / "spool").mkdir()
        file, port = folder / "sasldb2", free_port()
        subprocess.run(
            [maker, "-p", "-c", "-f", str(file), "-u", "localhost", "taro"], input=PASSWORD.encode(), check=True
        )
        for path in (given.keys.server, given.keys.authority):
            shutil.copy(path, folder)
        names = " ".join(name for name in matrix.reached("cyrus") if not name.endswith("-PLUS"))
        conf = LMTPD.format(folder=folder, mechanisms=names, keytab=given.kdc.keytab_path)
        (folder / "imapd.conf").write_text(conf)
        (folder / "cyrus.conf").write_text(LMTPD_SERVICES.format(folder=folder, port=port))
        subprocess.run(["chown", "-R", "cyrus:mail", str(folder)], check=True)
        command = (master, "-C", f"{folder}/imapd.conf", "-M", f"{folder}/cyrus.conf", "-p", f"{folder}/pid", "-D")
        with running(*command, env={**os.environ, **given.kdc.env}):
            wait_for(lambda: connects(port))
            yield port


@contextmanager
def dovecot(given: Means, sink: int) -> Iterator[int]:
    """The port of Dovecot's submission server, which passes mail on to `sink`."""
    for file, package in (
        ("submission", "dovecot-submissiond"),
        ("modules/auth/libmech_gssapi.so", "dovecot-gssapi"),
    ):
        if not Path("/usr/lib/dovecot", file).exists():
            missing(f"{package} is not installed")
    folder, port = given.folder, free_port()
    backends.oauth2_of(folder, given.tokens, "email")
    names = " ".join(matrix.reached("dovecot")).lower()
    more = SUBMISSION.format(
        keys=given.keys, sink=sink, env=given.kdc.env, mechanisms=names, keytab=given.kdc.keytab_path, folder=folder,
        port=port,
    )  # fmt: skip
    with servers.dovecot(more):
        wait_for(lambda: connects(port))
        yield port
