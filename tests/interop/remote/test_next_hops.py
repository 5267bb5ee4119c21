"""The SMTP and LMTP client against real servers: Postfix's smtp-sink, and a Postfix of our own on loopback."""

from __future__ import annotations

import asyncio
import mailbox
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.peers import find, need_root, require
from support.ports import free_port
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered
from tayori.delivery.smtp import SmtpAgent
from tayori.delivery.smtp_job import Attempt
from tayori.queue.model import Attributes, Recipient
from unit.delivery.test_mx import Zone

pytestmark = pytest.mark.peer
CONTENT = b"From: <me@a.example>\nSubject: hello\n\n.dot\n..\n.\nFrom here\n" + b"long " * 500 + b"\nend\n"


def send(
    nexthop: str,
    recipients: tuple[str, ...],
    *,
    times: int = 1,
    content: bytes = CONTENT,
    lmtp: bool = False,
    **more: str,
) -> list[Attempt]:
    async def run() -> list[Attempt]:
        agent = SmtpAgent(Settings.of({"myhostname": "me.example", **more}), Zone(), lmtp=lmtp)
        who = tuple(Recipient(n, address) for n, address in enumerate(recipients, 1))
        try:
            return [await agent.deliver(nexthop, "me@a.example", content, who, Attributes()) for _ in range(times)]
        finally:
            agent.close()
            await asyncio.sleep(0.02)

    return asyncio.run(run())


def answering(port: int) -> None:
    import socket

    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"nothing answers on port {port}")


@pytest.fixture
def smtp_sink(request: pytest.FixtureRequest) -> Iterator[int]:
    program = require("smtp-sink", "postfix")
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [program, *user, *request.param, f"127.0.0.1:{port}", "100"], stderr=subprocess.DEVNULL
    )
    try:
        answering(port)
        yield port
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize("smtp_sink", [[], ["-p"], ["-e"], ["-8"], ["-N"]], indirect=True)
def test_smtp_sink_takes_mail_in_every_mode(smtp_sink: int) -> None:
    attempts = send(f"[127.0.0.1]:{smtp_sink}", ("a@b.example", "c@b.example"), times=20)
    assert all(isinstance(attempt[n], Delivered) for attempt in attempts for n in (1, 2))


@pytest.mark.parametrize("smtp_sink", [["-L"]], indirect=True)
def test_smtp_sink_as_lmtp(smtp_sink: int) -> None:
    (attempt,) = send(f"inet:127.0.0.1:{smtp_sink}", ("a@b.example", "c@b.example"), lmtp=True)
    assert [type(outcome) for outcome in attempt.values()] == [Delivered, Delivered]


@pytest.mark.parametrize(
    ("smtp_sink", "kind"),
    [(["-f", "rcpt"], BouncedDelivery), (["-r", "rcpt"], DeferredDelivery), (["-f", "mail"], BouncedDelivery),
     (["-r", "data"], DeferredDelivery), (["-q", "data"], DeferredDelivery), (["-q", "rcpt"], DeferredDelivery),
     (["-r", "connect"], DeferredDelivery), (["-f", "."], BouncedDelivery), (["-r", "."], DeferredDelivery)],
    indirect=["smtp_sink"],
)  # fmt: skip
def test_smtp_sink_refuses(smtp_sink: int, kind: type) -> None:
    (attempt,) = send(f"[127.0.0.1]:{smtp_sink}", ("a@b.example",))
    assert isinstance(attempt[1], kind), attempt[1]


@pytest.fixture(scope="module")
def postfix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A private Postfix that takes mail for b.example into a Maildir."""
    need_root("a Postfix of our own")
    program = require("postfix")
    root = Path("/tmp") / f"tayori-hop-{os.getpid()}"
    etc, boxes, port = root / "etc", root / "boxes", free_port()
    for folder in (etc, root / "spool", root / "data", boxes):
        folder.mkdir(parents=True)
    root.chmod(0o755)
    (etc / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
maillog_file = {root}/log
maillog_file_prefixes = /tmp
myhostname = hop.example
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = b.example
virtual_mailbox_base = {boxes}
virtual_mailbox_maps = inline:{{ known@b.example=known/ other@b.example=known/ }}
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
message_size_limit = 20000
smtpd_tls_security_level = none
""")
    (etc / "master.cf").write_text(f"""127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
""")
    shutil.chown(root / "data", "postfix")
    shutil.chown(boxes, 65534, 65534)
    subprocess.run([program, "-c", str(etc), "start"], check=True, capture_output=True, timeout=60)
    try:
        answering(port)
        yield port, boxes
    finally:
        subprocess.run([program, "-c", str(etc), "stop"], check=False, capture_output=True, timeout=60)
        shutil.rmtree(root, ignore_errors=True)


def test_a_real_postfix_takes_the_mail_unchanged(postfix: tuple[int, Path]) -> None:
    port, boxes = postfix
    (attempt,) = send(f"[127.0.0.1]:{port}", ("known@b.example", "unknown@b.example"), smtp_line_length_limit="0")
    assert isinstance(attempt[1], Delivered) and attempt[1].reply.startswith("250 2.0.0 Ok: queued as ")
    refused = attempt[2]
    assert isinstance(refused, BouncedDelivery) and refused.enhanced == "5.1.1"
    assert refused.text.startswith(
        "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 <unknown@b.example>: Recipient address rejected"
    )
    end = time.monotonic() + 20
    found: list[Path] = []
    while not found and time.monotonic() < end:
        found = list((boxes / "known" / "new").glob("*")) if (boxes / "known" / "new").exists() else []
        time.sleep(0.1)
    assert found, "the mail did not arrive"
    assert found[0].read_bytes().endswith(CONTENT.partition(b"\n\n")[2])
    assert mailbox.Maildir(boxes / "known").keys()


def test_a_real_postfix_states_its_size_limit(postfix: tuple[int, Path]) -> None:
    port, _ = postfix
    (attempt,) = send(
        f"[127.0.0.1]:{port}", ("known@b.example",), content=b"Subject: big\n\n" + b"x" * 70 * 400 + b"\n"
    )
    assert attempt[1].enhanced == "5.3.4" and "exceeds size limit 20000" in attempt[1].text


def test_many_messages_over_one_session_to_a_real_postfix(postfix: tuple[int, Path]) -> None:
    port, _ = postfix
    attempts = send(f"[127.0.0.1]:{port}", ("known@b.example",), times=20)
    assert all(isinstance(attempt[1], Delivered) for attempt in attempts)
    log = Path(f"/tmp/tayori-hop-{os.getpid()}/log").read_text()
    assert find("postfix") and log.count("connect from") <= 12
