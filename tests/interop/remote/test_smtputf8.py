"""SMTPUTF8 and 8BITMIME between tayori and a real Postfix, in both directions; a Postfix that knows neither."""

from __future__ import annotations

import email
import email.policy
import shutil
import smtplib
import subprocess
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import pytest

from support.peers import need_root, require
from support.ports import free_port
from support.server import Server

pytestmark = pytest.mark.peer
TEXT = "Grüße aus 便り\n=3D\n" + "ü" * 80 + "\n"
MASTER = """\
127.0.0.1:{new} inet n - n - - smtpd
127.0.0.1:{old} inet n - n - - smtpd
  -o smtpd_discard_ehlo_keywords=smtputf8,8bitmime,chunking
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Both(NamedTuple):
    """tayori, and the Postfix beside it: `new` and `old` are its ports, `boxes` its mailboxes."""

    server: Server
    new: int
    old: int
    boxes: Path

    def mail(self, user: str) -> bytes:
        """The one message that came to a mailbox of Postfix; it is taken away."""
        return taken(self.boxes / user / "new", self.server)


def taken(folder: Path, server: Server) -> bytes:
    end = time.monotonic() + 20
    while not (found := list(folder.glob("*"))):
        assert time.monotonic() < end, f"nothing comes to {folder}:\n{server.log()[-3000:]}"
        time.sleep(0.05)
    content = found[0].read_bytes()
    found[0].unlink()
    return content


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    need_root("a Postfix of our own")
    program = require("postfix")
    root = tmp_path_factory.mktemp("hop")
    etc, boxes = root / "etc", root / "boxes"
    new, old, ours = free_port(), free_port(), free_port()
    for folder in (etc, root / "spool", root / "data", boxes):
        folder.mkdir()
    for folder in (root, *root.parents):
        if str(folder).startswith(("/tmp/", "/var/tmp/")):
            folder.chmod(folder.stat().st_mode | 0o055)
    (etc / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
maillog_file = {root}/log
maillog_file_prefixes = /tmp, /var/tmp
myhostname = hop.example
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = bücher.example, old.example
virtual_mailbox_base = {boxes}
virtual_mailbox_maps = inline:{{ jürgen@bücher.example=juergen/ plain@old.example=plain/ }}
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
transport_maps = inline:{{ tayori.example=smtp:[127.0.0.1]:{ours} wörter.example=smtp:[127.0.0.1]:{ours} }}
smtpd_tls_security_level = none
""")
    (etc / "master.cf").write_text(MASTER.format(new=new, old=old))
    shutil.chown(root / "data", "postfix")
    shutil.chown(boxes, 65534, 65534)
    server = Server(
        tmp_path_factory.mktemp("tayori"),
        {
            "compatibility_level": "3.6",
            "myhostname": "mail.tayori.example",
            "mydestination": "$myhostname, tayori.example, wörter.example",
            "mynetworks": "127.0.0.0/8",
            "alias_maps": "inline:{jürgen=taro}",
            "transport_maps": f"inline:{{bücher.example=smtp:[127.0.0.1]:{new}, old.example=smtp:[127.0.0.1]:{old}}}",
            "smtp_tls_security_level": "none",
        },
        port=ours,
    )
    subprocess.run([program, "-c", str(etc), "start"], check=True, capture_output=True, timeout=60)
    try:
        with server:
            yield Both(server, new, old, boxes)
    finally:
        subprocess.run([program, "-c", str(etc), "stop"], check=False, capture_output=True, timeout=60)


def message(subject: str) -> EmailMessage:
    made = EmailMessage(policy=email.policy.SMTPUTF8)
    made["From"], made["Subject"] = "me@tayori.example", subject
    made.set_content(TEXT, cte="8bit")
    return made


def hand_in(port: int, sender: str, recipient: str, made: EmailMessage, *options: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail(sender, [recipient], made.as_bytes(), mail_options=["SMTPUTF8", "BODY=8BITMIME", *options])


def test_to_postfix(both: Both) -> None:
    hand_in(both.server.port, "gärtner@tayori.example", "jürgen@bücher.example", message("Grüße"))
    got = both.mail("juergen")
    assert b" by hop.example (Postfix) with UTF8SMTP id" in got.replace(b"\n\t", b" ")
    assert b" by mail.tayori.example (Postfix) with UTF8SMTP id" in got.replace(b"\n\t", b" ")
    assert b"Return-Path: <" in got and "Subject: Grüße\n".encode() in got and TEXT.encode() in got


@pytest.mark.parametrize("domain", ["tayori.example", "wörter.example"])
def test_from_postfix(both: Both, domain: str) -> None:
    hand_in(both.new, "gärtner@bücher.example", f"Jürgen@{domain}", message("Grüße"))
    (path,) = both.server.wait_mail("taro")
    got = path.read_bytes()
    path.unlink()
    assert "Return-Path: <gärtner@bücher.example>\n".encode() in got and TEXT.encode() in got
    assert f"Delivered-To: Jürgen@{domain}\n".encode() in got
    assert b" by mail.tayori.example (Postfix) with UTF8SMTP id" in got.replace(b"\n\t", b" ")


def test_what_needs_neither_goes_to_an_old_server(both: Both) -> None:
    hand_in(both.server.port, "me@tayori.example", "plain@old.example", message("plain"))
    got = both.mail("plain")
    assert got.isascii() and b" with ESMTP id" in got.replace(b"\n\t", b" ")
    read = email.message_from_bytes(got, policy=email.policy.default)
    assert read["Content-Transfer-Encoding"] == "quoted-printable" and read.get_content() == TEXT
    assert "1 8-bit part sent to 127.0.0.1[127.0.0.1] as quoted-printable" in both.server.log()


def test_what_needs_smtputf8_comes_back_from_an_old_server(both: Both) -> None:
    hand_in(both.server.port, "jürgen@bücher.example", "plain@old.example", message("Grüße"), "RET=HDRS")
    got = both.mail("juergen")
    read = email.message_from_bytes(got, policy=email.policy.default)
    kinds = [part.get_content_type() for part in read.iter_parts()]
    assert kinds == ["text/plain", "message/global-delivery-status", "message/global-headers"]
    text = got.decode()
    assert "Status: 5.6.7\n" in text and "SMTPUTF8 is required, but was not offered by host" in text
    assert "Final-Recipient: rfc822; plain@old.example\n" in text and "Subject: Grüße\n" in text
    assert b" by hop.example (Postfix) with UTF8SMTP id" in got.replace(b"\n\t", b" ")


def test_sendmail_and_the_queue_listing(both: Both) -> None:
    words = ["sendmail", "-C", str(both.server.conf), "-f", "gärtner@tayori.example", "jürgen@bücher.example"]
    both.server.command(*words, stdin="Subject: von Hand\n\nhallo\n", check=True)
    got = both.mail("juergen")
    assert b"with UTF8SMTP" in got and b"Subject: von Hand\n" in got
    assert "from=<gärtner@tayori.example>" in both.server.log()
