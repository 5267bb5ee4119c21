"""mbox files: the format, the locks, and what may not be written to."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.peers import need_root
from tayori.delivery import mbox
from tayori.delivery.place import Place
from tayori.delivery.request import Result, Target
from tayori.delivery.rights import Rights
from tayori.delivery.trace_headers import prefix
from tayori.queue.content import Content
from tayori.queue.model import Slice, Stored

BODY = b"Subject: x\n\nFrom me\n>From you\n From it\nbody\n"
LOCKS = ("fcntl", "dotlock")


def deliver(
    path: Path,
    *,
    limit: int = 0,
    owner: str = "u",
    body: Content = BODY,
    stale: int = 500,
    recovered: bool = False,
) -> Result:
    place = Place(str(path), False, os.geteuid(), os.getegid(), limit, owner)
    target = Target(7, "local", "u@x", "u", prefix=prefix("", "", "u@x"))
    return mbox.deliver(place, target, body, Rights(True), LOCKS, stale, recovered)


def test_the_format_is_local8s(tmp_path: Path) -> None:
    assert deliver(tmp_path / "u") == Result(7, "sent", "2.0.0", "delivered to mailbox")
    assert deliver(tmp_path / "u", body=b"Subject: y\n\nno end").status == "sent"
    first, second = re.split(rb"(?m)^From MAILER-DAEMON  .*\n", (tmp_path / "u").read_bytes())[1:]
    head = b"Return-Path: <>\nDelivered-To: u@x\n"
    assert first == head + b"Subject: x\n\n>From me\n>From you\n From it\nbody\n\n"
    assert second == head + b"Subject: y\n\nno end\n\n"
    assert not (tmp_path / "u.lock").exists()
    assert (tmp_path / "u").stat().st_mode & 0o777 == 0o600


def test_a_dotlock_is_busy_until_it_is_stale(tmp_path: Path) -> None:
    lock = tmp_path / "u.lock"
    lock.touch()
    with pytest.raises(mbox.Busy, match=f"unable to create lock file {lock}: File exists"):
        deliver(tmp_path / "u")
    assert lock.exists()
    assert deliver(tmp_path / "u", stale=-1).status == "sent"
    assert not lock.exists()


def test_an_fcntl_lock_is_busy(tmp_path: Path) -> None:
    box = tmp_path / "u"
    box.touch()
    code = "import fcntl,sys;f=open(sys.argv[1],'r+');fcntl.lockf(f,fcntl.LOCK_EX);print(flush=True);sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(box)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(mbox.Busy, match="unable to lock for exclusive access: Resource temporarily unavailable"):
            deliver(box)
        assert not (tmp_path / "u.lock").exists()
        holder.communicate(timeout=10)
    assert deliver(box).status == "sent"


def test_a_link_a_second_name_and_a_directory_are_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(victim)
    os.link(victim, tmp_path / "hard")
    (tmp_path / "dir").mkdir()
    texts = {name: deliver(tmp_path / name, owner="").text for name in ("link", "hard", "dir")}
    at = f"delivery failed to mailbox {tmp_path}"
    assert texts == {
        "link": f"{at}/link: file is a symbolic link",
        "hard": f"{at}/hard: file has 2 hard links",
        "dir": f"{at}/dir: cannot open file: Is a directory",
    }
    assert victim.read_bytes() == b"precious"


def test_the_limit_counts_the_whole_file(tmp_path: Path) -> None:
    assert deliver(tmp_path / "u", limit=200).status == "sent"
    before = (tmp_path / "u").read_bytes()
    result = deliver(tmp_path / "u", limit=200)
    assert (result.status, result.enhanced) == ("bounced", "5.2.2")
    assert result.text == f"cannot update mailbox {tmp_path}/u for user u. error writing message: File too large"
    assert (tmp_path / "u").read_bytes() == before


def test_a_failing_sync_truncates_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(tmp_path / "u")
    before = (tmp_path / "u").read_bytes()

    def fail(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(mbox.os, "fsync", fail)
    result = deliver(tmp_path / "u")
    assert (result.status, result.enhanced) == ("deferred", "4.3.0")
    assert (tmp_path / "u").read_bytes() == before


def test_a_spool_that_only_root_may_write_gives_each_user_a_file(tmp_path: Path) -> None:
    need_root("files of other users")
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/") and folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    spool = tmp_path / "mail"
    spool.mkdir(0o755)
    rights = Rights(False)
    place = Place(str(spool / "u"), False, 54321, 54321, 0, "u", spool=True)
    target = Target(0, "local", "u@x", "u")
    for _ in range(2):
        assert mbox.deliver(place, target, BODY, rights, LOCKS, 500).status == "sent"
    status = (spool / "u").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (54321, 54321, 0o600)
    os.chown(spool / "u", 54322, 54322)
    (spool / "u").chmod(0o666)
    result = mbox.deliver(place, target, BODY, rights, LOCKS, 500)
    assert (result.status, "destination is not owned by recipient" in result.text) == ("deferred", True)
    assert os.geteuid() == 0 and os.listdir(spool) == ["u"]


def test_locks_are_released(tmp_path: Path) -> None:
    deliver(tmp_path / "u")
    with open(tmp_path / "u", "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def large(tmp_path: Path, number: int) -> Stored:
    """Several blocks of content in a file."""
    body = b"".join(b"%d line %d\nFrom here\n" % (number, n) for n in range(60_000))
    path = tmp_path / f"content{number}"
    path.write_bytes(b"gap" + body)
    return Stored((b"Received: by x\n\tid %X\nSubject: large\n" % number, Slice(str(path), 3, len(body))))


@pytest.mark.parametrize("size", ["small", "large"])
def test_what_stands_there_is_not_written_again(tmp_path: Path, size: str) -> None:
    box = tmp_path / "u"
    bodies: list[Content] = [b"Subject: a\n\nx\n", b"Subject: b\n\nFrom you\n", b"Subject: c\n\nx"]
    if size == "large":
        bodies = [large(tmp_path, n) for n in range(3)]
    for body in bodies:
        assert deliver(box, body=body).status == "sent"
    whole = box.read_bytes()
    for body in bodies:
        assert deliver(box, body=body, recovered=True).status == "sent"
        assert box.read_bytes() == whole
    assert deliver(box, body=b"Subject: d\n\nx\n", recovered=True).status == "sent"
    assert box.read_bytes().startswith(whole) and box.read_bytes().endswith(b"Subject: d\n\nx\n\n")


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("before", [False, True], ids=["alone", "after others"])
def test_what_a_kill_has_cut_off_is_taken_away(tmp_path: Path, size: str, before: bool) -> None:
    box = tmp_path / "u"
    if before:
        deliver(box, body=b"Subject: before\n\nx\n")
    start = box.stat().st_size if before else 0
    body: Content = BODY if size == "small" else large(tmp_path, 1)
    deliver(box, body=body)
    whole = box.read_bytes()
    line = whole.index(b"\n", start) + 1
    for end in (line, line + 5, line + 60, (line + len(whole)) // 2, len(whole) - 1):
        os.truncate(box, end)
        assert deliver(box, body=body, recovered=True).status == "sent"
        assert box.read_bytes()[:start] == whole[:start]
        assert box.read_bytes()[start:].partition(b"\n")[2] == whole[line:]


def test_only_ones_own_beginning_is_taken_away(tmp_path: Path) -> None:
    box = tmp_path / "u"
    deliver(box, body=b"Subject: another\n\nlong enough\n")
    other = box.read_bytes()[:-4]
    box.write_bytes(other)
    assert deliver(box, recovered=True).status == "sent"
    assert box.read_bytes().startswith(other + b"\n\nFrom MAILER-DAEMON  "), "and it swallows nothing"


def test_a_lock_says_from_the_first_moment_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process killed in link(2), or before it, leaves no lock that says nothing."""
    seen: list[bool] = []

    def link(*words: object, **more: object) -> None:
        seen.append((tmp_path / "u.lock").exists())
        raise FileExistsError

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(mbox.Busy):
        deliver(tmp_path / "u", body=b"x\n")
    assert seen and not any(seen)


def test_the_lock_of_a_killed_process_is_not_waited_for(tmp_path: Path) -> None:
    box = tmp_path / "u"
    code = (
        "import os, sys; from tayori.delivery import mbox; from tayori.delivery.place import Place\n"
        "mbox._dotlock(Place(sys.argv[1], False, os.geteuid(), os.getegid()), 500)\n"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(box)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(mbox.Busy):
            deliver(box)
        holder.kill()
        holder.wait()
    assert (tmp_path / "u.lock").exists()
    assert deliver(box).status == "sent"
    assert not (tmp_path / "u.lock").exists()
