"""Maildir batches: what lands where, twice, torn, moved by a reader, under a hostile user, on a failing disk."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from tayori.delivery import durable, maildir
from tayori.delivery.maildir import Batch, find
from tayori.delivery.place import Place
from tayori.delivery.request import Result, Target
from tayori.delivery.rights import Rights

NAME = "1795543849.Q1A2BR0.mail"
HEAD = b"Return-Path: <a@b.example>\n"
BODY = b"Subject: x\n\nbody\n"


def deliver(
    where: Path,
    *,
    recovered: bool = False,
    content: bytes = BODY,
    expected: int = 1,
    limit: int = 0,
    name: str = NAME,
) -> Result:
    place = Place(str(where), True, os.geteuid(), os.getegid(), limit, "u")
    batch = Batch(Rights(True), expected)
    result = batch.add("key", place, Target(3, "local", "u@x", "u", prefix=HEAD, name=name), content, recovered)
    done = batch.sync()
    if result is not None:
        assert done == []
        return result
    [(key, result)] = done
    assert key == "key" and result.n == 3
    return result


def files(where: Path) -> dict[str, bytes]:
    return {str(p.relative_to(where)): p.read_bytes() for p in where.rglob("*") if p.is_file()}


@pytest.mark.parametrize("expected", [1, 100], ids=["fsync", "syncfs"])
def test_first_delivery_makes_a_private_maildir(tmp_path: Path, expected: int) -> None:
    box = tmp_path / "deep" / "Maildir"
    old = os.umask(0o022)
    try:
        assert deliver(box, expected=expected) == Result(3, "sent", "2.0.0", "delivered to maildir")
    finally:
        os.umask(old)
    assert files(box) == {f"new/{NAME}": HEAD + BODY}
    for folder in (box, box / "tmp", box / "new", box / "cur"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((box / "new" / NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("made", range(4))
def test_a_crash_while_the_maildir_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: int) -> None:
    """However many folders were there by then, the next attempt makes the rest: readers need cur, too."""
    left = made
    mkdir = os.mkdir

    def crashing(path: str, mode: int) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        mkdir(path, mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", crashing)
        with pytest.raises(KeyboardInterrupt):
            deliver(tmp_path / "Maildir")
    assert deliver(tmp_path / "Maildir", recovered=True).status == "sent"
    assert {entry.name for entry in (tmp_path / "Maildir").iterdir()} == {"tmp", "new", "cur"}


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for expected in (1, 100):
        for recovered in (False, True):
            deliver(tmp_path / "m", expected=expected, recovered=recovered)
            deliver(tmp_path / "m", content=b"other", recovered=False)
    assert len(os.listdir("/proc/self/fd")) == before


def test_twice_is_one_file(tmp_path: Path) -> None:
    deliver(tmp_path)
    inode = (tmp_path / "new" / NAME).stat().st_ino
    assert deliver(tmp_path).status == "sent"
    assert deliver(tmp_path, recovered=True).status == "sent"
    assert files(tmp_path) == {f"new/{NAME}": HEAD + BODY}
    assert (tmp_path / "new" / NAME).stat().st_ino == inode


@pytest.mark.parametrize("flags", ["", ":2,", ":2,FS", ",S=44:2,S"])
def test_recovered_finds_what_a_reader_moved(tmp_path: Path, flags: str) -> None:
    deliver(tmp_path)
    os.rename(tmp_path / "new" / NAME, tmp_path / "cur" / (NAME + flags))
    assert deliver(tmp_path, recovered=True).status == "sent"
    assert files(tmp_path) == {f"cur/{NAME}{flags}": HEAD + BODY}


def test_a_longer_name_is_another_message(tmp_path: Path) -> None:
    deliver(tmp_path, name=NAME + "2")
    os.rename(tmp_path / "new" / (NAME + "2"), tmp_path / "cur" / (NAME + "2:2,S"))
    assert find(str(tmp_path), NAME) == ""


@pytest.mark.parametrize("torn", [b"", HEAD, b"\0" * len(HEAD + BODY)], ids=["empty", "short", "zeros"])
@pytest.mark.parametrize("place", [f"new/{NAME}", f"cur/{NAME}:2,S"])
def test_recovered_rewrites_a_torn_file_in_its_place(tmp_path: Path, torn: bytes, place: str) -> None:
    deliver(tmp_path, name="other")
    (tmp_path / place).write_bytes(torn)
    assert deliver(tmp_path, recovered=True).status == "sent"
    assert files(tmp_path) == {place: HEAD + BODY, "new/other": HEAD + BODY}


def test_a_foreign_file_of_the_same_name_is_never_overwritten(tmp_path: Path) -> None:
    deliver(tmp_path)
    result = deliver(tmp_path, content=b"Subject: another\n\n")
    assert result.status == "deferred" and "File exists" in result.text
    assert files(tmp_path) == {f"new/{NAME}": HEAD + BODY}


def test_a_stale_temporary_file_is_replaced(tmp_path: Path) -> None:
    deliver(tmp_path, name="other")
    (tmp_path / "tmp" / NAME).write_bytes(b"half")
    assert deliver(tmp_path).status == "sent"
    assert files(tmp_path) == {f"new/{NAME}": HEAD + BODY, "new/other": HEAD + BODY}


@pytest.mark.parametrize("spot", ["tmp", "new"])
@pytest.mark.parametrize("recovered", [False, True])
def test_a_symbolic_link_is_not_written_through(tmp_path: Path, spot: str, recovered: bool) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    box = tmp_path / "m"
    deliver(box, name="other")
    (box / spot / NAME).symlink_to(victim)
    deliver(box, recovered=recovered)
    assert victim.read_bytes() == b"precious"
    assert not (box / "tmp" / NAME).exists()


def test_link_to_a_copy_is_not_taken_for_the_message(tmp_path: Path) -> None:
    box = tmp_path / "m"
    deliver(box, name="other")
    (tmp_path / "copy").write_bytes(HEAD + BODY)
    (box / "new" / NAME).symlink_to(tmp_path / "copy")
    assert deliver(box, recovered=True).status == "sent"
    assert not (box / "new" / NAME).is_symlink()


def test_new_removed_by_the_user_comes_back(tmp_path: Path) -> None:
    deliver(tmp_path, name="other")
    (tmp_path / "new" / "other").unlink()
    (tmp_path / "new").rmdir()
    assert deliver(tmp_path).status == "sent"
    assert files(tmp_path) == {f"new/{NAME}": HEAD + BODY}


def test_a_maildir_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"")
    result = deliver(tmp_path / "m")
    assert (result.status, result.enhanced) == ("deferred", "4.2.0")
    assert result.text == f"maildir delivery failed: create maildir file {tmp_path}/m/tmp/{NAME}: Not a directory"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\0b"])
def test_a_name_that_is_no_file_name(tmp_path: Path, name: str) -> None:
    assert deliver(tmp_path / "m", name=name).enhanced == "4.3.5"
    assert not (tmp_path / "m").exists()


def test_above_the_limit_bounces(tmp_path: Path) -> None:
    size = len(HEAD + BODY)
    assert deliver(tmp_path, limit=size).status == "sent"
    result = deliver(tmp_path, limit=size - 1, name="other")
    assert result == Result(3, "bounced", "5.2.2", "maildir delivery failed: error writing message: File too large")


@pytest.mark.parametrize(
    ("code", "enhanced"), [(errno.ENOSPC, "4.3.0"), (errno.EDQUOT, "4.2.2"), (errno.EIO, "4.3.0")]
)
def test_a_failing_write_defers_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, enhanced: str
) -> None:
    def fail(fd: int, parts: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(maildir.os, "writev", fail)
    result = deliver(tmp_path)
    assert (result.status, result.enhanced) == ("deferred", enhanced)
    assert result.text == f"maildir delivery failed: error writing message: {os.strerror(code)}"
    assert files(tmp_path) == {}


def test_short_writes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildir.os, "writev", lambda fd, parts: os.write(fd, b"".join(parts)[:5]))
    assert deliver(tmp_path).status == "sent"
    assert files(tmp_path) == {f"new/{NAME}": HEAD + BODY}


@pytest.mark.parametrize("expected", [1, 100])
def test_a_failing_sync_is_never_sent_and_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: int
) -> None:
    deliver(tmp_path, name="first")

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(durable, "syncfs", fail)
        patched.setattr(maildir.os, "fsync", fail)
        result = deliver(tmp_path, expected=expected)
        assert (result.status, result.enhanced) == ("deferred", "4.3.0")
    assert not (tmp_path / "new" / NAME).exists()
    assert deliver(tmp_path, expected=expected).status == "sent"


def test_without_renameat2_and_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_RENAMEAT2", None)
    assert deliver(tmp_path, name="linked").status == "sent"
    assert deliver(tmp_path, name="linked", content=b"other").status == "deferred"

    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(durable.os, "link", no_links)
    assert deliver(tmp_path, name="renamed").status == "sent"
    assert deliver(tmp_path, name="renamed", content=b"other").status == "deferred"
    assert files(tmp_path) == {"new/linked": HEAD + BODY, "new/renamed": HEAD + BODY}
