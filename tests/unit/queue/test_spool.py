"""Content files: what is in them, when they are there, when they go, and that no sweep takes a live one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from support.large import body
from tayori.queue import engine
from tayori.queue import spool as module
from tayori.queue.content import blocks
from tayori.queue.engine import SqliteQueue
from tayori.queue.model import ContentLost, Message, QueueBroken, QueueFull, Settlement, Stored
from tayori.queue.spool import GAP, Copy, Spool, create, sweep
from tayori.queue.store import Store
from unit.queue.test_engine import message, run

RAW = b"Subject: x\nX-Drop: y\n\n" + body(700_000)
CUT = RAW.index(b"\n\n") + 1


def nobody(_: int) -> bool:
    return False


def spooled(folder: Path, work: Callable[[Spool], Awaitable[None]]) -> None:
    async def main() -> None:
        found = Spool(folder, 0xABC)
        for at in range(0, len(RAW), 100_000):
            await found.write(RAW[at : at + 100_000])
        await work(found)
        found.end()
        await asyncio.sleep(0)

    asyncio.run(main())


def settled(folder: Path, wanted: set[str]) -> None:
    """The threads have done what was asked of them."""
    for _ in range(200):
        if {path.name for path in folder.iterdir()} == wanted:
            return
        threading.Event().wait(0.02)
    assert {path.name for path in folder.iterdir()} == wanted


@pytest.mark.parametrize(
    "header", [b"A: b\n", b"Received: " + b"r" * 60_000 + b"\n", b"X: " + b"y" * (GAP + 500) + b"\n"]
)
def test_the_header_takes_its_place(tmp_path: Path, header: bytes) -> None:
    async def work(found: Spool) -> None:
        with found.view() as view:
            assert view[:] == RAW
        kept = await found.finish(header, CUT)
        assert b"".join(blocks(kept)) == header + RAW[CUT:]
        assert kept.header == header and len(kept) == len(header) + len(RAW) - CUT

    spooled(tmp_path, work)


def test_edits_of_the_body(tmp_path: Path) -> None:
    first, second = RAW.index(b"00000100"), RAW.index(b"00000200")
    edits = [(first, first + 8, b""), (second, second + 8, b"instead of it")]

    async def work(found: Spool) -> None:
        kept = await found.finish(RAW[:CUT], CUT, edits)
        assert b"".join(blocks(kept)) == RAW.replace(b"00000100", b"").replace(b"00000200", b"instead of it")
        assert [path.name for path in tmp_path.iterdir()] == ["ABC"]
        assert sweep(tmp_path, ["ABC"], nobody) == 0, "the second file is ours as the first was"

    spooled(tmp_path, work)
    settled(tmp_path, set())


def test_what_is_not_kept_goes(tmp_path: Path) -> None:
    async def work(found: Spool) -> None:
        assert [path.name for path in tmp_path.iterdir()] == ["ABC"]

    spooled(tmp_path, work)
    settled(tmp_path, set())


@pytest.mark.parametrize(("ending", "stays"), [("kept", True), ("failed", False), ("cancelled", True)])
def test_the_commit_decides(tmp_path: Path, ending: str, stays: bool) -> None:
    """A cancelled wait says nothing about the commit: then the file stays, and stays locked."""

    async def work(found: Spool) -> None:
        await found.finish(RAW[:CUT], CUT)
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        found.follow(accepted)
        found.end()
        if ending == "kept":
            accepted.set_result(None)
        elif ending == "failed":
            accepted.set_exception(QueueBroken("no"))
        else:
            accepted.cancel()
        await asyncio.sleep(0.01)

    spooled(tmp_path, work)
    settled(tmp_path, {"ABC"} if stays else set())
    if ending == "cancelled":
        assert sweep(tmp_path, ["ABC"], nobody) == 0


def test_a_full_disk_is_queue_full_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes, at: int) -> None:
        raise OSError(28, "No space left on device")

    async def work(found: Spool) -> None:
        monkeypatch.setattr(module, "write_all", full)
        with pytest.raises(QueueFull):
            await found.write(b"more")
        with pytest.raises(QueueFull):
            await found.finish(b"A: b\n", CUT)

    spooled(tmp_path, work)
    settled(tmp_path, set())
    with pytest.raises(QueueFull):
        Copy(tmp_path, 5).write(Stored((b"A: b\n", b"\nbody\n")))
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_takes_only_what_nobody_writes_and_no_row_names(tmp_path: Path) -> None:
    live = create(str(tmp_path / "A1"))
    for name in ("A2", "A3", "A4.new", "README", "A5"):
        (tmp_path / name).write_bytes(b"x")
    os.rename(tmp_path / "A5", tmp_path / "A5.new")
    assert sweep(tmp_path, os.listdir(tmp_path), lambda number: number in (0xA3, 0xA5)) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"A1", "A3", "README"}
    os.close(live)
    assert sweep(tmp_path, ["A1"], nobody) == 1


def test_a_row_that_comes_while_the_sweep_waits_saves_the_file(tmp_path: Path) -> None:
    (tmp_path / "A1").write_bytes(b"x")
    answers = iter((False, True))
    assert sweep(tmp_path, ["A1"], lambda _: next(answers)) == 0
    assert (tmp_path / "A1").exists()


def test_a_sweep_between_making_and_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is gone before we had its lock: another is made, and that one is there."""
    real = fcntl.flock
    swept = []

    def flock(fd: int, how: int) -> None:
        if not swept:
            swept.append(True)
            monkeypatch.setattr(module.fcntl, "flock", real)
            assert sweep(tmp_path, ["A1"], nobody) == 1
        real(fd, how)

    monkeypatch.setattr(module.fcntl, "flock", flock)
    fd = create(str(tmp_path / "A1"))
    assert os.fstat(fd).st_ino == (tmp_path / "A1").stat().st_ino
    assert sweep(tmp_path, ["A1"], nobody) == 0
    os.close(fd)


