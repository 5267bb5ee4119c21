"""mailq, postqueue, postsuper, postcat against a server that answers as told; columns and keys as Postfix's."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tayori.programs.commands import mailq, postcat, postqueue, postsuper, sendmail
from unit.commands.server_stub import ServerStub

ROWS: list[dict[str, object]] = [
    {
        "id": "0E4F420C12E", "number": 5, "arrival": 1795544549.2, "size": 2600, "sender": "s@x.example",
        "hold": False, "active": False, "recipients": [
            {"address": "z@v.example", "reason": "", "due": 0.0},
            {"address": "m@v.example", "reason": "deferred transport", "due": 1.0},
            {"address": "u@v.example", "reason": "deferred transport", "due": 1.0},
        ],
    },
    {
        "id": "1A", "number": 26, "arrival": 1795544550, "size": 255, "sender": "", "hold": True, "active": False,
        "recipients": [{"address": "u\x1b[2J@v.example", "reason": "x" * 90, "due": 1.0}],
    },
    {
        "id": "1B", "number": 27, "arrival": 1795544550, "size": 1, "sender": "a@b", "hold": False, "active": True,
        "recipients": [],
    },
]  # fmt: skip


def answer(question: dict[str, object]) -> dict[str, object]:
    if question["op"] == "queue":
        later = [row for row in ROWS if row["number"] > question["after"]]  # type: ignore[operator]
        return {"messages": later[:2], "more": len(later) > 2}
    if question["op"] == "content":
        if question["id"] != "1A":
            return {"ok": False, "error": f"{question['id']}: no such message", "code": 66}
        return {"ok": True, "message": ROWS[1], "pieces": [b"Subject: x\nTo: y\n", b"\nbo", b"dy\n", b""]}
    if question["op"] in ("delete", "hold", "release", "requeue"):
        ids = question["ids"]
        assert isinstance(ids, list)
        return {"ok": True, "done": [name for name in ids if name in ("1A", "1B", "0E4F420C12E")]}
    return {"ok": True}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerStub]:
    (tmp_path / "main.cf").write_text(f"queue_directory = {tmp_path}/queue\n")
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    stub = ServerStub(tmp_path / "queue", answer)
    yield stub
    stub.close()


@pytest.mark.parametrize(
    "call", [lambda: mailq.main([]), lambda: postqueue.main(["-p"]), lambda: sendmail.main(["-bp"])]
)
def test_the_listing(server: ServerStub, capsys: pytest.CaptureFixture[str], call: object) -> None:
    assert callable(call) and call() == 0
    assert capsys.readouterr().out.splitlines() == [
        "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------",
        "0E4F420C12E    2600 Tue Nov 24 18:22:29  s@x.example",
        "                                         z@v.example",
        "                                                          (deferred transport)",
        "                                         m@v.example",
        "                                         u@v.example",
        "",
        "1A!             255 Tue Nov 24 18:22:30  MAILER-DAEMON",
        "(" + "x" * 90 + ")",
        "                                         u?[2J@v.example",
        "",
        "1B*               1 Tue Nov 24 18:22:30  a@b",
        "",
        "-- 2 Kbytes in 3 Requests.",
    ]
    assert [question["after"] for question, _ in server.asked] == [0, 26]


def test_the_wide_listing_and_the_empty_one() -> None:
    lines = list(mailq.traditional(ROWS[:1], True))
    assert lines[0] == "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
    assert lines[1].startswith("0E4F420C12E           2600 Tue Nov 24 ")
    assert lines[2] == " " * 47 + "z@v.example"
    assert lines[-1] == "-- 2 Kbytes in 1 Request."
    assert list(mailq.traditional([], False)) == ["Mail queue is empty"]


def test_json(server: ServerStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert postqueue.main(["-j"]) == 0
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "queue_name": "deferred", "queue_id": "0E4F420C12E", "arrival_time": 1795544549, "message_size": 2600,
        "forced_expire": False, "sender": "s@x.example", "recipients": [
            {"address": "z@v.example"},
            {"address": "m@v.example", "delay_reason": "deferred transport"},
            {"address": "u@v.example", "delay_reason": "deferred transport"},
        ],
    }  # fmt: skip
    assert (second["queue_name"], second["sender"], third["queue_name"]) == ("hold", "MAILER-DAEMON", "active")


@pytest.mark.parametrize(
    ("argv", "question"),
    [
        (["-f"], {"op": "flush"}),
        (["-i", "1A"], {"op": "flush", "id": "1A"}),
        (["-s", "example.com"], {"op": "flush", "site": "example.com"}),
    ],
)
def test_flush(server: ServerStub, argv: list[str], question: dict[str, object]) -> None:
    assert postqueue.main(argv) == 0
    assert server.asked == [(question, b"")]


@pytest.mark.parametrize(("option", "question"), [("-q", {"op": "flush"}), ("-qI1A", {"op": "flush", "id": "1A"})])
def test_sendmail_q(server: ServerStub, option: str, question: dict[str, object]) -> None:
    assert sendmail.main([option]) == 0
    assert server.asked == [(question, b"")]


@pytest.mark.parametrize("argv", [[], ["-p", "-j"], ["-p", "x"], ["-Z"]])
def test_postqueue_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert postqueue.main(argv) == 64
    assert "usage: postqueue" in capsys.readouterr().err


def test_postsuper_by_id(server: ServerStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert postsuper.main(["-d", "1A", "-d", "FF", "-h", "1B"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "postsuper: 1A: removed",
        "postsuper: Deleted: 1 message",
        "postsuper: 1B: placed on hold",
        "postsuper: Placed on hold: 1 message",
    ]


def test_postsuper_from_standard_input(server: ServerStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1A\n\n1B\n"))
    assert postsuper.main(["-r", "-"]) == 0
    assert server.asked == [({"op": "requeue", "ids": ["1A", "1B"]}, b"")]


@pytest.mark.parametrize("option", ["-d", "-h", "-r"])
def test_postsuper_all_needs_a_word(
    server: ServerStub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert postsuper.main([option, "ALL"]) == 64
    assert f"{2 if option == '-h' else 3} messages: add --force" in capsys.readouterr().err
    assert all(question["op"] == "queue" for question, _ in server.asked)


@pytest.mark.parametrize(
    ("argv", "ids"),
    [
        (["-d", "ALL", "--force"], ["0E4F420C12E", "1A", "1B"]),
        (["-f", "-d", "ALL", "deferred"], ["0E4F420C12E"]),
        (["-H", "ALL", "-f"], ["1A"]),
        (["-h", "ALL", "-f"], ["0E4F420C12E", "1B"]),
    ],
)
def test_postsuper_all_with_force(server: ServerStub, argv: list[str], ids: list[str]) -> None:
    assert postsuper.main(argv) == 0
    assert server.asked[-1][0]["ids"] == ids


@pytest.mark.parametrize(("said", "done"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_postsuper_asks_a_person(
    server: ServerStub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str, done: bool
) -> None:
    stdin = io.StringIO(said)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert (postsuper.main(["-d", "ALL"]) == 0) is done
    assert "delete 3 messages? [y/N]" in capsys.readouterr().err
    assert any(question["op"] == "delete" for question, _ in server.asked) is done


@pytest.mark.parametrize("argv", [[], ["-d", "1A", "nosuchqueue"], ["-x"]])
def test_postsuper_usage(argv: list[str]) -> None:
    assert postsuper.main(argv) == 64


def test_postcat(
    server: ServerStub, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(*argv: str) -> str:
        out = io.TextIOWrapper(io.BytesIO())
        monkeypatch.setattr(sys, "stdout", out)
        assert postcat.main([*argv]) == 0
        return out.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]

    assert shown("-qbh", "1A") == "Subject: x\nTo: y\n\nbody\n"
    assert shown("-q", "-b", "1A") == "\nbody\n"
    assert shown("-qh", "1A") == "Subject: x\nTo: y\n"
    assert shown("-q", "1A").splitlines()[0] == "*** ENVELOPE RECORDS hold/1A ***"


def test_postcat_of_what_is_not_there(server: ServerStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert postcat.main(["-q", "FF"]) == 66
    assert capsys.readouterr().err == "postcat: fatal: FF: no such message\n"


def test_a_server_that_is_down_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "main.cf").write_text(f"queue_directory = {tmp_path}/queue\n")
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    for call in (lambda: mailq.main([]), lambda: postqueue.main(["-f"]), lambda: postsuper.main(["-d", "1"])):
        assert call() == 69
        assert f"the mail system is down: nobody answers at {tmp_path}/queue/tayori" in capsys.readouterr().err
