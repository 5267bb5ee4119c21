"""A real Postfix with Cyrus SASL, its passwords checked by `tayori saslauthd`."""

from __future__ import annotations

import base64
import os
import signal
import smtplib
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interop.sasl.peers import PASSWORD, postfix_started, short_folder, tayori_saslauthd, wait_for
from support.peers import need_root, require
from support.ports import free_port
from tayori.sasl.accounts import AccountFile

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/q
data_directory = {folder}/d
myhostname = mail.example.com
inet_interfaces = 127.0.0.1
alias_maps =
alias_database =
mynetworks =
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = local.example
cyrus_sasl_config_path = {folder}/etc/sasl
maillog_file = {log}
maillog_file_prefixes = /var, /tmp
smtpd_relay_restrictions = permit_sasl_authenticated, defer
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


@pytest.fixture
def postfix() -> Iterator[tuple[Path, int]]:
    need_root("Postfix")
    require("postfix")
    with short_folder() as folder:
        for name in ("etc/sasl", "q", "d", "s"):
            (folder / name).mkdir(parents=True)
        subprocess.run(["chown", "postfix", str(folder / "d")], check=True)
        port = free_port()
        (folder / "etc/main.cf").write_text(MAIN.format(folder=folder, log=folder / "log"))
        (folder / "etc/master.cf").write_text(MASTER.format(port=port))
        (folder / "etc/sasl/smtpd.conf").write_text(
            f"pwcheck_method: saslauthd\nsaslauthd_path: {folder}/s/mux\nmech_list: plain login\n"
        )
        with postfix_started(folder / "etc", port):
            yield folder, port


GOOD = (235, "2.7.0 Authentication successful")
WRONG = (535, "5.7.8 Error: authentication failed: authentication failure")
AWAY = (454, "4.7.0 Temporary authentication failure: generic failure")


def login(port: int, user: str, password: str) -> tuple[int, str]:
    """What Postfix 3.7 answers to AUTH PLAIN."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        words = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        code, text = client.docmd("AUTH", "PLAIN " + words)
        return code, text.decode()


@pytest.mark.root
@pytest.mark.peer
def test_postfix_uses_our_saslauthd(postfix: tuple[Path, int], tmp_path: Path) -> None:
    folder, port = postfix
    AccountFile(tmp_path / "accounts").add("taro@local.example", PASSWORD)
    AccountFile(tmp_path / "accounts").add("jiro@example.jp", "other")
    with tayori_saslauthd(folder / "s", "-a", "accounts", "-O", str(tmp_path)):
        assert login(port, "taro", PASSWORD) == GOOD, "Postfix adds smtpd_sasl_local_domain"
        assert login(port, "jiro@example.jp", "other") == GOOD
        assert login(port, "jiro", "other") == WRONG
        assert login(port, "taro", "bad") == WRONG


def refuses(mux: Path) -> bool:
    """Whether the socket is there and nobody behind it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(mux))
        except ConnectionRefusedError:
            return True
    return False


@pytest.mark.root
@pytest.mark.peer
def test_postfix_while_our_saslauthd_is_away(postfix: tuple[Path, int], tmp_path: Path) -> None:
    """Not started, ended, killed, its store away: "try later" each time, never "wrong password". Stopped: it waits."""
    folder, port = postfix
    mux = folder / "s/mux"
    AccountFile(tmp_path / "accounts").add("taro@local.example", PASSWORD)
    assert login(port, "taro", PASSWORD) == AWAY
    with tayori_saslauthd(folder / "s", "-a", "accounts", "-O", str(tmp_path)):
        number = int((folder / "s/saslauthd.pid").read_text())
        os.kill(number, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(login, port, "taro", PASSWORD)
                with pytest.raises(TimeoutError):
                    waiting.result(0.7)
                os.kill(number, signal.SIGCONT)
                assert waiting.result(20) == GOOD
        finally:
            os.kill(number, signal.SIGCONT)
    assert login(port, "taro", PASSWORD) == AWAY
    with tayori_saslauthd(folder / "s", "-a", "accounts", "-O", str(tmp_path)):
        os.kill(int((folder / "s/saslauthd.pid").read_text()), signal.SIGKILL)
        wait_for(lambda: refuses(mux))
        assert login(port, "taro", PASSWORD) == AWAY
    with tayori_saslauthd(folder / "s", "-a", "rimap", "-O", f"127.0.0.1/{free_port()}"):
        wait_for(lambda: "listening on" in (folder / "s/log").read_text())
        assert login(port, "taro", PASSWORD) == AWAY
    log = (folder / "log").read_text()
    cannot = "cannot connect to saslauthd server: "
    for words in (f"{cannot}No such file or directory", f"{cannot}Connection refused", "size read failed"):
        assert f"SASL authentication failure: {words}" in log, words
