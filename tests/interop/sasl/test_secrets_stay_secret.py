"""Right and wrong passwords in every mechanism, and passwords in places where they do not belong: none of them is in
any file that the server writes (log, queue, history, failed log-ins), neither plain nor in base64 nor in hexadecimal.
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from interop.sasl import backends, pki
from interop.sasl.peers import short_folder
from support.server import Server, read_replies
from tayori.sasl.mechanisms import MECHANISMS, ClientContext

RIGHT, WRONG, MISPLACED = "Rihgt-Secret-71", "Wrogn-Secret-62", "Lost-Secret-5309"
MECHANISM_NAMES = [
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
    "OAUTHBEARER",
    "XOAUTH2",
]


class Session:
    def __init__(self, server: Server, tls: bool = True) -> None:
        self.sock: socket.socket = socket.create_connection(("127.0.0.1", server.port), 20)
        self.file = self.sock.makefile("rb")
        read_replies(self.file)
        self.ask("EHLO client.example")
        if tls:
            assert self.ask("STARTTLS").startswith("220")
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)
            self.file = self.sock.makefile("rb")
            self.ask("EHLO client.example")

    def ask(self, line: str) -> str:
        self.sock.sendall(line.encode() + b"\r\n")
        return read_replies(self.file)

    def close(self) -> None:
        self.file.close()
        self.sock.close()

    def log_in(self, name: str, password: str, token: str = "") -> str:
        """The last reply."""
        context = ClientContext(
            "taro", password, os.urandom, time.time, host="mail.example.com", token=token, port=587
        )
        client = MECHANISMS[name].client(context)
        first = client.next(None)
        reply = self.ask(f"AUTH {name}" + (f" {base64.b64encode(first).decode()}" if first is not None else ""))
        while reply.startswith("334"):
            response = client.next(base64.b64decode(reply[4:]))
            reply = self.ask(base64.b64encode(response or b"").decode())
        return reply


def forms(secret: str) -> Iterator[bytes]:
    """As it is and in small and big letters, in hexadecimal of both cases, and in base64 at each of the three places in a group of three octets."""
    data = secret.encode()
    yield from (data, data.lower(), data.upper())
    yield data.hex().encode()
    yield data.hex().upper().encode()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + data + b"\0" * ((-len(data) - before) % 3))
        inner = whole[(4 if before else 0) :]
        yield inner[: len(inner) - 4]


def misplace(server: Server) -> None:
    """Passwords where a client that lost its way would put them."""
    encoded = base64.b64encode(MISPLACED.encode()).decode()
    plain = base64.b64encode(f"\0taro\0{MISPLACED}".encode()).decode()
    for line in (
        f"AUTH PLAIN taro {MISPLACED}",
        f"AUTH PLAIN {MISPLACED}",
        f"AUTH NTLM {plain}",
        f"AUTH {MISPLACED}",
        f"AUTH {encoded}",
        encoded,
        MISPLACED,
        f"PASS {MISPLACED}",
    ):
        session = Session(server)
        session.ask(line)
        session.ask("QUIT")
        session.close()
    for mechanism, lines in (
        ("LOGIN", ["dGFybw==", MISPLACED]),
        ("LOGIN", ["dGFybw==", f"{encoded}!"]),
        ("PLAIN", [f"\\0taro\\0{MISPLACED}"]),
        ("CRAM-MD5", [encoded]),
        ("DIGEST-MD5", [plain]),
        ("SCRAM-SHA-256", [plain]),
        ("OAUTHBEARER", [plain]),
        ("PLAIN", [base64.b64encode(f"jiro\0taro\0{MISPLACED}".encode()).decode()]),
        ("PLAIN", [base64.b64encode(f"\0taro\0{MISPLACED}\0".encode()).decode()]),
    ):
        session = Session(server)
        session.ask(f"AUTH {mechanism}")
        for line in lines:
            session.ask(line)
        session.ask("QUIT")
        session.close()
    without = Session(server, tls=False)
    for line in ("AUTH LOGIN", "dGFybw==", encoded, f"AUTH PLAIN {plain}", "QUIT"):
        without.ask(line)
    without.close()


@pytest.mark.peer
def test_no_file_holds_a_password() -> None:
    with short_folder() as folder, backends.oauth() as tokens:
        keys = pki.make(folder)
        conf = tokens.conf.replace("oauth\n", "passwd-file oauth\n", 1)
        conf += (
            f"passwd_file: {folder}/conf/users\nmech_list: {' '.join(MECHANISM_NAMES)}\noauth_username_claim: sub\n"
        )
        main = {
            "smtpd_sasl_auth_enable": "yes", "cyrus_sasl_config_path": str(folder / "conf/sasl"),
            "smtpd_tls_security_level": "may", "smtpd_tls_auth_only": "yes", "smtpd_tls_chain_files": str(keys.server),
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject", "smtpd_delay_reject": "yes",
            "smtpd_tls_loglevel": "2", "debug_peer_list": "127.0.0.1", "debug_peer_level": "3",
            "smtpd_soft_error_limit": "100", "tayori_history_headers": "65536",
        }  # fmt: skip
        files = {"sasl/smtpd.conf": conf, "users": f"taro:{{PLAIN}}{RIGHT}\n"}
        with Server(folder, main, files=files) as server:
            for name in MECHANISM_NAMES:
                token = name in ("OAUTHBEARER", "XOAUTH2")
                for password in (WRONG, RIGHT):
                    session = Session(server)
                    bearer = (tokens.token if password is RIGHT else f"{WRONG}.{tokens.token}") if token else ""
                    reply = session.log_in(name, "" if token else password, bearer)
                    assert reply[:3] == ("235" if password is RIGHT else "535"), (name, reply)
                    if password is RIGHT:
                        for line in ("MAIL FROM:<taro@example.com>", "RCPT TO:<taro@example.com>", "DATA"):
                            session.ask(line)
                        assert session.ask("Subject: x\r\n\r\nx\r\n.").startswith("250")
                    session.close()
            misplace(server)
            server.wait_mail("taro", len(MECHANISM_NAMES))
            server.wait_log("user=taro client=127.0.0.1 backend=passwd-file")
            time.sleep(0.5)
            told = server.log()
        for name in MECHANISM_NAMES:
            assert f"method={name} " in told and f"method={name} " in told.replace("result=accepted", ""), name
        secrets = {RIGHT, WRONG, MISPLACED, tokens.token, tokens.token.split(".")[2]}
        wanted = {form: secret for secret in secrets for form in forms(secret)}
        own = {folder / "conf/users"}
        found, looked = [], 0
        for path in folder.rglob("*"):
            if path.is_file() and path not in own and not path.is_relative_to(folder / "home"):
                data, looked = path.read_bytes(), looked + 1
                found += [(str(path.relative_to(folder)), secret) for form, secret in wanted.items() if form in data]
        assert looked > 5 and not found, found
        for path in (folder / "home").rglob("*"):
            assert not path.is_file() or not any(form in path.read_bytes() for form in wanted)
