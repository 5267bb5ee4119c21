"""A private Kerberos KDC (MIT krb5kdc) on loopback, for root and for ordinary users; everything lies under `folder`.

with Kdc(folder) as kdc:
    kdc.keytab("smtp/localhost")                    # a service's key in kdc.folder/keytab
    ticket = kdc.ticket("taro")                     # a credential cache with taro's ticket
    run(..., env={**os.environ, **kdc.env, "KRB5CCNAME": ticket})
"""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from support.peers import missing, require
from support.ports import free_port

REALM = "EXAMPLE.COM"
KRB5_CONF = """
[libdefaults]
  default_realm = {realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  qualify_shortname = ""
  default_ccache_name = FILE:{folder}/no-cache
  default_keytab_name = FILE:{folder}/keytab
  default_client_keytab_name = FILE:{folder}/no-client-keytab
[realms]
{realms}
[domain_realm]
  localhost = {realm}
  .example.com = {realm}
"""
ONE_REALM = "  {realm} = {{\n    kdc = 127.0.0.1:{port}\n{more}  }}\n"
PKINIT_CLIENT = "    pkinit_anchors = FILE:{folder}/pkinit.pem\n    pkinit_kdc_hostname = localhost\n"
PKINIT_KDC = """
    pkinit_identity = FILE:{folder}/pkinit.pem,{folder}/pkinit.key
    pkinit_anchors = FILE:{folder}/pkinit.pem
"""
PLUGIN = "*/krb5/plugins/preauth/pkinit.so"
KDC_CONF = """
[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {realm} = {{
    database_name = {folder}/principal
    key_stash_file = {folder}/stash
    acl_file = {folder}/acl
    max_life = 1h
    master_key_type = aes256-cts
    supported_enctypes = aes256-cts:normal aes128-cts:normal
    default_principal_flags = +preauth
{more}  }}
[logging]
  kdc = FILE:{folder}/kdc.log
"""


class Kdc:
    """`anonymous`: it gives tickets without a name to anybody (`kinit -n`, RFC 8062)."""

    def __init__(self, folder: Path, realm: str = REALM, *, anonymous: bool = False) -> None:
        self.folder, self.realm, self.port = folder, realm, free_port()
        self.keytab_path = folder / "keytab"
        self.log_path = folder / "kdc.log"
        self.env = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5_KTNAME": f"FILE:{self.keytab_path}",
            "KRB5RCACHEDIR": str(folder / "replay"),
        }
        self._anonymous = anonymous
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Kdc:
        make = require("kdb5_util", "krb5-kdc")
        self.folder.mkdir(exist_ok=True)
        (self.folder / "replay").mkdir()
        (self.folder / "replay").chmod(0o1777)
        places = {"folder": self.folder, "realm": self.realm, "port": self.port}
        client, own = (PKINIT_CLIENT, PKINIT_KDC) if self._anonymous else ("", "")
        realm = ONE_REALM.format(**places, more=client.format(**places))
        (self.folder / "krb5.conf").write_text(KRB5_CONF.format(**places, realms=realm))
        (self.folder / "kdc.conf").write_text(KDC_CONF.format(**places, more=own.format(**places)))
        self._run(make, "-r", self.realm, "create", "-s", "-P", "master")
        if self._anonymous:
            if not any(Path("/usr/lib").glob(PLUGIN)):
                missing("krb5-pkinit is not installed")
            _certificate(self.folder)
            self._admin("addprinc", "-randkey", "WELLKNOWN/ANONYMOUS")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """In the foreground; back when it answers."""
        command = [require("krb5kdc", "krb5-kdc"), "-n", "-r", self.realm, "-P", str(self.folder / "pid")]
        with open(self.folder / "said", "ab") as said:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=self._environment()
            )
        until = time.monotonic() + 15
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                words = (self.folder / "said").read_text()
                assert self._process.poll() is None and time.monotonic() < until, f"krb5kdc does not start: {words}"
                time.sleep(0.02)

    def stop(self) -> None:
        """Nobody answers on the port from now on."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def user(self, name: str, password: str, *more: str) -> None:
        """A person; `more` are flags of kadmin's addprinc, such as -pwexpire."""
        self._admin("addprinc", *more, "-pw", password, name)

    def change(self, *words: str) -> None:
        """Any other command of kadmin.local."""
        self._admin(*words)

    def keytab(self, service: str, path: Path | None = None) -> Path:
        """A key for `service/host`, made at random, added to a keytab that others may read."""
        path = path or self.keytab_path
        self._admin("addprinc", "-randkey", service)
        self._admin("ktadd", "-k", str(path), service)
        path.chmod(0o644)
        return path

    def ticket(self, name: str, password: str, *more: str, wrong: bool = False) -> str:
        """A credential cache, as KRB5CCNAME wants it; `more` are flags of kinit, such as -l 3s."""
        path = self.folder / f"cache-{name.replace('/', '-')}"
        subprocess.run(
            [require("kinit", "krb5-user"), *more, "-c", f"FILE:{path}", name],
            input=password.encode() + b"\n", env=self._environment(), capture_output=True, check=not wrong, timeout=30,
        )  # fmt: skip
        return f"FILE:{path}"

    def anonymous_ticket(self) -> str:
        """A credential cache with a ticket that names nobody."""
        path = f"FILE:{self.folder}/cache-anonymous"
        self._run(require("kinit", "krb5-user"), "-c", path, "-n", f"@{self.realm}")
        return path

    def log(self) -> str:
        """What the KDC was asked so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def _admin(self, *words: str) -> None:
        self._run(require("kadmin.local", "krb5-admin-server"), "-r", self.realm, *words)

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.env, "LC_ALL": "C.UTF-8"}


def _certificate(folder: Path) -> None:
    """The KDC's own, by which clients without a password know it (RFC 4556 3.2.4)."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kdc")])
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(True, False, True, False, True, True, False, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.2.3.5")]), critical=False)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "pkinit.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "pkinit.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def misled(kdc: Kdc, folder: Path, port: int) -> dict[str, str]:
    """The environment of a machine that has our keytab, but whose way to the KDC ends at another one's port."""
    folder.mkdir(exist_ok=True)
    text = (kdc.folder / "krb5.conf").read_text().replace(f"127.0.0.1:{kdc.port}", f"127.0.0.1:{port}")
    (folder / "krb5.conf").write_text(text)
    shutil.copy(kdc.keytab_path, folder / "keytab")
    return {**kdc.env, "KRB5_CONFIG": str(folder / "krb5.conf"), "KRB5_KTNAME": f"FILE:{folder}/keytab"}
