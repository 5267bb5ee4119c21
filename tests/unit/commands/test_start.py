"""tayori start, stop, reload, status: what they say when it does not go as wished."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from support.ports import free_port
from support.server import Server, mail_owner_exists
from tayori.programs.commands import start

BASE = "compatibility_level = 3.6\nmyhostname = mail.example.com\nalias_maps =\ninet_protocols = ipv4\n"


def conf(tmp_path: Path, more: str = "", master: str = "") -> str:
    owner = "" if mail_owner_exists() or os.geteuid() != 0 else "tayori_single_user = yes\n"
    (tmp_path / "main.cf").write_text(f"{BASE}queue_directory = {tmp_path}/q\n{owner}{more}")
    (tmp_path / "master.cf").write_text(master or f"127.0.0.1:{free_port()} inet n - n - - smtpd\n")
    return str(tmp_path)


def refusal(directory: str, capfd: pytest.CaptureFixture[str]) -> str:
    """What start says; it must refuse."""
    assert start.start(["-c", directory]) == 78
    said = capfd.readouterr().err
    assert said.rstrip().endswith("tayori: not started")
    return said


def test_no_configuration(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert f"no {tmp_path}/main.cf; write a first one with: tayori init" in refusal(str(tmp_path), capfd)
    assert start.status(["-c", str(tmp_path)]) == 78
    assert "tayori init" in capfd.readouterr().err


def test_a_bad_line_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert f"{tmp_path}/main.cf:" in (said := refusal(conf(tmp_path, "hello\n"), capfd))
    assert '"hello" has no "="' in said and "write name = value" in said


def test_an_open_relay_does_not_start(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = refusal(conf(tmp_path, "smtpd_relay_restrictions = permit\n"), capfd)
    assert "smtpd_relay_restrictions" in said and "reject_unauth_destination" in said


def test_a_port_that_is_taken_names_the_program(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refusal(conf(tmp_path, master=f"127.0.0.1:{port} inet n - n - - smtpd\n"), capfd)
    assert f"master.cf:1: port {port} on 127.0.0.1 is taken by " in said
    assert f"(process {os.getpid()})" in said and f"stop it with: kill {os.getpid()}" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: an ordinary user has no mail_owner")
def test_a_user_that_is_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = refusal(conf(tmp_path, "tayori_single_user = no\nmail_owner = no-such-user\n"), capfd)
    assert "there is no user 'no-such-user'" in said and "useradd --system" in said


def test_nothing_runs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    directory = conf(tmp_path)
    for command in (start.stop, start.reload, start.status):
        assert command(["-c", directory]) == 69
        assert f"not running; start it with: tayori start -c {directory}" in capfd.readouterr().err


def test_the_running_server_is_seen_and_a_bad_configuration_never_replaces_it(tmp_path: Path) -> None:
    with Server(tmp_path, {"alias_maps": f"hash:{tmp_path}/no-such-aliases"}) as server:
        directory = str(server.conf)
        assert "no-such-aliases" in server.stderr() and "warning" in server.stderr()
        said = server.command("status", "-c", directory)
        assert said.returncode == 0 and "0 messages in the queue" in said.stdout
        again = server.command("start", "-c", directory)
        assert again.returncode == 78 and "running already" in again.stderr and "tayori stop" in again.stderr
        good = (server.conf / "main.cf").read_text()
        (server.conf / "main.cf").write_text(good + "smtpd_relay_restrictions = permit\n")
        refused = server.command("reload", "-c", directory)
        assert refused.returncode == 78 and "the running configuration goes on" in refused.stderr
        assert server.send("a@b.example", "taro@example.com").startswith("250")
        (server.conf / "main.cf").write_text(good + "mail_name = renewed\n")
        assert server.command("reload", "-c", directory).returncode == 0
        server.wait_log("reload -- tayori")
        deadline = time.monotonic() + 15
        while server.talk(["QUIT"])[0] != "220 mail.example.com ESMTP renewed":
            assert time.monotonic() < deadline, server.log()
            time.sleep(0.05)
        assert server.command("stop", "-c", directory).returncode == 0
        assert server.command("status", "-c", directory).returncode == 69
