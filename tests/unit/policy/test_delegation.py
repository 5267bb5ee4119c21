"""check_policy_service against a small server."""

from __future__ import annotations

import asyncio

import pytest

from support.policy import Session, build
from tayori.policy.services import Verified
from tayori.protocol.policy_delegation import PolicyProtocolError, Reply, encode

COMMANDS = ("XCLIENT NAME=host.ex.org ADDR=192.0.2.9", "EHLO x", "MAIL FROM:<a@x.y>", "RCPT TO:<u@example.com>")


class Server:
    """Answers with `answers` in turn; remembers requests and counts connections."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, str]] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            try:
                data = await reader.readuntil(b"\n\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            self.requests.append(dict(line.split("=", 1) for line in data.decode().splitlines() if line))
            answer = self.answers.pop(0)
            writer.write(answer)
            await writer.drain()
            if not answer.endswith(b"\n\n"):
                break
        writer.close()


async def no_sleep(seconds: float) -> None:
    del seconds


def talk(server: Server, options: str = "", mails: int = 1) -> list[str]:
    async def run() -> list[str]:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        spec = f"{{ inet:127.0.0.1:{port}{options} }}"
        policy = build({"smtpd_recipient_restrictions": f"check_policy_service {spec}"}, sleep=no_sleep)
        replies = []
        for _ in range(mails):
            session = Session(policy)
            for command in COMMANDS:
                reply = await session.say(command)
            replies.append(reply)
        listener.close()
        return replies

    return asyncio.run(run())


def test_actions_and_reuse_of_the_connection() -> None:
    server = Server(b"action=DUNNO\n\n", b"x=y\nAction=REJECT 5.1.1 go away\n\n", b"action=defer_if_permit wait\n\n")
    assert talk(server, mails=3) == [
        "250",
        "554 5.1.1 <u@example.com>: Recipient address rejected: go away",
        "450 4.7.1 <u@example.com>: Recipient address rejected: wait",
    ]
    assert server.connections == 1
    asked = server.requests[0]
    assert asked["request"] == "smtpd_access_policy" and asked["protocol_state"] == "RCPT"
    assert (asked["client_address"], asked["helo_name"], asked["sender"]) == ("192.0.2.9", "x", "a@x.y")
    assert len(asked) == 29


def test_request_limit_and_context() -> None:
    server = Server(b"action=DUNNO\n\n", b"action=DUNNO\n\n")
    assert talk(server, ", request_limit=1, policy_context=submission", mails=2) == ["250", "250"]
    assert server.connections == 2
    assert server.requests[1]["policy_context"] == "submission"


@pytest.mark.parametrize("answer", [b"", b"action\n\n", b"action=OK\n\nmore\n\n"])
def test_a_broken_answer_is_tried_again_and_then_defers(answer: bytes) -> None:
    server = Server(answer, answer)
    assert talk(server) == ["451 4.3.5 <u@example.com>: Recipient address rejected: Server configuration problem"]
    assert server.connections == 2
    assert talk(Server(answer, answer), ", default_action=DUNNO") == ["250"]
    assert talk(Server(answer, b"action=OK\n\n")) == ["250"]


def test_protocol_pieces() -> None:
    assert encode([("a", "b\nc"), ("d", "")]) == b"a=b?c\nd=\n\n"
    reply = Reply()
    for byte in b"action=OK\n":
        assert not reply.feed(bytes((byte,)))
    assert reply.feed(b"\n") and reply.action == "OK"
    with pytest.raises(PolicyProtocolError):
        Reply().feed(b"x" * 70000)


@pytest.mark.parametrize(
    ("known", "reply"),
    [
        (Verified("ok"), "250"),
        (
            Verified("undeliverable", "host said: 550 no", "5.1.1"),
            "450 4.1.7 <a@x.y>: Sender address rejected: undeliverable address: host said: 550 no",
        ),
        (
            Verified("unknown"),
            "450 4.1.7 <a@x.y>: Sender address rejected: unverified address: Address verification in progress",
        ),
    ],
)
def test_address_verification(known: Verified, reply: str) -> None:
    async def verify(address: str) -> Verified:
        assert address == "a@x.y"
        return known

    async def run() -> str:
        session = Session(build({"smtpd_sender_restrictions": "reject_unverified_sender"}, verify=verify))
        for command in COMMANDS:
            said = await session.say(command)
        return said

    assert asyncio.run(run()) == reply
