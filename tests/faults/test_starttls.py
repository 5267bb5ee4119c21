"""STARTTLS on a real port: what was sent in the clear never counts as sent inside (RFC 3207 4.2, CVE-2011-0411)."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator

import pytest

from support.certificates import make
from support.server import Server, read_replies


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("tls")
    chain = make("mail.example.com").write(base / "chain.pem")
    settings = {"smtpd_tls_chain_files": chain, "smtpd_tls_security_level": "may", "smtpd_timeout": "5s",
                "smtpd_forbid_unauth_pipelining": "no"}  # fmt: skip
    with Server(base, settings) as found:
        yield found


def context() -> ssl.SSLContext:
    found = ssl.create_default_context()
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    return found


def secure(sock: socket.socket) -> tuple[ssl.SSLSocket, object]:
    wrapped = context().wrap_socket(sock)
    wrapped.settimeout(5)
    return wrapped, wrapped.makefile("rb")


@pytest.mark.parametrize(
    "injected", [b"RSET\r\n", b"EHLO evil\r\nMAIL FROM:<evil@b.example>\r\n", b"NOOP\r\n" * 3000]
)
def test_bytes_after_starttls_are_thrown_away(server: Server, injected: bytes) -> None:
    with server.connect() as sock, sock.makefile("rb") as file:
        read_replies(file)
        sock.sendall(b"EHLO x\r\n")
        assert "STARTTLS" in read_replies(file)
        sock.sendall(b"STARTTLS\r\n" + injected)
        assert read_replies(file) == "220 2.0.0 Ready to start TLS"
        wrapped, inside = secure(sock)
        wrapped.sendall(b"NOOP\r\n")
        # the first reply inside answers the first command inside: nothing injected was carried over
        assert read_replies(inside) == "250 2.0.0 Ok"
        wrapped.sendall(b"RCPT TO:<taro@example.com>\r\n")
        assert read_replies(inside).startswith("503 5.5.1")
        wrapped.sendall(b"QUIT\r\n")
        assert read_replies(inside).startswith("221")


def test_the_session_is_as_new(server: Server) -> None:
    with server.connect() as sock, sock.makefile("rb") as file:
        read_replies(file)
        for line in (b"EHLO x", b"STARTTLS"):
            sock.sendall(line + b"\r\n")
            read_replies(file)
        wrapped, inside = secure(sock)
        wrapped.sendall(b"EHLO again\r\n")
        assert "STARTTLS" not in read_replies(inside)
        wrapped.sendall(b"STARTTLS\r\n")
        assert read_replies(inside).startswith("554 5.5.1")


def test_mail_inside_tls(server: Server) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
        client.starttls(context=context())
        client.sendmail("a@b.example", ["taro@example.com"], b"Subject: tls\r\n\r\n" + b"line\r\n" * 60_000)
    [path] = server.wait_mail("taro")
    content = path.read_bytes()
    assert b"with ESMTPS id" in content
    assert content.count(b"line\n") == 60_000


def test_garbage_instead_of_a_handshake(server: Server) -> None:
    for garbage in (b"\x16\x03\x01\xff\xff" + b"x" * 500, b"QUIT\r\n", b"\0" * 20_000, b""):
        with server.connect() as sock, sock.makefile("rb") as file:
            read_replies(file)
            for line in (b"EHLO x", b"STARTTLS"):
                sock.sendall(line + b"\r\n")
                read_replies(file)
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(10)
            try:
                assert b"250" not in file.read()
            except ConnectionResetError:
                pass
    assert "SSL_accept error" in server.log()
    assert "Traceback" not in server.log()
    assert server.send("a@b.example", "hanako@example.com").startswith("250")


def test_silence_in_the_handshake_times_out(server: Server) -> None:
    with server.connect() as sock, sock.makefile("rb") as file:
        read_replies(file)
        for line in (b"EHLO x", b"STARTTLS"):
            sock.sendall(line + b"\r\n")
            read_replies(file)
        assert file.read() in (b"", b"421 4.4.2 mail.example.com Error: timeout exceeded\r\n")
