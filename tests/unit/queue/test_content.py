"""Content in a file: read as it is, its header found wherever blocks end, and what is missing is never taken for all."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.large import body, keep
from tayori.queue import content
from tayori.queue.content import BLOCK, THRESHOLD, WEIGHT, Unreadable, blocks, lines, opened, stored, weight
from tayori.queue.model import Slice, Stored


@pytest.mark.parametrize("filler", [10, 16_300, 16_384, 131_000, 131_072])
def test_the_header_is_found_wherever_it_ends(tmp_path: Path, filler: int) -> None:
    header = b"Subject: x\nX-Long: " + b"a" * filler + b"\n folded\nTo: y\n"
    whole = header + b"\n" + body(500_000)
    found = keep(tmp_path / "A", whole)
    assert found.header == header
    assert b"".join(blocks(found)) == whole and len(found) == len(whole)
    assert max(map(len, blocks(found))) <= BLOCK


def test_a_header_without_end_is_looked_at_in_part(tmp_path: Path) -> None:
    whole = b"X-Line: %s\n" % (b"a" * 90) * 20_000
    found = keep(tmp_path / "A", whole)
    assert len(found.header) <= content.HEADER_MOST and found.header.endswith(b"\n")
    assert b"".join(blocks(found)) == whole


def test_what_is_missing_is_an_error(tmp_path: Path) -> None:
    found = keep(tmp_path / "A", body(600_000), gap=0)
    with pytest.raises(Unreadable, match="5 bytes are missing"):
        stored(str(tmp_path / "A"), len(found) + 5)
    os.truncate(tmp_path / "A", 300_000)
    with pytest.raises(Unreadable, match="bytes before the message"):
        list(blocks(found))
    (tmp_path / "A").unlink()
    with pytest.raises(Unreadable, match="No such file"):
        list(blocks(found))


def test_an_open_file_stays_whole_after_its_name_is_gone(tmp_path: Path) -> None:
    whole = body(600_000)
    (tmp_path / "A").write_bytes(whole)
    found = opened(str(tmp_path / "A"), len(whole), os.geteuid())
    (tmp_path / "A").unlink()
    assert b"".join(blocks(found)) == whole
    content.close(found)


def test_only_plain_files_of_the_owner_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "A"
    path.write_bytes(b"x" * 10)
    with pytest.raises(Unreadable, match="not a content file"):
        opened(str(path), 10, os.geteuid() + 1)
    os.link(path, tmp_path / "B")
    with pytest.raises(Unreadable, match="not a content file"):
        opened(str(path), 10, os.geteuid())
    (tmp_path / "C").symlink_to(path)
    with pytest.raises(Unreadable):
        opened(str(tmp_path / "C"), 10)
    os.mkfifo(tmp_path / "D")
    with pytest.raises(Unreadable):
        opened(str(tmp_path / "D"), 10)


def test_no_file_stays_open(tmp_path: Path) -> None:
    found = keep(tmp_path / "A", body(600_000))
    before = len(os.listdir("/proc/self/fd"))
    assert next(blocks(found))
    list(blocks(found))
    with pytest.raises(Unreadable):
        stored(str(tmp_path / "A"), 1 << 40)
    assert len(os.listdir("/proc/self/fd")) == before


@given(st.lists(st.sampled_from([b"\n", b"From ", b"a", b"\nFrom x", b"\n."]), max_size=40).map(b"".join), st.data())
def test_lines_are_changed_as_in_one_piece(whole: bytes, data: st.DataObject) -> None:
    def change(text: bytes) -> bytes:
        return (b"\n" + text).replace(b"\nFrom ", b"\n>From ")[1:]

    marks = sorted({0, len(whole), *data.draw(st.lists(st.integers(0, len(whole)), max_size=6))})
    pieces = [whole[a:b] for a, b in itertools.pairwise(marks)]
    assert b"".join(lines(iter(pieces), change)) == change(whole)


def test_a_line_longer_than_a_block_begins_once() -> None:
    pieces = [b"From " + b"a" * BLOCK, b"From " + b"b" * BLOCK, b"\nFrom c\n"]

    def change(text: bytes) -> bytes:
        return (b"\n" + text).replace(b"\nFrom ", b"\n>From ")[1:]

    got = list(lines(iter(pieces), change))
    assert b"".join(got) == change(b"".join(pieces))
    assert max(map(len, got)) <= 2 * BLOCK + 20


def test_weight_is_what_is_in_memory() -> None:
    assert weight(THRESHOLD) == THRESHOLD and weight(10 << 30) == WEIGHT


def test_length_of_parts() -> None:
    assert len(Stored((b"ab", Slice("x", 5, 7), b"c"))) == 10
