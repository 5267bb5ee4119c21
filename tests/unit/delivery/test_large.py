"""Large messages end as small ones do: the same bytes in a Maildir, an mbox file, on the wire, in a command's input."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest
import uvloop

from support.large import body, keep
from support.sink import Sink
from tayori.delivery import durable
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered
from tayori.delivery.pipe import dressed
from tayori.delivery.pipe_command import Request
from tayori.queue.content import blocks, opened
from tayori.queue.model import Attributes, Recipient, Slice, Stored
from unit.delivery import test_maildir as maildir
from unit.delivery import test_mbox as mbox
from unit.delivery import test_pipe as pipes
from unit.delivery.test_maildir import HEAD, NAME, files
from unit.delivery.test_smtp_agent import send

WHOLE = b"Subject: large\n\n" + body(900_000)


@pytest.fixture
def large(tmp_path: Path) -> Stored:
    return keep(tmp_path / "A", WHOLE)


def torn(large: Stored) -> Stored:
    """What cannot be read to its end."""
    last = large.parts[1]
    assert isinstance(last, Slice)
    os.truncate(last.path, last.start + 500_000)
    return large


@pytest.mark.parametrize("how", ["path", "open", "another file system"])
def test_maildir(tmp_path: Path, large: Stored, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how != "path":
        large = opened(str(tmp_path / "A"), len(large))
    if how == "another file system":

        def refuse(*_: object) -> int:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(durable.os, "copy_file_range", refuse)
    assert maildir.deliver(tmp_path / "m", content=large).status == "sent"  # type: ignore[arg-type]
    assert files(tmp_path / "m") == {f"new/{NAME}": HEAD + WHOLE}
    inode = (tmp_path / "m" / "new" / NAME).stat().st_ino
    for recovered in (False, True):
        got = maildir.deliver(tmp_path / "m", content=large, recovered=recovered)  # type: ignore[arg-type]
        assert got.status == "sent"
    assert (tmp_path / "m" / "new" / NAME).stat().st_ino == inode


@pytest.mark.parametrize("at", [0, 600_000, len(HEAD + WHOLE) - 1])
def test_a_torn_maildir_file_is_written_again(tmp_path: Path, large: Stored, at: int) -> None:
    maildir.deliver(tmp_path / "m", content=large)  # type: ignore[arg-type]
    path = tmp_path / "m" / "new" / NAME
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\0")
    maildir.deliver(tmp_path / "m", content=large, recovered=True)  # type: ignore[arg-type]
    assert files(tmp_path / "m") == {f"new/{NAME}": HEAD + WHOLE}


def test_maildir_limit_and_a_lost_content_file(tmp_path: Path, large: Stored) -> None:
    got = maildir.deliver(tmp_path / "m", content=large, limit=len(HEAD + WHOLE) - 1)  # type: ignore[arg-type]
    assert (got.status, got.enhanced) == ("bounced", "5.2.2")
    before = len(os.listdir("/proc/self/fd"))
    got = maildir.deliver(tmp_path / "m", content=torn(large))  # type: ignore[arg-type]
    assert (got.status, got.enhanced) == ("deferred", "4.3.0") and "queue file read error" in got.text
    assert files(tmp_path / "m") == {}
    assert len(os.listdir("/proc/self/fd")) == before


def test_mbox(tmp_path: Path, large: Stored) -> None:
    assert mbox.deliver(tmp_path / "small", body=WHOLE).status == "sent"
    assert mbox.deliver(tmp_path / "large", body=large).status == "sent"  # type: ignore[arg-type]
    small, got = ((tmp_path / name).read_bytes().partition(b"\n")[2] for name in ("small", "large"))
    assert got == small and b"\n>From " in got
    size = (tmp_path / "large").stat().st_size
    for limit, content in ((size + 400_000, large), (0, torn(large))):
        assert mbox.deliver(tmp_path / "large", body=content, limit=limit).status != "sent"  # type: ignore[arg-type]
        assert (tmp_path / "large").stat().st_size == size


@pytest.mark.parametrize("keywords", [("SIZE 5000000", "8BITMIME"), ("PIPELINING",)])
def test_smtp(large: Stored, keywords: tuple[str, ...]) -> None:
    with Sink(keywords=keywords) as sink:
        attempt = send(f"[127.0.0.1]:{sink.port}", content=large, times=2)  # type: ignore[arg-type]
        first, second = sink.wait(2)
    assert isinstance(attempt[1], Delivered)
    assert first.content == second.content == WHOLE.replace(b"\n", b"\r\n")
    sizes = [line.split("SIZE=")[1].split()[0] for line in first.lines if "SIZE=" in line]
    assert sizes == ([str(len(WHOLE) + WHOLE.count(b"\n"))] if "SIZE 5000000" in keywords else [])


def test_smtp_size_and_eight_bits_are_known_before_a_byte_is_sent(tmp_path: Path) -> None:
    found = keep(tmp_path / "B", WHOLE + "ä\n".encode())
    with Sink(keywords=("SIZE 500000",)) as sink:
        attempt = send(f"[127.0.0.1]:{sink.port}", content=found)  # type: ignore[arg-type]
        assert isinstance(attempt[1], BouncedDelivery) and attempt[1].enhanced == "5.3.4"
        assert not [line for _, line in sink.commands if line.startswith("MAIL")]
    with Sink(keywords=("8BITMIME",)) as sink:
        send(f"[127.0.0.1]:{sink.port}", content=found)  # type: ignore[arg-type]
        assert "BODY=8BITMIME" in sink.wait(1)[0].lines[0]


def test_smtp_never_ends_what_it_cannot_read(large: Stored) -> None:
    """The file is cut off between the look at it and the sending: no dot, no message, tried again."""

    def cut(_: str) -> None:
        torn(large)

    with Sink(answers={"DATA": cut}) as sink:
        attempt = send(f"[127.0.0.1]:{sink.port}", content=large)  # type: ignore[arg-type]
        assert isinstance(attempt[1], DeferredDelivery) and attempt[1].text == "queue file read error"
        assert sink.messages == []
    with Sink() as sink:
        attempt = send(f"[127.0.0.1]:{sink.port}", content=large)  # type: ignore[arg-type]
        assert isinstance(attempt[1], DeferredDelivery) and sink.messages == []


def pipe(content: Stored | bytes, *args: str, limit: int = 10, uv: bool = False) -> object:
    made = pipes.agent(*args, limit=limit)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uv else None) as runner:
        return runner.run(made.deliver("nh", "me@a.example", content, (Recipient(1, "u@b.example"),)))[1]


@pytest.mark.parametrize("large_one", [False, True], ids=["small", "large"])
def test_pipe_in_a_worker(tmp_path: Path, large: Stored, large_one: bool) -> None:
    """Where everything runs as one user, commands are run by the worker, whose loop is uvloop's."""
    got = pipe(large if large_one else b"Subject: x\n\nx\n", "argv=/bin/sh", "-c", f"cat >{tmp_path}/got", uv=True)
    assert isinstance(got, Delivered)
    assert (tmp_path / "got").read_bytes() == (WHOLE if large_one else b"Subject: x\n\nx\n")


