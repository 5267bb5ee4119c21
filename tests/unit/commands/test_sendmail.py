"""sendmail: options, the message, -t, -bs, the server's answer, and the maildrop when there is no server."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.programs import ipc
from tayori.programs.commands import maildrop, sendmail, sendmail_smtp
from tayori.programs.commands.control import Failed
from unit.commands.server_stub import ServerStub

MAIL = b"Subject: x\n\nhi\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "queue").mkdir()
    (tmp_path / "main.cf").write_text(f"queue_directory = {tmp_path}/queue\nmessage_size_limit = 1000\n")
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    return tmp_path


@pytest.fixture
def server(config: Path) -> Iterator[ServerStub]:
    stub = ServerStub(config / "queue", lambda question: {"ok": True, "id": "1A2B"})
    yield stub
    stub.close()


Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*argv: str, stdin: bytes = MAIL) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return sendmail.main(list(argv))

    return call


def test_the_envelope_that_is_asked_for(run: Run, server: ServerStub) -> None:
    argv = [
        "-oi",
        "-fs@x.example",
        "-F",
        "Full",
        "-B8BITMIME",
        "-N",
        "success,failure",
        "-R",
        "hdrs",
        "-V",
        "id1",
        "-oem",
        "-i",
        "-v",
        "-G",
        "-U",
        "-om",
        "--",
    ]
    assert run(*argv, "-odd@x", "b@y") == 0
    [(question, content)] = server.asked
    assert question == {
        "op": "submit", "sender": "s@x.example", "full_name": "Full", "recipients": ["-odd@x", "b@y"],
        "extract": False, "body": "8BITMIME", "notify": "SUCCESS,FAILURE", "ret": "HDRS", "envid": "id1",
        "smtputf8": False, "verify": False, "trace": True,
    }  # fmt: skip
    assert content == MAIL


@pytest.mark.parametrize(
    ("argv", "sender"),
    [
        ((), ""),
        (("-f", ""), "<>"),
        (("-f", "<>"), "<>"),
        (("-f", "<a@b>"), "a@b"),
        (("-r", "u"), "u"),
        (("-tif", "a@b"), "a@b"),
    ],
)
def test_senders(run: Run, server: ServerStub, argv: tuple[str, ...], sender: str) -> None:
    assert run(*argv, "a@x") == 0
    assert server.asked[0][0]["sender"] == sender


@pytest.mark.parametrize(
    ("argv", "recipients"),
    [
        (("-o", "x", "value", "a@x"), ["a@x"]),
        (("-oi", "a@x"), ["a@x"]),
        (("-O", "a=b", "a@x"), ["a@x"]),
        (("-it", "a@x"), ["a@x", "h@h"]),
        (("-i", "a@x", "-t"), ["a@x", "-t"]),
        (("-Am", "-L", "tag", "-h", "3", "-X", "/dev/null", "-n", "-m", "-x", "a@x"), ["a@x"]),
    ],
)
def test_words_that_are_options_and_words_that_are_not(
    run: Run, server: ServerStub, argv: tuple[str, ...], recipients: list[str]
) -> None:
    assert run(*argv, stdin=b"To: h@h\n\nx\n") == 0
    assert server.asked[0][0]["recipients"] == recipients


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        ((), 64, "Recipient addresses must be specified on the command line or via the -t option"),
        (("-t",), 64, "No recipient addresses found in message header"),
        (("-Z", "x"), 64, "option -Z not recognized"),
        (("-B", "x", "a"), 64, "-B option needs 8BITMIME or 7BIT"),
        (("-bz",), 64, "unsupported: -bz"),
        (("-bp", "a"), 64, "display queue mode requires no recipient"),
        (("-bp", "-t"), 64, "-t can be used only in delivery mode"),
        (("-bv", "-t"), 64, "-t option cannot be used with -bv"),
        (("-qSx",), 64, "-qSx is not implemented"),
        (("-C", "/nonexistent", "a"), 78, "/nonexistent/main.cf"),
        (("j\udcfcrgen@x.example",), 65, "the address j?rgen@x.example is not UTF-8"),
        (("-f", "g\udce4rtner@x.example", "a@x.example"), 65, "the address g?rtner@x.example is not UTF-8"),
    ],
)
def test_what_is_wrong_is_said(
    config: Path, run: Run, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], code: int, text: str
) -> None:
    assert run(*argv) == code
    assert text in capsys.readouterr().err


def test_bad_dsn_words_are_warned_of_and_left_out(
    run: Run, server: ServerStub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-N", "never,success", "-R", "bogus", "a@x") == 0
    assert (server.asked[0][0]["notify"], server.asked[0][0]["ret"]) == ("", "")
    assert capsys.readouterr().err.count("warning: bad -") == 2


@pytest.mark.parametrize(
    ("argv", "given", "taken"),
    [
        ((), b"a\n.\nb\n", b"a\n"),
        (("-i",), b"a\n.\nb\n", b"a\n.\nb\n"),
        ((), b"a\n..\n.b\n.", b"a\n..\n.b\n"),
        ((), b"a\r\nb\r\n.\r\nc", b"a\nb\n"),
        ((), b"From x Tue\nSubject: y\n\nFrom z\n", b"Subject: y\n\nFrom z\n"),
        ((), b"no end", b"no end\n"),
        ((), b"", b""),
    ],
)
def test_the_message_from_standard_input(
    run: Run, server: ServerStub, argv: tuple[str, ...], given: bytes, taken: bytes
) -> None:
    assert run(*argv, "a@x", stdin=given) == 0
    assert server.asked[0][1] == taken


def test_too_big_is_refused_here(run: Run, server: ServerStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("a@x", stdin=b"x" * 999) == 0
    assert run("a@x", stdin=b"x" * 1000) == 65
    assert "message_size_limit = 1000" in capsys.readouterr().err
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("header", "recipients", "kept"),
    [
        (
            b"To: a@x, B <b@x>\nCc: c\nBcc: d@x,\n e@x\nX: y\n",
            ["a@x", "b@x", "c", "d@x", "e@x"],
            b"To: a@x, B <b@x>\nCc: c\nX: y\n",
        ),
        (b"To: a@x\nResent-To: r@x\nResent-Bcc: s@x\nBcc: b@x\n", ["r@x", "s@x"], b"To: a@x\nResent-To: r@x\n"),
        (b'To: "a b"@x, (note) a@x, a@x\n', ['"a b"@x', "a@x"], b'To: "a b"@x, (note) a@x, a@x\n'),
        (b"To: friends: a@x, b@x;\ncc : c@x\n", ["a@x", "b@x", "c@x"], b"To: friends: a@x, b@x;\ncc : c@x\n"),
        (b"To: undisclosed-recipients:;\nBcc: a@x\n", ["a@x"], b"To: undisclosed-recipients:;\n"),
    ],
)
def test_recipients_from_the_header(header: bytes, recipients: list[str], kept: bytes) -> None:
    assert sendmail.extract(header + b"\nTo: body@x\n") == (recipients, kept + b"\nTo: body@x\n")


def test_the_servers_refusal_is_told(config: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"ok": False, "error": "queue file system full", "code": 75, "temporary": True}
    stub = ServerStub(config / "queue", lambda question: answer)
    try:
        assert run("a@x") == 75
        assert capsys.readouterr().err == "sendmail: fatal: queue file system full\n"
    finally:
        stub.close()


def taken(path: str) -> tuple[int, dict[str, object], bytes]:
    fd = maildrop.open_file(path)
    try:
        uid, question, start, size = maildrop.look(fd, path)
        return uid, question, os.pread(fd, size, start)
    finally:
        os.close(fd)


@pytest.mark.parametrize("stale_socket", [False, True])
def test_server_down_leaves_it_in_the_maildrop(config: Path, run: Run, stale_socket: bool) -> None:
    drop = config / "queue" / "tayori" / "maildrop"
    drop.mkdir(parents=True)
    drop.chmod(0o1733)
    if stale_socket:
        ServerStub(config / "queue", lambda question: {}).close()
    old = os.umask(0o077)
    try:
        assert run("-f", "a@b", "c@d") == 0
    finally:
        os.umask(old)
    [path] = drop.iterdir()
    assert path.suffix == ".mail" and path.stat().st_mode & 0o777 == 0o644
    uid, question, content = taken(str(path))
    assert (uid, content) == (os.geteuid(), MAIL)
    assert (question["op"], question["sender"], question["recipients"]) == ("submit", "a@b", ["c@d"])


def test_no_server_and_no_maildrop_says_what_to_do(
    config: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("c@d") == 69
    assert f"start it with: tayori start -c {config}" in capsys.readouterr().err


def test_the_maildrop_takes_no_links_and_no_halves(tmp_path: Path) -> None:
    whole = ipc.pack(ipc.encode({"op": "submit"})) + ipc.pack(b"x")
    (tmp_path / "half.mail").write_bytes(whole[:-1])
    with pytest.raises(ipc.BadFrame):
        taken(str(tmp_path / "half.mail"))
    (tmp_path / "whole").write_bytes(whole)
    (tmp_path / "link.mail").symlink_to(tmp_path / "whole")
    with pytest.raises(OSError):
        taken(str(tmp_path / "link.mail"))
    os.link(tmp_path / "whole", tmp_path / "second.mail")
    with pytest.raises(ipc.BadFrame):
        taken(str(tmp_path / "second.mail"))


def speak(config: Path, *lines: bytes) -> list[bytes]:
    out = io.BytesIO()
    sendmail_smtp.serve(Settings.read(config), io.BytesIO(b"\r\n".join(lines) + b"\r\n"), out)
    return out.getvalue().splitlines()


def test_smtp_on_standard_input(config: Path, server: ServerStub) -> None:
    said = speak(
        config, b"EHLO me", b"MAIL FROM:<a@b> BODY=8BITMIME SIZE=10", b"RCPT TO:<c@d>", b"RCPT TO:<e@f>", b"DATA",
        b"Subject: y", b"", b"..dot", b".", b"MAIL FROM:<>", b"RCPT TO:<c@d>", b"DATA", b"x", b".", b"QUIT", b"NOOP",
    )  # fmt: skip
    assert said[-1] == b"221 2.0.0 Bye"
    assert said.count(b"250 2.0.0 Ok: queued as 1A2B") == 2
    (first, content), (second, _) = server.asked
    assert (first["sender"], first["recipients"], first["body"]) == ("a@b", ["c@d", "e@f"], "8BITMIME")
    assert content == b"Subject: y\n\n.dot\n"
    assert second["sender"] == "<>"


def test_smtp_that_is_wrong(config: Path, server: ServerStub) -> None:
    said = speak(
        config, b"RCPT TO:<a@b>", b"DATA", b"MAIL FROM:a@b", b"MAIL FROM:<a@b> X=1", b"MAIL FROM:<a@b> SIZE=1001",
        b"MAIL FROM:<a@b>", b"MAIL FROM:<a@b>", b"RCPT TO:<>", b"x" * 9000, b"FOO", b"DATA", b"RCPT TO:<c@d>", b"DATA",
        b"cut off",
    )  # fmt: skip
    codes = [line[:3] for line in said[1:]]
    assert codes == [
        b"503",
        b"503",
        b"501",
        b"555",
        b"552",
        b"250",
        b"503",
        b"501",
        b"500",
        b"500",
        b"503",
        b"250",
        b"354",
    ]
    assert server.asked == [], "a message that was cut off is not sent"


def test_too_many_errors_end_it(config: Path) -> None:
    said = speak(config, *[b"FOO"] * 50)
    assert len(said) == 22 and said[-1].startswith(b"421 ")


def test_it_starts_without_the_heavy_libraries() -> None:
    code = "import sys, tayori.programs.commands.sendmail; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"click", "rich", "ssl", "uvloop", "cryptography", "email.message", "dns"} & set(loaded)


def test_an_answer_that_never_comes_is_temporary(config: Path, run: Run) -> None:
    stub = ServerStub(config / "queue", lambda question: {})
    try:
        assert run("a@x") == 75
    finally:
        stub.close()


def test_parse_raises_for_usage() -> None:
    with pytest.raises(Failed) as caught:
        sendmail.parse(["-t", "-bs"])
    assert caught.value.code == 64


def test_smtp_on_standard_input_knows_smtputf8(config: Path, server: ServerStub) -> None:
    mail = [b"MAIL FROM:<g\xc3\xa4rtner@b.example> SMTPUTF8", b"RCPT TO:<c@d>", b"DATA", b"x", b"."]
    main = (config / "main.cf").read_text()
    (config / "main.cf").write_text(main + "smtputf8_enable = yes\n")
    said = speak(config, b"EHLO me", *mail, b"MAIL FROM:<\xe4@b>", b"MAIL FROM:<a@b> SMTPUTF8=1", b"QUIT")
    assert b"250 SMTPUTF8" in said and said[-2].startswith(b"555 5.5.4") and said[-3].startswith(b"500 5.5.2")
    assert (server.asked[0][0]["sender"], server.asked[0][0]["smtputf8"]) == ("gärtner@b.example", True)
    (config / "main.cf").write_text(main + "smtputf8_enable = no\n")
    said = speak(config, b"EHLO me", mail[0], b"QUIT")
    assert b"250 DSN" in said and said[-2].startswith(b"555 5.5.4")
