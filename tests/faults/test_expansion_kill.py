"""One recipient, five destinations: a kill in the middle loses none, and what is done is not done again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from support.server import Server
from support.sink import Sink

FAST = {"minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s", "tayori_workers": "1"}


def until(what: str, server: Server, found: object, seconds: float = 20.0) -> None:
    """Wait for `found()`. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while not found():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"{what}\n{server.log()[-4000:]}"
        time.sleep(0.02)


def served(root: Path, sink: Sink, command: str, more: str = "") -> Server:
    """`five` is two mailboxes, a Maildir, a command and somebody elsewhere."""
    place = root / "open"
    place.mkdir()
    place.chmod(0o777)
    settings = {
        **FAST,
        "alias_maps": f"hash:{root}/conf/aliases",
        "relayhost": f"[127.0.0.1]:{sink.port}",
    }
    aliases = f'five: taro, {place}/dir/, hanako, x@elsewhere.example, "|{command}"\n'
    return Server(root, settings, files={"aliases": aliases + more})


def all_there(server: Server, sink: Sink) -> None:
    """Each mailbox has it once, and somebody elsewhere has it."""
    until("the relay", server, lambda: sink.messages)
    until("the queue is empty", server, lambda: "Mail queue is empty" in queue(server))
    assert [len(server.mailbox(user)) for user in ("taro", "hanako")] == [1, 1]
    assert len(list((server.root / "open" / "dir" / "new").iterdir())) == 1
    assert len(sink.messages) == 1


def queue(server: Server) -> str:
    """mailq."""
    return server.command("mailq", "-c", str(server.conf)).stdout


def test_the_worker_dies_while_a_command_runs(tmp_path: Path) -> None:
    runs = tmp_path / "open" / "runs"
    with Sink() as sink, served(tmp_path, sink, f"echo begun >>{runs}; sleep 1; echo ended >>{runs}") as server:
        assert server.send("a@example.com", "five@example.com").startswith("250")
        until("the command begins", server, runs.exists)
        assert server.mailbox("taro"), "commands come after mailboxes"
        assert not sink.messages, "nothing is sent on before it is settled"
        server.kill("worker")
        until("the command is run again", server, lambda: runs.read_text().count("ended") >= 1)
        all_there(server, sink)
        assert 1 <= runs.read_text().count("ended") <= 2


def test_the_pipe_process_dies_while_a_command_runs(tmp_path: Path) -> None:
    runs = tmp_path / "open" / "runs"
    with Sink() as sink, served(tmp_path, sink, f"echo begun >>{runs}; sleep 1; echo ended >>{runs}") as server:
        assert server.send("a@example.com", "five@example.com").startswith("250")
        until("the command begins", server, runs.exists)
        server.kill("pipe")
        until("the command is run again", server, lambda: runs.read_text().count("begun") == 2)
        all_there(server, sink)
        assert "status=deferred (the pipe process does not answer" in server.log()


@pytest.mark.parametrize("reads", [False, True], ids=["unread", "read"])
def test_the_pipe_process_dies_before_it_hears_that_a_file_is_written(tmp_path: Path, reads: bool) -> None:
    folders = [tmp_path / "open" / name / "new" for name in ("one", "two")]
    more = f"files: {tmp_path}/open/one/, {tmp_path}/open/two/\n"
    with Sink() as sink, served(tmp_path, sink, "true", more) as server:
        local = server.kill("local", signal.SIGSTOP)
        assert server.send("a@example.com", "files@example.com").startswith("250")
        time.sleep(1)  # the orders lie with the local process; sooner, and this test only sees less
        server.kill("pipe", signal.SIGSTOP)
        os.kill(local, signal.SIGCONT)
        until("both files", server, lambda: all(folder.is_dir() and any(folder.iterdir()) for folder in folders))
        if reads:
            for folder in folders:
                (path,) = folder.iterdir()
                path.rename(folder.parent / "cur" / f"{path.name}:2,S")
        server.kill("pipe")
        until("the queue is empty", server, lambda: "Mail queue is empty" in queue(server))
        assert "status=deferred (the pipe process does not answer" in server.log()
        for folder in folders:
            (path,) = (folder.parent / "cur" if reads else folder).iterdir()
            assert "Delivered-To: files@example.com" in path.read_text()
            assert not reads or not list(folder.iterdir())


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    runs, wait = tmp_path / "open" / "runs", tmp_path / "open" / "wait"
    with Sink() as sink, served(tmp_path, sink, f"echo run >>{runs}; test ! -e {wait} || exit 75") as server:
        wait.touch()
        assert server.send("a@example.com", "five@example.com").startswith("250")
        until("three attempts", server, lambda: runs.exists() and runs.read_text().count("run") >= 3)
        for user in ("taro", "hanako"):
            (path,) = server.mailbox(user)
            path.rename(path.parent.parent / "cur" / f"{path.name}:2,S")
        wait.unlink()
        until("the queue is empty", server, lambda: "Mail queue is empty" in queue(server))
        assert [server.mailbox(user) for user in ("taro", "hanako")] == [[], []]
        assert len(list((tmp_path / "open" / "dir" / "new").iterdir())) == 1
        assert len(sink.messages) == 1


def test_a_destination_that_is_no_longer_named_comes_back(tmp_path: Path) -> None:
    runs = tmp_path / "open" / "runs"
    with Sink() as sink, served(tmp_path, sink, f"echo run >>{runs}; exit 75") as server:
        assert server.send("taro@example.com", "five@example.com").startswith("250")
        until("an attempt", server, runs.exists)
        (tmp_path / "conf" / "aliases").write_text("five: taro\n")
        log = server.wait_log("no longer names this destination")
        assert "dsn=5.3.5, status=bounced" in log
        server.wait_mail("taro", 2)


def test_a_large_message_comes_whole_to_command_and_file(tmp_path: Path) -> None:
    out = tmp_path / "open" / "out"
    more = f'big: "|cat >{out}.part; mv {out}.part {out}", {tmp_path}/open/box, taro\n'
    with Sink() as sink, served(tmp_path, sink, "true", more) as server:
        body = "".join(f"{n:07d} a line of a letter that is too large for memory\r\n" for n in range(60_000))
        assert server.send("a@example.com", "big@example.com", f"Subject: big\r\n\r\n{body}").startswith("250")
        until("the command", server, out.exists)
        (path,) = server.wait_mail("taro")
        wanted = body.replace("\r\n", "\n")
        until("the queue is empty", server, lambda: "Mail queue is empty" in queue(server))
        for one in (path, out, tmp_path / "open" / "box"):
            text = one.read_text()
            assert text[text.index("\n\n") + 2 :].rstrip("\n") == wanted.rstrip("\n"), one