@pytest.mark.parametrize("flags", ["", "flags=BDFORq>.", "flags=B."])
def test_pipe_input_is_the_same(tmp_path: Path, large: Stored, flags: str) -> None:
    args = (*([flags] if flags else []), "eol=\\r\\n", "argv=/bin/sh", "-c", f"cat >{tmp_path}/got")
    assert isinstance(pipe(large, *args), Delivered)
    request = Request("nh", "me@a.example", (Recipient(1, "u@b.example"),), Attributes(), len(WHOLE))
    command = pipes.command(*args)
    wanted = b"".join(dressed(command, request, WHOLE, 0))
    got = (tmp_path / "got").read_bytes()
    if "F" in flags:  # the time of day
        wanted, got = (text.partition(b"\n")[2] for text in (wanted, got))
    assert got == wanted and got.count(b"\r\n") > 1000


def test_pipe_command_that_reads_little_reads_slowly_or_not_at_all(large: Stored) -> None:
    assert isinstance(pipe(large, "argv=/bin/sh", "-c", "head -c 10 >/dev/null"), Delivered)
    assert isinstance(pipe(large, "argv=/bin/sh", "-c", "sleep 0.3; cat >/dev/null"), Delivered)
    got = pipe(large, "argv=/bin/sh", "-c", "sleep 30", limit=1)
    assert isinstance(got, BouncedDelivery) and "time limit" in got.text


def test_pipe_never_takes_a_part_for_the_whole(tmp_path: Path, large: Stored) -> None:
    got = pipe(torn(large), "argv=/bin/sh", "-c", f"cat >{tmp_path}/got; touch {tmp_path}/done")
    assert got == DeferredDelivery("queue file read error", "4.3.0", "mypipe")
    assert not (tmp_path / "done").exists()


def test_pipe_sees_size_and_loops(large: Stored, tmp_path: Path) -> None:
    got = pipe(large, "size=800000", "argv=/bin/true")
    assert isinstance(got, BouncedDelivery) and got.text == "message too large"
    looped = keep(tmp_path / "B", b"Delivered-To: u@b.example\n" + WHOLE)
    got = pipe(looped, "flags=D", "argv=/bin/true")
    assert isinstance(got, BouncedDelivery) and "forwarding loop" in got.text


def test_no_file_stays_open(large: Stored) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        pipe(large, "argv=/bin/cat")
        pipe(large, "argv=/no/such/command")
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert b"".join(blocks(large)) == WHOLE
