"""A real Dovecot: its auth socket as our SASL back end, and its IMAP server for rimap."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from interop.sasl.peers import PASSWORD, connects, running, short_folder, wait_for
from support.peers import missing, need_root, require
from support.ports import free_port
from tayori.config.settings import Settings
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl.authenticator import Authenticator
from tayori.sasl.mechanisms import MECHANISMS, ClientContext
from tayori.sasl.record import LoginRecord
from tayori.sasl.steps import Challenge, Failure, Success
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater
from tayori.sasl.verifiers.rimap import Rimap

CONF = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
log_path = {folder}/log
default_internal_user = dovecot
default_login_user = dovenull
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-256
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
mail_location = maildir:{folder}/home/Maildir
"""


@dataclass
class Peer:
    folder: Path
    imap_port: int
    auth_port: int


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Peer]:
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
            CONF.format(
                folder=folder, uid=user.pw_uid, gid=user.pw_gid, imap_port=peer.imap_port, auth_port=peer.auth_port
            )
        )
        with running(program, "-F", "-c", str(folder / "dovecot.conf"), log=folder / "out"):
            wait_for(lambda: (folder / "auth").exists() and connects(peer.imap_port))
            yield peer


def authenticator(path: str, seen: list[LoginRecord], **values: str) -> Authenticator:
    base = {
        "smtpd_sasl_type": "dovecot",
        "smtpd_sasl_path": path,
        "data_directory": "/nonexistent",
        "queue_directory": "/",
    }
    return Authenticator(Settings.of(base | values), SmtpdConf(), on_login=seen.append)


async def login(auth: Authenticator, mechanism: str, user: str, password: str) -> Success | Failure:
    client = MECHANISMS[mechanism].client(
        ClientContext(user, password, os.urandom, lambda: 0.0, host="mail.example.com")
    )
    exchange = auth.begin(mechanism, client.next(None), client_address="192.0.2.1", tls=True)
    step = await exchange.step()
    for _ in range(5):
        if not isinstance(step, Challenge):
            return step
        step = await exchange.step(client.next(step.data) or b"")
    raise AssertionError("without end")


@pytest.mark.root
@pytest.mark.peer
def test_mechanisms_pass_through(dovecot: Peer) -> None:
    async def scenario(path: str) -> None:
        seen: list[LoginRecord] = []
        auth = authenticator(path, seen)
        await auth.start()
        assert set(auth.offered(True)) == {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"}
        for mechanism in auth.offered(True):
            assert await login(auth, mechanism, "taro", PASSWORD) == Success("taro"), mechanism
        bad = await login(auth, "PLAIN", "taro", "bad")
        assert isinstance(bad, Failure) and not bad.temporary
        many = await asyncio.gather(*(login(auth, "PLAIN", "taro", PASSWORD if n % 2 else "bad") for n in range(8)))
        assert [isinstance(answer, Success) for answer in many] == [False, True] * 4
        assert (seen[-1].source, seen[0].username, seen[0].ok) == (auth.dovecot.name, "taro", True)  # type: ignore[union-attr]
        auth.close()

    for path in (str(dovecot.folder / "auth"), f"unix:{dovecot.folder}/auth", f"inet:127.0.0.1:{dovecot.auth_port}"):
        asyncio.run(scenario(path))


@pytest.mark.root
@pytest.mark.peer
def test_security_options_and_a_broken_path(dovecot: Peer) -> None:
    async def scenario() -> None:
        path = str(dovecot.folder / "auth")
        both = {"smtpd_sasl_security_options": "noplaintext", "smtpd_sasl_tls_security_options": "noanonymous"}
        auth = authenticator(path, [], **both)
        await auth.start()
        assert set(auth.offered(False)) == {"CRAM-MD5", "SCRAM-SHA-256"}
        auth.close()
        auth = authenticator("/nonexistent/auth", [])
        await auth.start()
        assert auth.offered(True) == ()
        auth.close()

    asyncio.run(scenario())


@pytest.mark.root
@pytest.mark.peer
def test_rimap(dovecot: Peer) -> None:
    async def scenario() -> None:
        verifier = Rimap.from_option(f"127.0.0.1/{dovecot.imap_port}")
        assert await verifier.probe() == ""
        assert await verifier.verify("taro", PASSWORD, "", "imap") == Accepted("taro", verifier.name)
        assert await verifier.verify("quote", 'a"b\\c', "", "imap") == Accepted("quote", verifier.name)
        assert await verifier.verify("日本", PASSWORD, "", "imap") == Accepted("日本", verifier.name)
        for user, password in (("taro", "bad"), ("taro", ""), ("nobody", "x"), ('x" OK', "y\r\na OK")):
            assert isinstance(await verifier.verify(user, password, "", "imap"), Refused), (user, password)
        gone = Rimap("127.0.0.1", free_port(), seconds=2)
        assert isinstance(await gone.verify("taro", PASSWORD, "", "imap"), TryLater)

    asyncio.run(scenario())
