"""One context manager for each back end of the matrix: gives what main.cf and smtpd.conf need to say, and the user."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from interop.sasl import matrix, servers
from interop.sasl.peers import PASSWORD, running, short_folder, system_user, tayori_saslauthd, wait_for
from support.kdc import Kdc
from support.peers import missing, need_root, require
from tayori.sasl.accounts import AccountFile

HOST = "mail.example.com"
SELECT = "sql_select: SELECT password FROM users WHERE name = '%u' AND realm = '%r'\n"


@dataclass
class Store:
    """`conf` is smtpd.conf without mech_list; `main` goes into main.cf; `token` for OAUTHBEARER and XOAUTH2.

    `public` is the key that tokens are checked with.
    `env` is the server's environment, `client_env` that of clients, `false_env` that of clients with a wrong ticket.
    """

    conf: str
    user: str = "taro"
    password: str = PASSWORD
    main: dict[str, str] = field(default_factory=dict)
    token: str = ""
    env: dict[str, str] = field(default_factory=dict)
    public: str = ""
    client_env: dict[str, str] = field(default_factory=dict)
    false_env: dict[str, str] = field(default_factory=dict)


@contextmanager
def accounts() -> Iterator[Store]:
    with short_folder() as folder:
        AccountFile(folder / "accounts").add(f"taro@{HOST}", PASSWORD, scram=True)
        (folder / "accounts").chmod(0o644)
        yield Store(f"pwcheck_method: accounts\naccounts_path: {folder}/accounts\n")


@contextmanager
def passwd_file() -> Iterator[Store]:
    with short_folder() as folder:
        (folder / "users").write_text(f"taro:{{PLAIN}}{PASSWORD}\n")
        yield Store(f"pwcheck_method: passwd-file\npasswd_file: {folder}/users\n")


@contextmanager
def saslauthd() -> Iterator[Store]:
    need_root("shadow passwords")
    with short_folder() as folder, system_user("tayorisasl") as user:  # noqa: SIM117
        with running(require("saslauthd", "sasl2-bin"), "-a", "shadow", "-d", "-m", str(folder), "-n", "2"):
            wait_for((folder / "mux").exists)
            yield Store(f"pwcheck_method: saslauthd\nsaslauthd_path: {folder}/mux\n", user)


@contextmanager
def _own_saslauthd(mechanism: str) -> Iterator[Store]:
    need_root("shadow passwords and PAM")
    with short_folder() as folder, system_user("tayorisasl") as user:  # noqa: SIM117
        with tayori_saslauthd(folder, "-a", mechanism, "-n", "2") as socket:
            yield Store(f"pwcheck_method: saslauthd\nsaslauthd_path: {socket}\n", user)


@contextmanager
def sasldb() -> Iterator[Store]:
    try:
        import berkeleydb  # noqa: F401
    except ImportError:
        missing("the berkeleydb library is not installed (make setup EXTRAS=all)")
    with short_folder() as folder:
        program = require("saslpasswd2", "sasl2-bin")
        subprocess.run(
            [program, "-p", "-c", "-f", f"{folder}/sasldb2", "-u", HOST, "taro"], input=PASSWORD.encode(), check=True
        )
        (folder / "sasldb2").chmod(0o644)
        yield Store(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {folder}/sasldb2\n")


GDBM = """
import dbm.gnu, sys
db = dbm.gnu.open(sys.argv[1], "n", 0o644)
for pair in sys.argv[2:]:
    key, _, value = pair.partition("=")
    db[key.replace("/", chr(0)).encode()] = value.encode()
