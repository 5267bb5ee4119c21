"""Failed and good log-ins count across workers, worker deaths and reloads; a DIGEST-MD5 response counts once in all.

Workers that shall not serve are stopped (SIGSTOP): the others must take the connection.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server, read_replies
from tayori.sasl.mechanisms import digest_md5
from tayori.sasl.mechanisms.digest_fields import quote, read

LIMIT = 20  # Limits.refuse_at
SMTPD_CONF = """\
pwcheck_method: passwd-file
passwd_file: {users}
mech_list: PLAIN DIGEST-MD5
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    main = {
        "smtpd_sasl_auth_enable": "yes",
        "cyrus_sasl_config_path": str(tmp_path / "conf" / "sasl"),
        "tayori_workers": "2",
        "smtpd_client_connection_count_limit": "0",
    }
    files = {
        "sasl/smtpd.conf": SMTPD_CONF.format(users=tmp_path / "conf" / "users"),
        "users": "taro:{PLAIN}himitsu\njiro:{PLAIN}naisho\n",
    }
    with Server(tmp_path, main, files=files) as found:
        yield found


def until(what: str, true: object, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.03)


@contextlib.contextmanager
def only(server: Server, pid: int) -> Iterator[None]:
    """Of the workers only this one serves."""
    others = [other for other in server.children("worker") if other != pid]
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(other, signal.SIGCONT)


class Client:
    def __init__(self, server: Server, port: int = 0, auth: bool = True) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port or server.port), 30)
        self.file = self.sock.makefile("rb")
        assert read_replies(self.file).startswith("220")
        assert ("AUTH" in self.ask("EHLO client.example")) or not auth

    def send(self, line: str) -> None:
        self.sock.sendall(line.encode() + b"\r\n")

    def ask(self, line: str) -> str:
        self.send(line)
        return read_replies(self.file)

    def challenge(self, line: str) -> bytes:
        answer = self.ask(line)
        assert answer.startswith("334 "), answer
        return base64.b64decode(answer[4:])

    def close(self) -> None:
        self.file.close()
        self.sock.close()


def plain(name: str, password: str) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()).decode()


def log_in(server: Server, name: str, password: str) -> str:
    client = Client(server)
    try:
        return client.ask(plain(name, password))
    finally:
        client.close()


def flood(server: Server, name: str, count: int) -> None:
    """Wrong passwords, all at once, so that no delay is due yet."""
    assert all(reply.startswith("535") for reply in at_once(server, [plain(name, "wrong")] * count))


def at_once(server: Server, lines: list[str], port: int = 0) -> list[str]:
    """The reply to each line, all sent before any is answered."""
    clients = [Client(server, port) for _ in lines]
    for client, line in zip(clients, lines, strict=True):
        client.send(line)
    replies = [read_replies(client.file) for client in clients]
    for client in clients:
        client.close()
    return replies


