"""A private Kerberos KDC (MIT krb5kdc) on loopback, for root and for ordinary users; everything lies under `folder`.

with Kdc(folder) as kdc:
    kdc.keytab("smtp/localhost")                    # a service's key in kdc.folder/keytab
    ticket = kdc.ticket("taro")                     # a credential cache with taro's ticket
    run(..., env={**os.environ, **kdc.env, "KRB5CCNAME": ticket})
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from support.peers import require
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
ONE_REALM = "  {realm} = {{\n    kdc = 127.0.0.1:{port}\n  }}\n"
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
  }}
[logging]
  kdc = FILE:{folder}/kdc.log
"""


class Kdc:
    """`others`: realms of other KDCs, name to port, that clients of this configuration may ask."""

    def __init__(self, folder: Path, realm: str = REALM, others: dict[str, int] | None = None) -> None:
        self.folder, self.realm, self.port = folder, realm, free_port()
        self.keytab_path = folder / "keytab"
        self.log_path = folder / "kdc.log"
        self.env = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5_KTNAME": f"FILE:{self.keytab_path}",
            "KRB5RCACHEDIR": str(folder / "replay"),
        }
        self._others = others or {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Kdc:
        make = require("kdb5_util", "krb5-kdc")
        self.folder.mkdir(exist_ok=True)
        (self.folder / "replay").mkdir()
        (self.folder / "replay").chmod(0o1777)
        realms = {self.realm: self.port, **self._others}
        places = {"folder": self.folder, "realm": self.realm, "port": self.port}
        text = "".join(ONE_REALM.format(realm=name, port=port) for name, port in realms.items())
        (self.folder / "krb5.conf").write_text(KRB5_CONF.format(**places, realms=text))
        (self.folder / "kdc.conf").write_text(KDC_CONF.format(**places))
        self._run(make, "-r", self.realm, "create", "-s", "-P", "master")
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


def copied(kdc: Kdc, folder: Path, port: int) -> dict[str, str]:
    """The environment of somebody whose krb5.conf sends him to another KDC, which answers in the same name."""
    folder.mkdir(exist_ok=True)
    text = (kdc.folder / "krb5.conf").read_text().replace(f"127.0.0.1:{kdc.port}", f"127.0.0.1:{port}")
    (folder / "krb5.conf").write_text(text)
    shutil.copy(kdc.keytab_path, folder / "keytab")
    return {**kdc.env, "KRB5_CONFIG": str(folder / "krb5.conf")}
