"""Commands of local(8): words or shell, variables, folder, what the message looks like, what they answer."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.delivery import accounts
from tayori.delivery.accounts import Accounts, NoAccount
from tayori.delivery.command import Commands, Letter
from tayori.delivery.execution import Account
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.passwd import User, Users
from tayori.queue.model import Attributes
from tayori.rewrite.aliases import Source

SELF = Account(os.geteuid(), os.getegid(), change=False)
LETTER = Letter(
    "a@b.example", "taro+x@c.example", "o@c.example", "taro@c.example", Attributes(helo="h*"), "o@c.example"
)


def commands(tmp_path: Path, **settings: str) -> Commands:
    return Commands(Settings.of({"queue_directory": str(tmp_path), "recipient_delimiter": "+", **settings}))


def run(found: Commands, command: str, user: User | None = None) -> DeliveryOutcome:
    return asyncio.run(found.deliver(command, LETTER, b"Subject: s\n\nbody\n", SELF, user))


def test_a_shell_only_where_one_is_needed(tmp_path: Path) -> None:
    found = commands(tmp_path)
    assert found.argv("/bin/cat -n") == ["/bin/cat", "-n"]
    assert found.argv("cat") == ["cat"]
    for text in ("exit 67", "cat >x", "A=b cat", "nowhere -a", "cat $HOME", "cat 'a b'"):
        assert found.argv(text) == ["/bin/sh", "-c", text]
    shell = commands(tmp_path, local_command_shell="/bin/smrsh -c")
    assert shell.argv("cat") == ["/bin/smrsh", "-c", "cat"]


def test_variables(tmp_path: Path) -> None:
    found = commands(tmp_path).variables(LETTER, User("taro", 1, 1, "/home/taro", "/bin/zsh"))
    assert (
        found["HOME"] == "/home/taro" and found["SHELL"] == "/bin/zsh" and found["LOGNAME"] == found["USER"] == "taro"
    )
    assert (found["EXTENSION"], found["LOCAL"], found["DOMAIN"]) == ("x", "taro+x", "c.example")
    assert (found["SENDER"], found["ORIGINAL_RECIPIENT"]) == ("a@b.example", "o@c.example")
    assert found["CLIENT_HELO"] == "h_" and "SASL_USERNAME" not in found
    bare = commands(tmp_path).variables(Letter("", "t@c.example", "", "", Attributes()), None)
    assert "HOME" not in bare and bare["SENDER"] == "MAILER-DAEMON" and bare["PATH"] == "/usr/bin:/bin"


def test_the_message(tmp_path: Path) -> None:
    assert run(commands(tmp_path), f"cat >{tmp_path}/m") == Delivered(f"delivered to command: cat >{tmp_path}/m")
    first, *rest = (tmp_path / "m").read_text().splitlines()
    assert first.startswith("From a@b.example  ")
    assert rest == [
        "Return-Path: <a@b.example>",
        "X-Original-To: o@c.example",
        "Delivered-To: taro@c.example",
        "Subject: s",
        "",
        "body",
    ]


@pytest.mark.parametrize(
    ("command", "kind", "enhanced", "text", "unix"),
    [
        ("exit 67", BouncedDelivery, "5.1.1", "user unknown", "user unknown"),
        ("exit 75", DeferredDelivery, "4.3.0", "temporary failure", "temporary failure"),
        ("echo oh; exit 77", BouncedDelivery, "5.7.0", "permission denied. Command output: oh ", "oh"),
        ("echo 4.2.2 full; exit 77", DeferredDelivery, "4.2.2", "full ", "full"),
        ("exit 3", BouncedDelivery, "5.3.0", 'Command died with status 3: "exit 3"', "internal software error"),
    ],
)
def test_answers(tmp_path: Path, command: str, kind: type, enhanced: str, text: str, unix: str) -> None:
    assert run(commands(tmp_path), command) == kind(text, enhanced, "local", unix=unix)


def test_folder(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    user = User("taro", 1, 1, str(tmp_path))
    found = commands(tmp_path, command_execution_directory="$home/work")
    assert run(found, "pwd >here", user) == Delivered("delivered to command: pwd >here")
    assert (tmp_path / "work" / "here").read_text() == f"{tmp_path}/work\n"
    (tmp_path / "work" / "here").unlink()
    (tmp_path / "work").rmdir()
    outcome = run(found, "pwd", user)
    assert isinstance(outcome, DeferredDelivery) and "No such file" in outcome.text
    assert isinstance(run(found, "echo \0"), BouncedDelivery)


def test_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_text("taro:x:1001:1001::/home/taro:/bin/sh\nroot:x:0:0::/root:/bin/sh\n")
    mine = Accounts(Settings.of({}), Users(str(passwd)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "file_owner", lambda path: 0)
    assert mine.of(Source("forward", "", "taro"))[0] == Account(1001, 1001, change=True)
    nobody = mine.of(Source("forward", "", "root"))[0]
    assert nobody.uid != 0 and nobody.gid != 0, "root's .forward has default_privs"
    assert mine.of(Source("alias", "/etc/passwd"))[0] == nobody
    assert mine.of(Source("alias", ""))[0] == nobody, "a table that is no file"
    assert mine.reader(Source("alias", "/etc/passwd")).uid == 0, "what root's file names root reads"
    assert mine.reader(Source("alias", "")) == nobody
    assert mine.reader(Source("forward", "/etc/passwd", "taro")).uid == 1001
    with pytest.raises(NoAccount, match="no user nobodyhere"):
        mine.of(Source("forward", "", "nobodyhere"))
    with pytest.raises(NoAccount, match="default_privs = root"):
        Accounts(Settings.of({"default_privs": "root"}), Users(str(passwd))).of(Source("alias", ""))
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert mine.of(Source("alias", ""))[0] == Account(1234, os.getegid(), change=False)
