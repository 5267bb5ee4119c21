"""local(8) and virtual(8): which mailbox, whose rights, and the texts when there is none; trace headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.delivery.local import LocalMailboxes
from tayori.delivery.passwd import LookupFailed, User, Users, parse
from tayori.delivery.place import Place
from tayori.delivery.request import Result, Target
from tayori.delivery.trace_headers import loops, prefix
from tayori.delivery.virtual import VirtualMailboxes

PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nanna:x:1001:100:Anna:/home/anna/:/bin/sh\n#no\nbad:x:y:1::/\nanna:x:1:1::/x:\n"
)


def place(tmp_path: Path, user: str = "anna", **values: str) -> Place | Result:
    (tmp_path / "passwd").write_text(PASSWD)
    settings = Settings.of({"tayori_passwd_file": str(tmp_path / "passwd"), **values})
    return LocalMailboxes(settings, Users.configured(settings)).place(Target(1, "local", "a@b", user))


@pytest.mark.parametrize(
    ("values", "path", "maildir", "spool"),
    [
        ({"home_mailbox": "Maildir/"}, "/home/anna/Maildir", True, False),
        ({"home_mailbox": "mbox"}, "/home/anna/mbox", False, False),
        ({"home_mailbox": ""}, "/var/mail/anna", False, True),
        ({"mail_spool_directory": "/m/"}, "/m/anna", True, False),
        ({"mail_spool_directory": "/m", "home_mailbox": "x/y/"}, "/home/anna/x/y", True, False),
    ],
)
def test_the_mailbox_of_a_user(tmp_path: Path, values: dict[str, str], path: str, maildir: bool, spool: bool) -> None:
    found = place(tmp_path, "ANNA", **values)
    assert isinstance(found, Place)
    assert (found.path, found.maildir, found.spool, found.uid, found.gid) == (path, maildir, spool, 1001, 100)


@pytest.mark.parametrize("user", ["nobody-here", "", "../anna", "Bad", "anna\0"])
def test_an_unknown_user_bounces(tmp_path: Path, user: str) -> None:
    assert place(tmp_path, user) == Result(1, "bounced", "5.1.1", f'unknown user: "{user.lower()}"')


def test_a_user_file_that_cannot_be_read_defers(tmp_path: Path) -> None:
    settings = Settings.of({"tayori_passwd_file": str(tmp_path / "gone")})
    boxes = LocalMailboxes(settings, Users.configured(settings))
    assert boxes.place(Target(1, "local", "a@b", "anna")) == Result(1, "deferred", "4.3.0", "user lookup error")
    with pytest.raises(LookupFailed):
        Users(str(tmp_path / "gone")).find("anna")


def test_a_changed_user_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text(PASSWD)
    users = Users(str(path))
    assert users.find("berta") is None
    path.write_text(PASSWD + "berta:x:7:8::/home/berta:\n")
    assert users.find("berta") == User("berta", 7, 8, "/home/berta")


def test_the_first_of_a_name_counts() -> None:
    assert parse(PASSWD) == {
        "root": User("root", 0, 0, "/root", "/bin/sh"),
        "anna": User("anna", 1001, 100, "/home/anna/", "/bin/sh"),
    }


def test_the_systems_users() -> None:
    users = Users()
    root = users.find("root")
    assert root is not None and root.uid == 0
    assert users.find("no-such-user-here") is None


@pytest.mark.parametrize(
    ("mailbox", "uid", "gid", "good"),
    [
        ("/v/x/", 5000, 5000, True),
        ("/v/x", 5000, 5000, True),
        ("/v/x/", 99, 5000, False),
        ("/v/x/", 0, 0, False),
        ("/v/x/", 5000, 0, False),
        ("/w/x/", 5000, 5000, False),
        ("/v/../etc/x", 5000, 5000, False),
        ("/vx/", 5000, 5000, False),
        ("x/", 5000, 5000, False),
        ("/", 5000, 5000, False),
    ],
)
def test_virtual_bounds_hold_whoever_asks(mailbox: str, uid: int, gid: int, good: bool) -> None:
    boxes = VirtualMailboxes(Settings.of({"virtual_mailbox_base": "/v"}))
    found = boxes.place(Target(1, "virtual", "a@b", mailbox=mailbox, uid=uid, gid=gid))
    if good:
        assert isinstance(found, Place)
        assert found.maildir == mailbox.endswith("/") and found.path == "/v/x"
    else:
        assert found == Result(1, "deferred", "4.3.5", "mail system configuration error")


def test_trace_headers_in_postfixs_order() -> None:
    assert prefix("a@b", "o@c", "d@e") == b"Return-Path: <a@b>\nX-Original-To: o@c\nDelivered-To: d@e\n"
    assert prefix("", "", "") == b"Return-Path: <>\n"
    assert prefix("a\nBcc: x@y", "", "") == b"Return-Path: <a?Bcc: x@y>\n"


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"Delivered-To: LDELA@mail.Example.com\n\nx", True),
        (b"A: b\ndelivered-TO:ldela@mail.example.com\n", True),
        (b"DELIVERED-TO: x@y\nDelivered-To: ldela@mail.example.com\n\n", True),
        (b"Delivered-To:\n ldela@mail.example.com\n\n", False),
        (b"X-Delivered-To: ldela@mail.example.com\n\n", False),
        (b"A: b\n\nDelivered-To: ldela@mail.example.com\n", False),
        (b"Delivered-To: xldela@mail.example.com\n\n", False),
    ],
)
def test_loops(content: bytes, answer: bool) -> None:
    assert loops(content, "ldela@mail.example.com") is answer
