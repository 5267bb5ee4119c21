"""PostgreSQL, MariaDB, OpenLDAP and Dovecot: private instances on loopback, ended at exit."""

from __future__ import annotations

import importlib
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop.sasl.peers import PASSWORD, connects, running, short_folder, wait_for
from support.peers import missing, need_root, require
from support.ports import free_port


def library(name: str, extra: str) -> Any:
    """An optional library; absent, the test is skipped, or fails where every peer is required."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"{name} is not installed (pip install 'tayori[{extra}]')")


@contextmanager
def postgresql() -> Iterator[tuple[Path, int]]:
    initdb, server = require("initdb", "postgresql"), require("postgres", "postgresql")
    owner = "postgres" if os.geteuid() == 0 else ""
    more = {"user": owner} if owner else {}
    with short_folder(owner) as folder:
        command = [initdb, "-D", str(folder / "db"), "-U", "tayori", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **more)  # type: ignore[call-overload]
        port = free_port()
        flags = ("-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-k", str(folder), "-F")
        with running(server, "-D", str(folder / "db"), *flags, cwd="/", **more):
            ready = [require("pg_isready", "postgresql-client"), "-h", "127.0.0.1", "-p", str(port)]
            wait_for(lambda: connects(port) and subprocess.run(ready, capture_output=True).returncode == 0)
            yield folder, port


@contextmanager
def mariadb() -> Iterator[tuple[Any, int]]:
    """(a connection as root, port); the account sasl/pw may read the empty table mail.users (name, realm, password)."""
    pymysql = library("pymysql", "mysql")
    install, server = require("mariadb-install-db", "mariadb-server"), require("mariadbd", "mariadb-server")
    owner = "mysql" if os.geteuid() == 0 else ""
    with short_folder(owner) as folder:
        user = [f"--user={owner}"] if owner else []
        flags = ["--no-defaults", f"--datadir={folder}/db", "--auth-root-authentication-method=normal", *user]
        subprocess.run([install, *flags], check=True, capture_output=True)
        port, socket = free_port(), folder / "s"
        flags = [f"--datadir={folder}/db", f"--socket={socket}", f"--port={port}", "--bind-address=127.0.0.1", *user]
        with running(server, "--no-defaults", *flags, f"--pid-file={folder}/pid"):
            wait_for(lambda: socket.exists() and connects(port), 30)
            db = pymysql.connect(unix_socket=str(socket), user="root", charset="utf8mb4", autocommit=True)
            with db.cursor() as cursor:
                cursor.execute("CREATE DATABASE mail CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
                cursor.execute(
                    "CREATE TABLE mail.users (name VARCHAR(100), realm VARCHAR(100), password VARCHAR(300))"
                )
                for host in ("localhost", "127.0.0.1"):
                    cursor.execute(f"CREATE USER 'sasl'@'{host}' IDENTIFIED BY 'pw'")
                    cursor.execute(f"GRANT SELECT ON mail.users TO 'sasl'@'{host}'")
            try:
                yield db, port
            finally:
                db.close()


LDIF = f"""dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: x
dc: example

dn: uid=taro,dc=example,dc=com
objectClass: inetOrgPerson
uid: taro
cn: taro
sn: taro
userPassword: {PASSWORD}

dn: uid=twin,dc=example,dc=com
objectClass: inetOrgPerson
uid: twin
uid: taro2
cn: a
sn: a
userPassword: x

dn: uid=proxy,dc=example,dc=com
objectClass: inetOrgPerson
uid: proxy
cn: proxy
sn: proxy
authzTo: dn.regex:^uid=[^,]*,dc=example,dc=com$
userPassword: proxypw
"""


@contextmanager
def openldap() -> Iterator[str]:
    try:
        import bonsai  # noqa: F401
    except ImportError:
        missing("the bonsai library is not installed (make setup EXTRAS=all)")
    slapd, slapadd = require("slapd"), require("slapadd", "slapd")
    with short_folder() as folder:
        (folder / "db").mkdir()
        modules = next((p for p in ("/usr/lib/ldap", "/usr/lib/openldap") if Path(p).is_dir()), "/usr/lib/ldap")
        (folder / "slapd.conf").write_text(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n"
            "include /etc/ldap/schema/inetorgperson.schema\n"
            f"modulepath {modules}\nmoduleload back_mdb\npidfile {folder}/pid\n"
            "sasl-auxprops slapd\nauthz-policy to\n"
            "authz-regexp uid=([^,]*),cn=[^,]*,cn=auth uid=$1,dc=example,dc=com\n"
            "authz-regexp uid=([^,]*),cn=[^,]*,cn=[^,]*,cn=auth uid=$1,dc=example,dc=com\n"
            f'database mdb\nsuffix "dc=example,dc=com"\nrootdn "cn=admin,dc=example,dc=com"\nrootpw adminpw\ndirectory {folder}/db\n'
            "access to attrs=userPassword by self read by anonymous auth\naccess to * by * read\n"
        )
        (folder / "x.ldif").write_text(LDIF)
        added = subprocess.run(
            [slapadd, "-f", str(folder / "slapd.conf"), "-l", str(folder / "x.ldif")], capture_output=True, text=True
        )
        assert added.returncode == 0, added.stderr
        port = free_port()
        with running(slapd, "-h", f"ldap://127.0.0.1:{port}", "-f", str(folder / "slapd.conf"), "-d", "0"):
            wait_for(lambda: connects(port))
            yield f"ldap://127.0.0.1:{port}"


DOVECOT = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
log_path = {folder}/log
default_internal_user = dovecot
default_login_user = dovenull
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
auth_failure_delay = 0
auth_username_chars =
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
  inet_listener {{
    address = 127.0.0.1
    port = {auth_port}
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
mail_location = maildir:{folder}/home/Maildir
"""


@dataclass
class Peer:
    folder: Path
    imap_port: int
    auth_port: int


@contextmanager
def dovecot(more: str = "") -> Iterator[Peer]:
    """Auth socket and IMAP; `more` is added to its configuration."""
    need_root("Dovecot's processes have users of their own")
    program = require("dovecot", "dovecot-core")
    if not Path("/usr/lib/dovecot/imap").exists():
        missing("dovecot-imapd is not installed")
    with short_folder() as folder:
        user = pwd.getpwnam("nobody")
        (folder / "home").mkdir()
        os.chown(folder / "home", user.pw_uid, user.pw_gid)
        (folder / "users").write_text(f'taro:{{PLAIN}}{PASSWORD}\nquote:{{PLAIN}}a"b\\c\n日本:{{PLAIN}}{PASSWORD}\n')
        (folder / "users").chmod(0o644)
        peer = Peer(folder, free_port(), free_port())
        (folder / "dovecot.conf").write_text(
            DOVECOT.format(
                folder=folder, uid=user.pw_uid, gid=user.pw_gid, imap_port=peer.imap_port, auth_port=peer.auth_port
            )
            + more
        )
        with running(program, "-F", "-c", str(folder / "dovecot.conf"), log=folder / "out"):
            wait_for(lambda: (folder / "auth").exists() and connects(peer.imap_port))
            yield peer
