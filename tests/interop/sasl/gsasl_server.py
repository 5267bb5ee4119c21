"""GNU SASL as a server: `gsasl --server` speaks base64 lines over its standard streams; here SMTP is put around it.

It has no network of its own and no TLS, so there is no channel binding. It accepts one name and password; whether it
did, it says on its standard error.
"""

from __future__ import annotations

import os
import queue
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support import kdc
from support.peers import require

SECONDS = 20
REALM = kdc.REALM.encode()
FINISHED = b"Server authentication finished"


class Talk:
    """One exchange: `step` gives what gsasl says next, True when the client is let in, False when not."""

    def __init__(self, mechanism: str, user: str, password: str, host: str, env: dict[str, str]) -> None:
        self._user = user.encode()
        command = [require("gsasl"), "--server", "-m", mechanism, "--no-cb", "-a", user]
        command += ["-p", password, "-r", host, "--service=smtp", f"--hostname={host}"]
        command += ["--quality-of-protection=qop-auth"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
        self._said: queue.Queue[bytes | bool] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._listen, args=(stream,), daemon=True)
            for stream in (self._process.stdout, self._process.stderr)
        ]
        for thread in self._threads:
            thread.start()
        self._said.get(timeout=SECONDS)  # the mechanism's name

    def step(self, line: bytes | None) -> bytes | bool:
        """`line` as the client sent it, base64; None to hear the first word."""
        assert self._process.stdin is not None
        if line is not None:
            try:
                self._process.stdin.write(line + b"\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                return False
        answer = self._said.get(timeout=SECONDS)
        if isinstance(answer, bytes) and answer.startswith(b"Authzid: "):
            # GSSAPI: it asks the person at the terminal whether this ticket may act as that name
            ticket = self._said.get(timeout=SECONDS)
            allowed = answer.removeprefix(b"Authzid: ") in (b"(null)", self._user)
            allowed = allowed and ticket == b"Display Name: " + self._user + b"@" + REALM
            return self.step(b"y" if allowed else b"n")
        if answer == b"" and line:  # the last word is said: it only waits for a line before it says how it went
            return self.step(b"")
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        for thread in self._threads:
            thread.join(10)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def _listen(self, stream: object) -> None:
        errors = stream is self._process.stderr
        for line in stream:  # type: ignore[attr-defined]
            if not errors:
                # the question for the person ends in what is said to the client: nothing more
                self._said.put(b"" if line.startswith(b"Validate GSS-API user") else line.strip())
            elif line.startswith(FINISHED):
                self._said.put(True)
        if errors:
            self._said.put(False)


class _Session(socketserver.StreamRequestHandler):
    """As much SMTP as a client needs to log in and send one message."""

    def handle(self) -> None:
        self._say("220 gsasl.example ESMTP")
        for line in self.rfile:
            verb, _, rest = line.strip().partition(b" ")
            match verb.upper():
                case b"EHLO":
                    self._say("250-gsasl.example", f"250 AUTH {' '.join(self.server.mechanisms)}")  # type: ignore[attr-defined]
                case b"AUTH":
                    self._say("235 2.7.0 good" if self._auth(*rest.split()) else "535 5.7.8 no")
                case b"DATA":
                    self._say("354 go on")
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    self._say("250 2.0.0 taken")
                case b"QUIT":
                    self._say("221 2.0.0 bye")
                    return
                case _:
                    self._say("250 2.0.0 ok")

    def _auth(self, mechanism: bytes, initial: bytes | None = None) -> bool:
        talk = self.server.talk(mechanism.decode())  # type: ignore[attr-defined]
        try:
            word = talk.step(None)
            if initial is not None and word == b"":
                word = talk.step(initial)
            while not isinstance(word, bool):
                self._say(f"334 {word.decode()}")
                answer = self.rfile.readline().strip()
                if answer == b"*":
                    return False
                word = talk.step(answer)
            return word
        finally:
            talk.close()

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def gsasl_server(
    mechanisms: tuple[str, ...], user: str, password: str, host: str, env: dict[str, str] | None = None
) -> Iterator[int]:
    """The port of an SMTP server on loopback whose AUTH is gsasl's."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    with _Server(("127.0.0.1", 0), _Session) as server:
        server.mechanisms = mechanisms  # type: ignore[attr-defined]
        server.talk = lambda name: Talk(name, user, password, host, environment)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