db.close()
"""


def gdbm_file(path: Path, users: dict[str, str]) -> None:
    """A sasldb2 in GNU's format, made by Debian's python3-gdbm, with users of HOST."""
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import dbm.gnu"], capture_output=True).returncode:
        missing("the system's Python has no dbm.gnu (Debian package python3-gdbm)")
    pairs = [f"{user}/{HOST}/userPassword={password}" for user, password in users.items()]
    subprocess.run([python, "-c", GDBM, str(path), *pairs], check=True, timeout=30)


@contextmanager
def gdbm() -> Iterator[Store]:
    with short_folder() as folder:
        gdbm_file(folder / "sasldb2", {"taro": PASSWORD})
        (folder / "sasldb2").chmod(0o644)
        yield Store(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {folder}/sasldb2\n")


def _sql(text: str) -> Store:
    return Store(f"pwcheck_method: auxprop\nauxprop_plugin: sql\n{text}{SELECT}")


@contextmanager
def sqlite() -> Iterator[Store]:
    with short_folder() as folder:
        with sqlite3.connect(folder / "users.db") as db:
            db.execute("CREATE TABLE users (name TEXT, realm TEXT, password TEXT)")
            db.execute("INSERT INTO users VALUES ('taro', ?, ?)", (HOST, PASSWORD))
        db.close()
        yield _sql(f"sql_engine: sqlite\nsql_database: {folder}/users.db\n")


@contextmanager
def pgsql() -> Iterator[Store]:
    psycopg = servers.library("psycopg", "pgsql")
    with servers.postgresql() as (_folder, port):
        with psycopg.connect(host="127.0.0.1", port=port, user="tayori", dbname="postgres", autocommit=True) as db:
            db.execute("CREATE TABLE users (name TEXT, realm TEXT, password TEXT)")
            db.execute("INSERT INTO users VALUES ('taro', %s, %s)", (HOST, PASSWORD))
        yield _sql(f"sql_engine: pgsql\nsql_hostnames: 127.0.0.1:{port}\nsql_user: tayori\nsql_database: postgres\n")


@contextmanager
def mysql() -> Iterator[Store]:
    with servers.mariadb() as (db, port):
        with db.cursor() as cursor:
            cursor.execute("INSERT INTO mail.users VALUES ('taro', %s, %s)", (HOST, PASSWORD))
        yield _sql(
            f"sql_engine: mysql\nsql_hostnames: 127.0.0.1:{port}\nsql_user: sasl\nsql_passwd: pw\nsql_database: mail\n"
        )


@contextmanager
def ldap() -> Iterator[Store]:
    with servers.openldap() as url:
        yield Store(f"pwcheck_method: ldap\nldap_servers: {url}\nldap_search_base: dc=example,dc=com\n")


@contextmanager
def ldapdb() -> Iterator[Store]:
    with servers.openldap() as url:
        yield Store(
            f"pwcheck_method: auxprop\nauxprop_plugin: ldapdb\nldapdb_uri: {url}\nldapdb_base: dc=example,dc=com\n"
            "ldapdb_binddn: cn=admin,dc=example,dc=com\nldapdb_pw: adminpw\n"
        )


DOVECOT = """
auth_mechanisms = {mechanisms}
auth_realms = mail.example.com
auth_username_format = %Ln
auth_krb5_keytab = {kdc.keytab_path}
auth_gssapi_hostname = localhost
import_environment = TZ KRB5_CONFIG={kdc.env[KRB5_CONFIG]} KRB5RCACHEDIR={kdc.env[KRB5RCACHEDIR]}
passdb {{
  driver = oauth2
  args = {folder}/oauth2.conf
  mechanisms = oauthbearer xoauth2
}}
"""
OAUTH2 = """
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = {attribute}
"""


def oauth2_of(folder: Path, tokens: Store, attribute: str = "sub") -> None:
    """Dovecot's configuration of tokens, checked with the key that they were signed with; `attribute` is the name."""
    (folder / "keys/default/ES256").mkdir(parents=True)
    (folder / "keys/default/ES256/default").write_text(tokens.public)
    (folder / "oauth2.conf").write_text(OAUTH2.format(folder=folder, attribute=attribute))


@contextmanager
def dovecot() -> Iterator[Store]:
    if not Path("/usr/lib/dovecot/modules/auth/libmech_gssapi.so").exists():
        missing("dovecot-gssapi is not installed")
    with short_folder() as folder, tickets() as (kdc, env, false_env), oauth() as tokens:
        oauth2_of(folder, tokens)
        names = " ".join(matrix.served("dovecot")).lower()
        with servers.dovecot(DOVECOT.format(mechanisms=names, kdc=kdc, folder=folder)) as peer:
            main = {"smtpd_sasl_type": "dovecot", "smtpd_sasl_path": f"{peer.folder}/auth"}
            yield Store("", main=main, token=tokens.token, client_env=env, false_env=false_env)


@contextmanager
def rimap() -> Iterator[Store]:
    with servers.dovecot() as peer:
        # the local domain would be part of the name that the IMAP server is asked for
        yield Store(
            f"pwcheck_method: rimap\nrimap_server: 127.0.0.1/{peer.imap_port}\n", main={"smtpd_sasl_local_domain": ""}
        )