def test_a_large_message_through_the_queue(tmp_path: Path) -> None:
    async def work(queue: SqliteQueue) -> None:
        number = queue.next_number()
        found = queue.spool(number)
        await found.write(RAW)
        kept = await found.finish(RAW[:CUT], CUT)
        accepted = queue.accept(_with(number, kept))
        found.follow(accepted)
        await accepted
        assert await queue.content(number) == kept
        copy = queue.next_number()
        born = _with(copy, Stored((b"Subject: report\n", b"\n", *kept.parts[1:], b"end\n")))
        await queue.settle_large(Settlement(number, finished=True, messages=(born,)))
        again = await queue.content(copy)
        assert b"".join(blocks(again)) == b"Subject: report\n\n" + RAW[CUT:] + b"end\n"
        with pytest.raises(KeyError):
            await queue.content(number)
        (tmp_path / "content" / f"{copy:X}").unlink()
        with pytest.raises(ContentLost):
            await queue.content(copy)
        assert await queue.sweep() == 0

    run(tmp_path, work)
    assert list((tmp_path / "content").iterdir()) == []
    store = Store(tmp_path)
    assert store.count() == 1, "a row whose file is lost stays"
    store.close()


def _with(number: int, content: Stored) -> Message:
    return replace(message(number), content=content, size=len(content))


def test_what_a_settlement_bears_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large forward on a full disk: the settlement is neither lost nor repeated, it comes when there is room."""
    real, tries = Copy.write, []

    def write(self: Copy, parts: Stored) -> Stored:
        tries.append(1)
        if len(tries) < 3:
            raise QueueFull("No space left on device")
        return real(self, parts)

    monkeypatch.setattr(Copy, "write", write)
    monkeypatch.setattr(engine, "FULL_WAIT", 0.01)

    async def work(queue: SqliteQueue) -> None:
        first, second = queue.next_number(), queue.next_number()
        await queue.accept(message(first))
        born = _with(second, Stored((b"Subject: forward\n", b"\n" + RAW)))
        await queue.settle_large(Settlement(first, finished=True, messages=(born,)))
        assert [m.number for m, _ in await queue.call(lambda store: store.page(0, 9))] == [second]
        assert len(tries) == 3 and await queue.sweep() == 0

    run(tmp_path, work)


def test_a_cancelled_settlement_keeps_its_files_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit may come after the one who waited for it has gone: the file must be there then."""
    real = Store.apply

    def slow(self: Store, *work: object) -> list[int]:
        threading.Event().wait(0.2)
        return real(self, *work)  # type: ignore[arg-type]

    async def work(queue: SqliteQueue) -> None:
        first, second = queue.next_number(), queue.next_number()
        await queue.accept(message(first))
        monkeypatch.setattr(Store, "apply", slow)
        born = _with(second, Stored((b"Subject: forward\n", b"\n" + RAW)))
        task = asyncio.create_task(queue.settle_large(Settlement(first, finished=True, messages=(born,))))
        for _ in range(200):
            await asyncio.sleep(0.005)
            if (tmp_path / "content" / f"{second:X}").exists():
                break
        await asyncio.sleep(0.05)
        task.cancel()
        assert sweep(tmp_path / "content", [f"{second:X}"], nobody) == 0
        await asyncio.sleep(0.4)
        assert b"".join(blocks(await queue.content(second))) == b"Subject: forward\n\n" + RAW

    run(tmp_path, work)