class Saslauthd(threading.Thread):
    """Says no to everybody but `himitsu`, a moment late, and counts who asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.asked: list[bytes] = []
        self.delay = 0.3
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(str(path))
        path.chmod(0o666)
        self._sock.listen(200)

    def run(self) -> None:
        while True:
            try:
                asking, _ = self._sock.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(asking,), daemon=True).start()

    def _answer(self, asking: socket.socket) -> None:
        with asking, contextlib.suppress(OSError):
            question = asking.recv(1000)
            if question:
                self.asked.append(question)
                time.sleep(self.delay)
                asking.sendall(b"\0\2OK" if b"himitsu" in question else b"\0\2NO")

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self.join(5)


def test_of_fifty_at_once_the_limit_is_tried_and_each_has_its_line(tmp_path: Path) -> None:
    """Two workers, one address, another name each: neither a worker nor a name gives further tries."""
    main = {
        "smtpd_sasl_auth_enable": "yes",
        "cyrus_sasl_config_path": str(tmp_path / "conf" / "sasl"),
        "tayori_workers": "2",
        "smtpd_client_connection_count_limit": "0",
    }
    folder = Path(tempfile.mkdtemp(prefix="sasl"))  # a socket's name is short
    folder.chmod(0o755)
    verifier = Saslauthd(folder / "mux")
    verifier.start()
    conf = f"pwcheck_method: saslauthd\nsaslauthd_path: {folder}/mux\nmech_list: PLAIN LOGIN\n"
    try:
        with Server(tmp_path, main, files={"sasl/smtpd.conf": conf}) as server:
            verifier.delay = 60
            waiting = [Client(server) for _ in range(LIMIT)]
            for client in waiting:
                client.send(plain("x", "wrong"))
            until("they are not asked", lambda: len(verifier.asked) == LIMIT)
            workers = list(server.children("worker"))
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            until(
                "no others",
                lambda: len(server.children("worker")) == 2 and not set(workers) & set(server.children("worker")),
            )
            verifier.delay = 0.3
            # what the dead had begun holds no place
            right = at_once(server, [plain(f"u{n}", "himitsu") for n in range(50)])
            assert all(reply.startswith("235") for reply in right), right
            verifier.asked.clear()
            wrong = at_once(server, [plain(f"user{n}", "wrong") for n in range(50)])
            assert len(verifier.asked) == 50, "a source of friends has room for more"
            server.stop()
            verifier.asked.clear()
            server.start()
            wrong = at_once(server, [plain(f"user{n}", "wrong") for n in range(50)])
            assert len(verifier.asked) == LIMIT, len(verifier.asked)
            assert sorted(reply[:9] for reply in wrong) == ["454 4.7.0"] * (50 - LIMIT) + ["535 5.7.8"] * LIMIT
            server.stop()
            assert server.log().count("warning: unknown[127.0.0.1]: SASL PLAIN authentication failed: ") == 100
    finally:
        verifier.close()
        shutil.rmtree(folder)


def test_failures_and_friends_are_known_to_both_workers_and_to_those_that_follow(server: Server) -> None:
    one, two = server.children("worker")
    with only(server, one):
        assert log_in(server, "taro", "himitsu").startswith("235")
        flood(server, "jiro", LIMIT)
        assert log_in(server, "jiro", "naisho").startswith("454 4.7.0"), "refused for a while where it happened"
    with only(server, two):
        assert log_in(server, "jiro", "naisho").startswith("454 4.7.0"), "and in the other worker"
        assert log_in(server, "taro", "himitsu").startswith("235"), "who logged in there keeps his way in"
    server.wait_log("too many failed log-ins from 127.0.0.1")

    os.kill(one, signal.SIGKILL)
    until("no other worker", lambda: len(server.children("worker")) == 2 and one not in server.children("worker"))
    server.wait_log("starting another")
    third = next(pid for pid in server.children("worker") if pid != two)
    with only(server, third):
        assert log_in(server, "jiro", "naisho").startswith("454"), "its successor knows"
        assert log_in(server, "taro", "himitsu").startswith("235")

    assert server.command("reload", "-c", str(server.conf)).returncode == 0
    old = {two, third}
    until("old workers stay", lambda: not old & set(server.children("worker")))
    for pid in server.children("worker"):
        with only(server, pid):
            assert log_in(server, "jiro", "naisho").startswith("454"), "a reload forgets no failure"
            assert log_in(server, "taro", "himitsu").startswith("235"), "and no friend"


def response(challenge: bytes, count: int, cnonce: str = "c2FsdA", nonce: str = "") -> tuple[str, str]:
    """(the response in base64, its nonce) for taro."""
    offered = read(challenge, repeated=True) if challenge else {"realm": "mail.example.com", "nonce": nonce}
    fields = {
        "username": "taro", "realm": offered["realm"], "nonce": offered["nonce"], "nc": f"{count:08x}",
        "cnonce": cnonce, "digest-uri": "smtp/mail.example.com",
    }  # fmt: skip
    secret = digest_md5.user_hash("taro", fields["realm"], "himitsu")
    proof = digest_md5.proof(secret, fields, fields["nonce"], "AUTHENTICATE")
    quoted = ",".join(f"{key}={value if key == 'nc' else quote(value)}" for key, value in fields.items())
    return base64.b64encode(f"charset=utf-8,{quoted},qop=auth,response={proof}".encode()).decode(), fields["nonce"]


def test_a_digest_response_lets_in_once_whichever_worker_is_asked(server: Server) -> None:
    one, two = server.children("worker")
    with only(server, one):
        first = Client(server)
        heard, nonce = response(first.challenge("AUTH DIGEST-MD5"), 1)
        assert first.challenge(heard).startswith(b"rspauth=")
        assert first.ask("").startswith("235")
    second, _ = response(b"", 2, nonce=nonce)
    for pid in (two, one):
        with only(server, pid):
            fresh = Client(server).challenge("AUTH DIGEST-MD5")
            assert read(fresh)["nonce"] != nonce
            answer = Client(server)
            answer.challenge("AUTH DIGEST-MD5")
            assert answer.ask(heard).startswith("535"), "what was overheard is for a nonce of the past"
            again = Client(server).challenge(f"AUTH DIGEST-MD5 {heard}")
            assert b"stale=true" in again and read(again)["nonce"] != nonce, "nor as a repeated log-in"
    with only(server, two):
        assert b"stale=true" in Client(server).challenge(f"AUTH DIGEST-MD5 {second}"), (
            "only who gave the nonce goes on"
        )
    with only(server, one):
        repeated = Client(server)
        assert repeated.challenge(f"AUTH DIGEST-MD5 {second}").startswith(b"rspauth="), "the next count, there"
        assert repeated.ask("").startswith("235")
    for pid in (one, two):
        with only(server, pid):
            assert b"stale=true" in Client(server).challenge(f"AUTH DIGEST-MD5 {second}"), "once"
    os.kill(one, signal.SIGKILL)
    until("no other worker", lambda: len(server.children("worker")) == 2 and one not in server.children("worker"))
    third, _ = response(b"", 3, nonce=nonce)
    for pid in server.children("worker"):
        with only(server, pid):
            assert b"stale=true" in Client(server).challenge(f"AUTH DIGEST-MD5 {third}"), (
                "a nonce dies with its worker"
            )
