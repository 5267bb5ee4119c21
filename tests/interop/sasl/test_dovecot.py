"""A real Dovecot: its auth socket as our SASL back end, and its IMAP server for rimap."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from interop.sasl import servers
from interop.sasl.peers import PASSWORD
from interop.sasl.servers import Peer
from support.ports import free_port
from tayori.config.settings import Settings
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl.authenticator import Authenticator
from tayori.sasl.mechanisms import MECHANISMS, ClientContext
from tayori.sasl.record import LoginRecord
from tayori.sasl.steps import Challenge, Failure, Success
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater
from tayori.sasl.verifiers.rimap import Rimap


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Peer]:
    with servers.dovecot() as peer:
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
        assert set(auth.offered(True)) == {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"}
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
        assert set(auth.offered(False)) == {"CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"}
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
