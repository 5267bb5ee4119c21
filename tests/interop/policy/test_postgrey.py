"""check_policy_service against postgrey, Debian's greylisting policy server."""

from __future__ import annotations

import getpass
import grp
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.peers import require
from support.ports import free_port
from support.server import Server

DELAY = 1
MAIN = {
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "smtpd_error_sleep_time": "0",
}
STRANGER = ["XCLIENT NAME=host.stranger.example ADDR=203.0.113.9", "EHLO host.stranger.example"]
MAIL = ["MAIL FROM:<a@stranger.example>", "RCPT TO:<taro@example.com>"]


@pytest.fixture
def postgrey(tmp_path: Path) -> Iterator[int]:
    """The port of a postgrey with a data base of its own."""
    program = require("postgrey")
    port = free_port()
    base = tmp_path / "postgrey"
    base.mkdir()
    nobody = tmp_path / "none"
    nobody.write_text("")
    options = [
        f"--inet=127.0.0.1:{port}", f"--dbdir={base}", f"--delay={DELAY}", f"--pidfile={base}/pid",
        f"--user={getpass.getuser()}", f"--group={grp.getgrgid(os.getegid()).gr_name}",
        f"--whitelist-clients={nobody}", f"--whitelist-recipients={nobody}", "--hostname=mail.example.com",
    ]  # fmt: skip
    with (tmp_path / "postgrey.out").open("wb") as out:
        process = subprocess.Popen([program, *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                said = (tmp_path / "postgrey.out").read_text(errors="replace")
                assert process.poll() is None and time.monotonic() < deadline, said
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def test_greylisted_first_accepted_after_the_delay(tmp_path: Path, postgrey: int) -> None:
    rules = f"reject_unauth_destination, check_policy_service inet:127.0.0.1:{postgrey}, permit"
    with Server(tmp_path, {**MAIN, "smtpd_recipient_restrictions": rules}) as server:
        first = server.talk([*STRANGER, *MAIL, "QUIT"])[-2]
        assert first.startswith("450 4.2.0 <taro@example.com>: Recipient address rejected: Greylisted"), first
        time.sleep(DELAY + 1.1)  # postgrey counts whole seconds
        message = [*MAIL, "DATA", "Subject: again\r\n\r\nhello\r\n."]
        replies = server.talk([*STRANGER, *message, "QUIT"])
        assert replies[-4].startswith("250 2.1.5"), replies
        assert replies[-2].startswith("250 2.0.0 Ok: queued as"), replies
        mail = server.wait_mail("taro")[0].read_text()
        # postgrey's PREPEND
        assert mail.split("Subject:")[0].count("X-Greylist: delayed ") == 1
        other = server.talk([*STRANGER, "MAIL FROM:<b@stranger.example>", "RCPT TO:<taro@example.com>", "QUIT"])[-2]
        assert other.startswith("450 4.2.0"), "another sender begins anew"


def test_a_policy_server_that_is_gone_is_temporary(tmp_path: Path) -> None:
    rules = f"reject_unauth_destination, check_policy_service {{ inet:127.0.0.1:{free_port()} timeout=2s }}, permit"
    with Server(
        tmp_path, {**MAIN, "smtpd_recipient_restrictions": rules, "smtpd_policy_service_retry_delay": "0"}
    ) as server:
        reply = server.talk([*STRANGER, *MAIL, "QUIT"])[-2]
    assert reply == "451 4.3.5 <taro@example.com>: Recipient address rejected: Server configuration problem"