class _Form(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        good = form["username"] == ["taro"] and form["password"] == [PASSWORD]
        self.send_response(200 if good else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def httpform() -> Iterator[Store]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Form)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Store(f"pwcheck_method: httpform\nhttpform_url: http://127.0.0.1:{server.server_port}/login\n")
    finally:
        server.shutdown()


@contextmanager
def oauth() -> Iterator[Store]:
    try:
        import jwt
    except ImportError:
        missing("PyJWT is not installed (make setup EXTRAS=all)")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    now = int(time.time())
    claims = {"sub": "taro", "email": f"taro@{HOST}", "aud": "mail", "iat": now, "exp": now + 600}
    token = jwt.encode(claims, key, algorithm="ES256")
    with short_folder() as folder:
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (folder / "key.pem").write_bytes(public)
        conf = f"pwcheck_method: oauth\noauth_key_file: {folder}/key.pem\noauth_audience: mail\n"
        yield Store(conf, f"taro@{HOST}", token=token, public=public.decode())


@contextmanager
def none() -> Iterator[Store]:
    with short_folder() as folder:
        conf = f"pwcheck_method: passwd-file\npasswd_file: {folder}/users\nmech_list: external anonymous\n"
        (folder / "users").write_text("")
        options = {"smtpd_sasl_tls_security_options": "", "tayori_sasl_external_names": "email"}
        yield Store(conf, main={"smtpd_sasl_local_domain": "example.com", **options})


@contextmanager
def keytab() -> Iterator[Store]:
    """A key of our own and taro's ticket; and a ticket of another KDC that answers in the same realm's name."""
    need_gssapi()
    with tickets() as (kdc, client_env, false_env):
        # no back end: nobody makes the account file that would be asked
        conf = f"mech_list: gssapi\nkeytab: {kdc.keytab_path}\n"
        env = {name: value for name, value in kdc.env.items() if name != "KRB5_KTNAME"}
        yield Store(conf, main={"myhostname": "localhost"}, env=env, client_env=client_env, false_env=false_env)


@contextmanager
def tickets() -> Iterator[tuple[Kdc, dict[str, str], dict[str, str]]]:
    """A KDC with a key for smtp/localhost, the environment of taro's ticket, and that of a false KDC's ticket."""
    with short_folder() as folder, Kdc(folder / "real") as kdc, Kdc(folder / "false") as false:
        found = []
        for each in (kdc, false):
            each.user("taro", PASSWORD)
            each.keytab("smtp/localhost")
            found.append({**each.env, "KRB5CCNAME": each.ticket("taro", PASSWORD)})
        yield kdc, found[0], found[1]


def need_gssapi() -> None:
    try:
        import gssapi  # noqa: F401
    except ImportError:
        missing("the gssapi library is not installed (make setup EXTRAS=all)")


@contextmanager
def _kerberos5(own: bool) -> Iterator[Store]:
    if not own:
        need_root("Cyrus's saslauthd")
    need_gssapi()
    with short_folder() as folder, Kdc(folder / "kdc") as kdc:
        kdc.user("taro", PASSWORD)
        kdc.keytab(f"host/{socket.gethostname().lower()}")
        env = {**os.environ, **kdc.env}
        # the local domain would be taken for a realm
        more = {"main": {"smtpd_sasl_local_domain": ""}}
        if own:
            with tayori_saslauthd(folder, "-a", "kerberos5", env=env) as mux:
                yield Store(f"pwcheck_method: saslauthd\nsaslauthd_path: {mux}\n", **more)
        else:
            command = (require("saslauthd", "sasl2-bin"), "-a", "kerberos5", "-d", "-m", str(folder), "-n", "2")
            with running(*command, env=env):
                wait_for((folder / "mux").exists)
                yield Store(f"pwcheck_method: saslauthd\nsaslauthd_path: {folder}/mux\n", **more)


BACKENDS: dict[str, Callable[[], AbstractContextManager[Store]]] = {
    "accounts": accounts,
    "passwd-file": passwd_file,
    "saslauthd": saslauthd,
    "pam": lambda: _own_saslauthd("pam"),
    "shadow": lambda: _own_saslauthd("shadow"),
    "cyrus-kerberos5": lambda: _kerberos5(own=False),
    "kerberos5": lambda: _kerberos5(own=True),
    "sasldb": sasldb,
    "gdbm": gdbm,
    "sqlite": sqlite,
    "pgsql": pgsql,
    "mysql": mysql,
    "ldap": ldap,
    "ldapdb": ldapdb,
    "dovecot": dovecot,
    "rimap": rimap,
    "httpform": httpform,
    "oauth": oauth,
    "keytab": keytab,
    "none": none,
}


def folder_of(path: Path) -> Path:
    """pytest's folder, opened so that other users get through."""
    for folder in (path, *path.parents):
        if str(folder).startswith("/tmp/") and folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    return path
