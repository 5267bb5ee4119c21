"""tayori test-mail: against a running server, and its words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import login_server
from support.server import Server
from tayori.config.settings import Settings
from tayori.config.system import System
from tayori.programs.commands import test_mail
from tayori.programs.commands.refusals import explain


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with login_server.made(tmp_path_factory.mktemp("t")) as running:
        yield running


def said(server: Server, *words: str, stdin: str = "") -> tuple[int, str]:
    done = server.command("test-mail", "-c", str(server.conf), *words, stdin=stdin)
    return done.returncode, done.stdout + done.stderr


def test_it_arrives_and_says_where(server: Server) -> None:
    code, text = said(server, "--to", "hanako", "--from", "x@z.example")
    assert code == 0, text
    assert "S: 250 2.0.0 Ok: queued as" in text and "encrypted from here on" in text
    assert "Delivered to hanako@mail.example.com: delivered to maildir (Maildir/ in the home of hanako)" in text
    assert b"tayori test-mail" in server.wait_mail("hanako")[0].read_bytes()


def test_with_a_login_and_no_password_is_shown(server: Server) -> None:
    code, text = said(server, "--user", "taro", "--to", "taro", stdin="secret-1\n")
    assert code == 0 and "235 2.7.0" in text and "secret-1" not in text and "AHRhcm8" not in text
    code, text = said(server, "-q", "--user", "taro", "--to", "taro", stdin="wrong\n")
    assert code == 69 and "Name or password are not right" in text


def test_refusals_are_explained_with_the_line(server: Server) -> None:
    code, text = said(server, "-q", "--to", "a@elsewhere.example")
    assert code in (69, 75) and "Relay access denied" in text
    assert "--user NAME" in text and f"mydestination: {server.conf}/main.cf:" in text
    code, text = said(server, "-q", "--to", "nobody")
    assert code == 69 and "There is no user and no alias of that name" in text


def test_mail_that_waits_is_explained(server: Server) -> None:
    words = ("-q", "--user", "taro", "--to", "a@elsewhere.example", "--wait", "3")
    code, text = said(server, *words, stdin="secret-1\n")
    assert code == 75 and "It still waits in the queue" in text
    assert "Connection refused" in text and "relayhost" in text and "tayori mailq" in text


def test_a_server_that_is_down(tmp_path: Path) -> None:
    down = Server(tmp_path)
    code, text = said(down, "--to", "taro")
    assert code == 69 and "tayori start -c" in text


def test_a_reply_that_nobody_knows_is_left_alone() -> None:
    settings = Settings.of({"relayhost": "x"}, System())
    assert explain("599 9.9.9 hm", settings) == ""
    assert "not set in main.cf" in explain("554 5.7.1 <a@b>: Relay access denied", settings)


def test_ports_are_chosen(tmp_path: Path) -> None:
    rows = [("127.0.0.1", 25, False, True), ("127.0.0.1", 465, True, True), ("127.0.0.1", 587, False, True)]
    assert test_mail.choose(rows, 0, False) == rows[0]
    assert test_mail.choose(rows, 0, True) == rows[2]
    assert test_mail.choose(rows, 465, False) == rows[1]
    assert test_mail.choose(rows, 26, False) is None
