"""Garbage, floods and peers that do not keep to the rules: the server answers, ends the session, and lives on."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server, read_replies

SETTINGS = {
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "5",
    "smtpd_hard_error_limit": "10",
    "smtpd_timeout": "3s",
    "message_size_limit": "1000000",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_forbid_unauth_pipelining": "no",
    "tayori_workers": "1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hostile"), SETTINGS) as found:
        yield found


@pytest.fixture(autouse=True)
def healthy(server: Server) -> Iterator[None]:
    """After each attack: no worker has died, nothing unexpected was raised, mail still flows."""
    before = set(server.children("worker"))
    yield
    assert set(server.children("worker")) == before, server.log()[-3000:]
    assert server.send("a@b.example", "hanako@example.com").startswith("250")
    trouble = [row for row in server.log().splitlines() if "raceback" in row or "never retrieved" in row]
    assert not trouble, server.log()[-6000:]


def worker_memory(server: Server) -> int:
    """Bytes of resident memory of the one worker."""
    [pid] = server.children("worker")
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def everything(sock: socket.socket, seconds: float = 15.0) -> bytes:
    """What comes until the server closes."""
    sock.settimeout(seconds)
    found = b""
    try:
        while data := sock.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return found


def test_random_bytes_end_by_the_error_limit(server: Server) -> None:
    chance = random.Random(1)
    for _ in range(30):
        with server.connect() as sock:
            try:
                for _ in range(20):
                    sock.sendall(chance.randbytes(chance.randrange(1, 2000)) + b"\r\n")
                sock.sendall(b"\r\n" * 20)
            except (BrokenPipeError, ConnectionResetError):
                pass
            said = everything(sock).decode().splitlines()
        assert said[0].startswith("220 ")
        assert all(row.startswith(("220", "5", "421", "221")) for row in said), said
        assert said[-1].startswith(("421 4.7.0", "221 2.7.0")), said[-3:]


def test_hard_error_limit(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(b"EHLO x\r\n" + b"BOGUS\r\n" * 50)
        said = [row for row in everything(sock).decode().splitlines() if not row.startswith("250")]
    assert said[1:11] == ["500 5.5.2 Error: command not recognized"] * 10
    assert said[11:] == ["421 4.7.0 mail.example.com Error: too many errors"]


def test_junk_commands_count_as_errors(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(b"EHLO x\r\n" + b"RSET\r\n" * 1000)
        said = everything(sock).decode().splitlines()
    assert said[-1].startswith("421 4.7.0")
    assert len(said) < 140


def test_a_line_without_end_is_not_kept(server: Server) -> None:
    before = worker_memory(server)
    with server.connect() as sock, sock.makefile("rb") as file:
        read_replies(file)
        sock.sendall(b"EHLO x\r\n")
        read_replies(file)
        for _ in range(640):
            sock.sendall(b"A" * 65536)
        sock.sendall(b"\r\n")
        assert read_replies(file).startswith("500 5.5.2")
        sock.sendall(b"QUIT\r\n")
        assert read_replies(file).startswith("221")
    assert worker_memory(server) - before < 8 << 20


def test_nul_bytes(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(
            b"EHLO \0x\r\nMAIL FROM:<\0@b.example>\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ta\0ro@example.com>\r\n"
            b"RCPT TO:<taro@example.com>\r\nDATA\r\n"
        )
        time.sleep(0.2)
        sock.sendall(b"Subject: n\0ul\r\n\r\na\0b\r\n.\r\nQUIT\r\n")
        said = everything(sock).decode().splitlines()
    assert said[-1].startswith("221")
    assert server.wait_mail("taro", 1)


def test_one_byte_at_a_time(server: Server) -> None:
    count = len(server.mailbox("taro"))
    data = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<taro@example.com>\r\nDATA\r\n"
    with server.connect() as sock, sock.makefile("rb") as file:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_replies(file)
        for part in (data, b"Subject: drip\r\n\r\n..dot\r\n.\r\nQUIT\r\n"):
            for at in range(len(part)):
                sock.sendall(part[at : at + 1])
                time.sleep(0.001)
            time.sleep(0.1)
        said = everything(sock).decode()
    assert "354 " in said and said.splitlines()[-1].startswith("221")
    assert b"\n.dot\n" in server.wait_mail("taro", count + 1)[-1].read_bytes()


def test_half_closed_client_gets_its_replies(server: Server) -> None:
    count = len(server.mailbox("taro"))
    with server.connect() as sock:
        sock.sendall(
            b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<taro@example.com>\r\nDATA\r\nSubject: half\r\n\r\nx\r\n.\r\n"
        )
        sock.shutdown(socket.SHUT_WR)
        said = everything(sock).decode()
    assert "250 2.0.0 Ok: queued as" in said
    server.wait_mail("taro", count + 1)


def test_timeouts_end_the_session(server: Server) -> None:
    for start in (
        b"",
        b"EHLO x\r\n",
        b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<taro@example.com>\r\nDATA\r\nSubject: x\r\n",
    ):
        with server.connect() as sock:
            sock.sendall(start)
            began = time.monotonic()
            said = everything(sock).decode().splitlines()
            assert said[-1] == "421 4.4.2 mail.example.com Error: timeout exceeded"
            assert 2.0 < time.monotonic() - began < 6.0


def test_data_without_end(server: Server) -> None:
    """200 MB against message_size_limit = 1 MB: 552 at the end, and memory stays where it was."""
    before = worker_memory(server)
    peak = before
    with server.connect() as sock, sock.makefile("rb") as file:
        read_replies(file)
        for line in (b"EHLO x", b"MAIL FROM:<a@b.example>", b"RCPT TO:<taro@example.com>", b"DATA"):
            sock.sendall(line + b"\r\n")
            read_replies(file)
        block = b"0123456789" * 6 + b"\r\n"
        for at in range(200):
            sock.sendall(block * 16_000)
            if at % 20 == 0:
                peak = max(peak, worker_memory(server))
        sock.sendall(b".\r\n")
        assert read_replies(file) == "552 5.3.4 Error: message file too big"
        sock.sendall(b"QUIT\r\n")
        assert read_replies(file).startswith("221")
    assert peak - before < 16 << 20, f"{peak - before} bytes more"


def test_a_client_that_reads_no_replies(server: Server) -> None:
    """HELP by the million, replies unread: the server stops reading, then gives up; memory stays bounded."""
    before = worker_memory(server)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", server.port))
        sock.settimeout(1.0)
        sent = 0
        try:
            while sent < 60_000_000:
                sent += sock.send(b"HELP\r\n" * 8000)
        except (TimeoutError, ConnectionError):
            pass
        assert sent < 30_000_000
        assert worker_memory(server) - before < 48 << 20
        server.wait_log("timeout after HELP", 12)


def test_thousands_of_connections(server: Server) -> None:
    """1,000 idle sessions at once, a thousand quick ones, and mail in between."""
    idle = [server.connect() for _ in range(1000)]
    try:
        for sock in idle[::50]:
            assert sock.recv(100).startswith(b"220")
        assert server.send("a@b.example", "taro@example.com").startswith("250")
    finally:
        for sock in idle:
            sock.close()
    for _ in range(1000):
        server.connect().close()


def test_connections_dropped_anywhere(server: Server) -> None:
    """The session cut after every byte of a dialogue: no message appears, nothing breaks."""
    count = len(server.mailbox("taro"))
    dialogue = (
        b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<taro@example.com>\r\nDATA\r\nSubject: cut\r\n\r\nx\r\n.\r"
    )
    for at in range(len(dialogue) + 1):
        with server.connect() as sock:
            sock.sendall(dialogue[:at])
    time.sleep(0.3)
    assert len(server.mailbox("taro")) == count
