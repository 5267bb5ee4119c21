"""postmap, postalias, newaliases: asking, listing, checking, editing; exit codes as Postfix."""

from __future__ import annotations

import io
import stat
import sys
from pathlib import Path

import pytest

from tayori.programs.commands import newaliases, postalias, postmap


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "main.cf").write_text(f"data_directory = {tmp_path}\nalias_database = hash:{tmp_path}/aliases\n")
    (tmp_path / "map").write_text("# note\nkey one\n  two\nother 2\nKEY again\nbad\n")
    (tmp_path / "aliases").write_text("root: me\nwrong\n")
    return tmp_path


def test_query(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert postmap.main(["-c", str(conf), "-q", "KEY", f"hash:{conf}/map"]) == 0
    assert capsys.readouterr().out == "one  two\n"
    assert postmap.main(["-c", str(conf), "-q", "none", f"hash:{conf}/map"]) == 1
    assert postmap.main(["-c", str(conf), "-q", "none", f"hash:{conf}/map", "static:all"]) == 0
    assert postmap.main(["-c", str(conf), "-fq", "KEY", f"hash:{conf}/map"]) == 0
    assert capsys.readouterr().out == "all\nagain\n"
    assert postmap.main(["-c", str(conf), "-q", "x", "fail:x"]) == 1
    assert "query error" in capsys.readouterr().err


def test_query_from_standard_input(
    conf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("key\nnone\nother\n"))
    assert postmap.main(["-c", str(conf), "-q", "-", f"{conf}/map"]) == 0
    assert capsys.readouterr().out == "key\tone  two\nother\t2\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("From: a\nSubject: x\n y\n\nbody: line\n"))
    postmap.main(["-c", str(conf), "-hq", "-", "regexp:{{/^Subject/ S}, {/^body/ B}}"])
    assert capsys.readouterr().out == "Subject: x\n y\tS\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("From: a\n\nbody: line\n"))
    postmap.main(["-c", str(conf), "-bq", "-", "regexp:{{/^From/ F}, {/^body/ B}}"])
    assert capsys.readouterr().out == "body: line\tB\n"


def test_list_and_check(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert postmap.main(["-c", str(conf), "-s", f"hash:{conf}/map"]) == 0
    assert capsys.readouterr().out == "key\tone  two\nother\t2\n"
    assert postmap.main(["-c", str(conf), f"hash:{conf}/map"]) == 0
    told = capsys.readouterr().err
    assert f"{conf}/map:6:" in told and 'map:5: "KEY" stands in line 2' in told and "2 entries; tayori reads" in told
    assert postmap.main(["-c", str(conf), f"hash:{conf}/none"]) == 1
    assert postmap.main(["-c", str(conf), f"pcre:{conf}/map"]) == 1
    assert postmap.main(["-c", str(conf), "-q", "x", "hsah:/x"]) == 1
    assert 'did you mean "hash"' in capsys.readouterr().err


def test_delete_edits_the_text_and_nothing_else(conf: Path) -> None:
    (conf / "map").chmod(0o640)
    assert postmap.main(["-c", str(conf), "-d", "key", f"hash:{conf}/map"]) == 0
    assert (conf / "map").read_text() == "# note\nother 2\nbad\n"
    assert stat.S_IMODE((conf / "map").stat().st_mode) == 0o640
    assert postmap.main(["-c", str(conf), "-d", "key", f"hash:{conf}/map"]) == 1


def test_incremental(conf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(text: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))

    feed(b"new 1\n  more\nkey changed\n")
    assert postmap.main(["-c", str(conf), "-i", f"hash:{conf}/map"]) == 0
    assert "there already" in capsys.readouterr().err
    assert (conf / "map").read_text().endswith("bad\nnew 1\n  more\n")
    feed(b"other 3\n")
    assert postmap.main(["-c", str(conf), "-ir", f"hash:{conf}/map"]) == 0
    assert "other 2" not in (conf / "map").read_text() and "other 3\n" in (conf / "map").read_text()


def test_postalias_and_newaliases(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert postalias.main(["-c", str(conf), "-q", "Root", f"hash:{conf}/aliases"]) == 0
    assert capsys.readouterr().out == "me\n"
    assert newaliases.main(["-c", str(conf)]) == 0
    told = capsys.readouterr().err
    assert f"{conf}/aliases:2:" in told and "entries" not in told
    assert newaliases.main(["-v", "-c", str(conf)]) == 0
    assert "1 entries" in capsys.readouterr().err
    (conf / "aliases").unlink()
    assert newaliases.main(["-c", str(conf)]) == 1


def test_wrong_options(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert postmap.main(["-c", str(conf), "-s", "-q", "x", f"hash:{conf}/map"]) == 1
    assert postmap.main(["-Z"]) == 1
    assert postmap.main(["-c", str(conf / "none"), "-q", "x", "static:x"]) == 1
    assert "usage" in capsys.readouterr().err


def test_odd_options(conf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"hash:{conf}/map"
    for words in (["-q", "a", "-q", "b"], ["-d", "a", "-d", "b"], ["-s", "-d", "a"]):
        assert postmap.main(["-c", str(conf), *words, spec]) == 1
        assert "only one of" in capsys.readouterr().err
    assert postalias.main(["-c", str(conf), "-U", "-q", "root", f"hash:{conf}/aliases"]) == 1
    assert postmap.main(["-c", str(conf), "-s", "inline:{a=1}", spec]) == 0
    assert capsys.readouterr().out == "a\t1\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nb\n"))
    assert postmap.main(["-c", str(conf), "-q", "-", "regexp:{{/^$/ empty}}"]) == 0
    assert capsys.readouterr().out == "\tempty\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("root\n"))
    assert postalias.main(["-c", str(conf), "-q", "-", f"hash:{conf}/aliases"]) == 0
    assert capsys.readouterr().out == "root:\tme\n"
    before = (conf / "map").read_text()
    monkeypatch.setattr(sys, "stdin", io.StringIO("key\n"))
    assert postmap.main(["-c", str(conf), "-d", "-", spec, "static:x"]) == 1
    assert (conf / "map").read_text() == before


def test_of_equal_keys_added_at_once_the_first_counts(
    conf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for options, wanted in (("-i", "1"), ("-ir", "2")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"n 1\nN 2\nx: y\n")))
        assert postmap.main(["-c", str(conf), options, f"hash:{conf}/map"]) == 0
        assert "standard input:3: the key ends with a colon" in capsys.readouterr().err
        assert postmap.main(["-c", str(conf), "-q", "n", f"hash:{conf}/map"]) == 0
        assert capsys.readouterr().out.endswith(f"{wanted}\n")
