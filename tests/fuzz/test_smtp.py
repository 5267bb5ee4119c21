"""A real server against dialogues that a grammar of right and wrong pieces makes: it always answers, never stumbles."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from support.server import Server

SETTINGS = {
    "smtpd_error_sleep_time": "0", "smtpd_hard_error_limit": "1000", "smtpd_junk_command_limit": "1000",
    "smtpd_soft_error_limit": "1000", "smtpd_forbid_unauth_pipelining": "no", "smtpd_timeout": "10s",
    "smtpd_client_connection_count_limit": "0", "message_size_limit": "200000", "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "smtpd_sasl_auth_enable": "yes", "smtpd_forbidden_commands": "", "smtpd_sasl_security_options": "",
}  # fmt: skip
VERBS = (b"EHLO", b"HELO", b"MAIL FROM:", b"RCPT TO:", b"DATA", b"RSET", b"NOOP", b"VRFY", b"HELP", b"ETRN", b"AUTH",
         b"XCLIENT", b"STARTTLS", b"ehlo", b"Mail From:", b"BDAT", b"", b" ", b"MAIL", b"RCPT", b"\xff\xfe", b"AUTH PLAIN")  # fmt: skip
ARGUMENTS = (
    b"<a@b.example>", b"<taro@example.com>", b"<>", b"<<>>", b"a@b", b"<a@b.example> SIZE=100", b"<a@b> SIZE=99999999999",
    b"<a@b> SIZE=-1", b"<a@b> BODY=8BITMIME", b"<a@b> BODY=x", b"<a@b> SMTPUTF8", b"<\xe4@\xf6.example> SMTPUTF8",
    "<ä@例え.example> SMTPUTF8".encode(), b'<"quoted string"@b.example>', b'<"\\\\">', b"<@r1,@r2:a@b.example>", b"<a@[127.0.0.1]>",
    b"<a@[IPv6:::1]>", b"<" + b"x" * 300 + b"@b.example>", b"<a@" + b"b." * 200 + b"example>", b"NAME=x ADDR=10.0.0.1", b"ADDR=IPV6:::1",
    b"ADDR=nonsense PORT=x", b"PLAIN AHgAeQ==", b"PLAIN *", b"PLAIN !!!!", b"LOGIN", b"NONSENSE", b"x.example", b"[10.0.0.1]", b"\0",
    b"%n%s", b"<a%b@example.com>", b"<a!b@example.com>", b"<postmaster>", b"<taro+x@example.com> NOTIFY=SUCCESS ORCPT=rfc822;a+40b",
    b"<taro@example.com> NOTIFY=NEVER,SUCCESS", b"<a@b> RET=HDRS ENVID=x+3Dy", b"<a@b> RET=x", b"<a@b> AUTH=<>", b"*", b"#example.com", b"",
)  # fmt: skip
LINES = (b"Subject: x", b"Message-ID: <\xff@x>", b"From: \xff\xfe", b"To: \xe3\x81\x82", b"", b".", b"..", b"\0", b"x" * 5000, b"\r",
         b"Received: x", b"Return-Path: <x>", b" folded", b"NoColon", b":", b"Resent-To: a", b"Content-Length: 5", b"=?utf-8?q?=00?=")  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("fuzz"), SETTINGS) as found:
        yield found


def dialogue(chance: random.Random) -> bytes:
    end = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r")
    parts = []
    for _ in range(chance.randrange(1, 14)):
        if chance.random() < 0.3:
            parts += [b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<taro@example.com>\r\nDATA\r\n"]
            parts += [chance.choice(LINES) + chance.choice(end) for _ in range(chance.randrange(8))]
            parts += [b"\r\n.\r\n"]
        else:
            parts += [chance.choice(VERBS), b" " * chance.randrange(3), chance.choice(ARGUMENTS), chance.choice(end)]
    text = bytearray(b"".join(parts))
    if chance.random() < 0.3 and text:
        for _ in range(5):
            text[chance.randrange(len(text))] = chance.randrange(256)
    return bytes(text)


@pytest.mark.parametrize("seed", range(4))
def test_dialogues(server: Server, seed: int) -> None:
    chance = random.Random(seed)
    workers = set(server.children("worker"))
    for _ in range(120):
        data = dialogue(chance)
        with server.connect() as sock:
            sock.settimeout(9)
            at = 0
            while at < len(data):
                step = chance.choice((len(data), 7, 100))
                sock.sendall(data[at : at + step])
                at += step
            sock.shutdown(socket.SHUT_WR)
            said = b""
            try:
                while part := sock.recv(65536):
                    said += part
            except ConnectionResetError:
                pass
        for row in said.splitlines():
            assert row[:3].isdigit() and row[3:4] in (b" ", b"-") and row[:1] in b"2345", (data, row)
            assert b"/" + b"tmp" not in row, row
    assert set(server.children("worker")) == workers
    log = server.log()
    assert "Traceback" not in log and "error: " not in log.lower().replace("state of error: ", ""), [
        row for row in log.splitlines() if "Traceback" in row or "error: " in row.lower()
    ][:5]
    assert server.send("a@b.example", "hanako@example.com").startswith("250")
