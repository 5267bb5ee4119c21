"""A real Postfix with Cyrus SASL, its passwords checked by `tayori saslauthd`."""

from __future__ import annotations

import base64
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.sasl.peers import PASSWORD, connects, short_folder, tayori_saslauthd, wait_for
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
    program = require("postfix")
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
        command = [program, "-c", str(folder / "etc")]
        subprocess.run([*command, "start"], check=True, capture_output=True, timeout=60)
        try:
            wait_for(lambda: connects(port))
            yield folder, port
        finally:
            subprocess.run([*command, "stop"], capture_output=True, timeout=60)


def login(port: int, user: str, password: str) -> int:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        return client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())[0]


@pytest.mark.root
@pytest.mark.peer
def test_postfix_uses_our_saslauthd(postfix: tuple[Path, int], tmp_path: Path) -> None:
    folder, port = postfix
    AccountFile(tmp_path / "accounts").add("taro@local.example", PASSWORD)
    AccountFile(tmp_path / "accounts").add("jiro@example.jp", "other")
    with tayori_saslauthd(folder / "s", "-a", "accounts", "-O", str(tmp_path)):
        assert login(port, "taro", PASSWORD) == 235, "Postfix adds smtpd_sasl_local_domain"
        assert login(port, "jiro@example.jp", "other") == 235
        assert login(port, "jiro", "other") == 535
        assert login(port, "taro", "bad") == 535
    assert login(port, "taro", PASSWORD) != 235, "nobody is let in while the daemon is away"
