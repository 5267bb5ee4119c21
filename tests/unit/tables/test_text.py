"""Text tables: the two formats, re-reading, bad edits, large files."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from pathlib import Path

import pytest

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.tables import index, watched
from tayori.tables import text as text_module
from tayori.tables.index import Index
from tayori.tables.maps import Maps
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, Table, TempFail
from tayori.tables.registry import TYPES, Tables


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(table: Table, key: str) -> Outcome:
    return asyncio.run(table.lookup(key))


def value(table: Table, key: str) -> str | None:
    answer = ask(table, key)
    return answer.value if isinstance(answer, Found) else None


def make(tmp_path: Path, clock: Clock | None = None, **values: str) -> Tables:
    settings = Settings.of({"data_directory": str(tmp_path), **values})
    return Tables(settings, clock or Clock())


def write(path: Path, text: str, age: float = 10.0) -> None:
    path.write_text(text)
    then = time.time() - age
    os.utime(path, (then, then))


def test_value_and_line(tmp_path: Path) -> None:
    source = tmp_path / "virtual"
    source.write_text('# c\nA@Example.com  one,\n   two\n# c\n\tthree\n\n"x y"@d  q\n')
    table = make(tmp_path).open(f"hash:{source}")
    assert ask(table, "a@EXAMPLE.com") == Found("one,   two\tthree", Origin(str(source), 2))
    assert ask(table, '"x y"@d') == Found("q", Origin(str(source), 7))
    assert ask(table, "nobody") is NOT_FOUND


def test_first_of_equal_keys_counts(tmp_path: Path) -> None:
    source = tmp_path / "m"
    source.write_text("a 1\nA 2\n")
    assert value(make(tmp_path).open(f"btree:{source}"), "a") == "1"


def test_aliases_form(tmp_path: Path) -> None:
    source = tmp_path / "aliases"
    source.write_text('Root: admin,\n  other\n"a b" : "|/bin/cat x"\nlist: :include:/etc/list\nbad@d: x\nnone\n')
    table = make(tmp_path).open(f"hash:{source}", form="aliases")
    assert value(table, "ROOT") == "admin, other"
    assert value(table, "a b") == '"|/bin/cat x"'
    assert value(table, "list") == ":include:/etc/list"
    assert [problem.line for problem in table.problems] == [5, 6]  # type: ignore[attr-defined]


def test_texthash_is_never_read_as_aliases(tmp_path: Path) -> None:
    source = tmp_path / "aliases"
    source.write_text("root: admin\n")
    assert value(make(tmp_path).open(f"texthash:{source}", form="aliases"), "root:") == "admin"


def test_bad_lines_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "m"
    source.write_bytes(b"good 1\nnovalue\n\xff x\nlast 2\n")
    with caplog.at_level(logging.WARNING, "tayori.tables"):
        table = make(tmp_path).open(f"hash:{source}")
    assert value(table, "last") == "2"
    assert f"{source}:2" in caplog.text and f"{source}:3" in caplog.text


def test_missing_map_is_try_later_with_its_line(tmp_path: Path) -> None:
    tables = make(tmp_path, virtual_alias_maps=f"hash:{tmp_path}/none")
    maps = Maps.from_settings(tables, tables.settings, "virtual_alias_maps")
    answer = asyncio.run(maps.lookup("x"))
    assert isinstance(answer, TempFail)
    assert "test/main.cf:2" in answer.why and "No such file" in answer.why


def test_missing_alias_file_counts_as_empty_until_it_appears(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    source = tmp_path / "aliases"
    table = make(tmp_path, clock).open(f"hash:{source}", form="aliases")
    assert ask(table, "root") is NOT_FOUND
    assert "counts as an empty table" in caplog.text
    write(source, "root: me\n")
    clock.now += 1.1
    assert value(table, "root") == "me"


def test_changes_are_noticed_and_bad_edits_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    source = tmp_path / "m"
    write(source, "a 1\n", age=60)
    table = make(tmp_path, clock).open(f"hash:{source}")
    write(source, "a 22\n", age=50)
    assert value(table, "a") == "1", "looked at again too early"
    clock.now += 1.1
    assert value(table, "a") == "22"
    write(source, "a 333\nbroken\n", age=40)
    for _ in range(3):
        clock.now += 1.1
        assert value(table, "a") == "22"
    assert caplog.text.count(f"{source}:2") == 1
    write(source, "a 333\nmended 1\n", age=30)
    clock.now += 1.1
    assert value(table, "a") == "333"
    source.unlink()
    clock.now += 1.1
    assert value(table, "a") == "333"
    assert "stays in use" in caplog.text


def test_an_old_bad_line_does_not_block_later_edits(tmp_path: Path) -> None:
    clock = Clock()
    source = tmp_path / "m"
    write(source, "a 1\nbroken\n", age=60)
    table = make(tmp_path, clock).open(f"hash:{source}")
    write(source, "new 5\na 2\nbroken\n", age=50)
    clock.now += 1.1
    assert value(table, "a") == "2"
    write(source, "a 3\nbroken\nworse\n", age=40)
    clock.now += 1.1
    assert value(table, "a") == "2"


def test_a_file_being_written_is_left_to_settle(tmp_path: Path) -> None:
    clock = Clock()
    source = tmp_path / "m"
    write(source, "a 1\n")
    table = make(tmp_path, clock).open(f"hash:{source}")
    source.write_text("")
    clock.now += 1.1
    assert value(table, "a") == "1", "an editor's empty file was believed"
    write(source, "a 2\n")
    clock.now += 1.1
    assert value(table, "a") == "2"


def test_large_tables_are_indexed_once_and_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "LARGE_LINES", 100)
    source = tmp_path / "big"
    write(source, "dup 0\n" + "".join(f"Key{n}@example.com value {n}\n" for n in range(500)) + "dup 1\n")
    table = make(tmp_path).open(f"hash:{source}")
    assert isinstance(table._source.current(), Index)  # type: ignore[attr-defined]
    for number in (0, 7, 499):
        assert ask(table, f"KEY{number}@example.com") == Found(f"value {number}", Origin(str(source), number + 2))
    assert value(table, "dup") == "0"
    assert ask(table, "key500@example.com") is NOT_FOUND
    indexes = list((tmp_path / "tables").glob("*.index"))
    assert len(indexes) == 1
    before = indexes[0].stat().st_mtime_ns
    again = make(tmp_path).open(f"hash:{source}")
    assert value(again, "key3@example.com") == "value 3"
    assert indexes[0].stat().st_mtime_ns == before, "built twice"


def test_a_changed_large_table_gets_a_new_index_and_the_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "LARGE_LINES", 10)
    clock = Clock()
    source = tmp_path / "big"
    write(source, "".join(f"k{n} {n}\n" for n in range(50)), age=60)
    table = make(tmp_path, clock).open(f"hash:{source}")
    old = {path.name for path in (tmp_path / "tables").glob("*.index")}
    write(source, "".join(f"k{n} new{n}\n" for n in range(50)), age=30)
    clock.now += 1.1
    assert value(table, "k7") == "new7"
    new = {path.name for path in (tmp_path / "tables").glob("*.index")}
    assert len(new) == 1 and new.isdisjoint(old)


def test_index_is_no_more_readable_than_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "LARGE_LINES", 10)
    source = tmp_path / "secret"
    write(source, "".join(f"k{n} {n}\n" for n in range(50)))
    source.chmod(0o600)
    make(tmp_path).open(f"hash:{source}")
    (index,) = (tmp_path / "tables").glob("*.index")
    assert index.stat().st_mode & 0o077 == 0


def test_unknown_type_has_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='did you mean "hash"') as caught:
        make(tmp_path).open("hsah:/x", Origin("main.cf", 3))
    assert "main.cf:3" in str(caught.value)
    with pytest.raises(ConfigError, match="type:name"):
        make(tmp_path).open("/etc/aliases")
    assert {"hash", "cidr", "pcre", "regexp", "pgsql", "mysql", "ldap", "memcache", "tcp", "socketmap"} <= set(TYPES)


def test_small_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = make(tmp_path)
    assert value(tables.open("static:{ a b }"), "x") == "a b"
    assert isinstance(ask(tables.open("fail:x"), "x"), TempFail)
    assert value(tables.open("inline:{A=1,{b = x y}}"), "B") == "x y"
    assert value(tables.open("proxy:inline:{a=1}"), "a") == "1"
    assert value(tables.open("unix:passwd.byname"), "root") is not None
    assert value(tables.open("unionmap:{inline:{a=1},static:2}"), "a") == "1,2"
    assert isinstance(ask(tables.open("unionmap:{inline:{a=1},fail:x}"), "a"), TempFail)
    assert value(tables.open("pipemap:{inline:{a=b},inline:{b=c}}"), "a") == "c"
    assert value(tables.open("randmap:{r,r}"), "a") == "r"
    for wrong in (
        "inline:{}",
        "inline:{x}",
        "unix:shadow",
        "tcp:nohost",
        "socketmap:inet:x",
        "pipemap:{}",
        "static:{a} b",
    ):
        with pytest.raises(ConfigError):
            tables.open(wrong)


def test_passwd_file_of_tayori(tmp_path: Path) -> None:
    users = tmp_path / "passwd"
    users.write_text("ann:x:1000:1000:Ann:/home/ann:/bin/sh\n")
    table = make(tmp_path, tayori_passwd_file=str(users)).open("unix:passwd.byname")
    assert value(table, "Ann") == "ann:x:1000:1000:Ann:/home/ann:/bin/sh"
    assert ask(table, "root") is NOT_FOUND


def test_maps_order_and_failure(tmp_path: Path) -> None:
    tables = make(tmp_path)

    def of(*specs: str) -> Maps:
        return Maps([tables.open(spec) for spec in specs])

    assert asyncio.run(of("inline:{a=1}", "static:2").lookup("a")) == Found("1")
    assert isinstance(asyncio.run(of("inline:{b=1}", "fail:x", "static:2").lookup("a")), TempFail)
    assert asyncio.run(of("inline:{a=1}", "fail:x").lookup("a")) == Found("1")
    assert asyncio.run(of("regexp:{{/a/ r}}", "inline:{a=i}").lookup("a", partial=True)) == Found("i")
    assert not Maps([])


def test_a_changed_large_table_is_indexed_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watched, "BACKGROUND_BYTES", 100)
    monkeypatch.setattr(text_module, "LARGE_LINES", 10)
    monkeypatch.setattr(index, "build", None)  # of this process
    clock = Clock()
    source = tmp_path / "big"
    table = make(tmp_path, clock).open(f"hash:{source}")
    assert isinstance(ask(table, "k7"), TempFail)
    for version, bad in (("one", ""), ("two", ""), ("three", "nothing\n")):
        write(source, "".join(f"k{n} {version}{n}\n" for n in range(50)) + bad, age=60 - len(version))
        clock.now += 1.1
        answer = ask(table, "k7")  # starts it
        expected = "two7" if bad else f"{version}7"
        for _ in range(500):
            if (found := value(table, "k7")) == expected and (not bad or "stays in use" in caplog.text):
                break
            assert version != "one" or "is just being read" in answer.why  # type: ignore[union-attr]
            time.sleep(0.02)
        assert found == expected
    assert f"{source}:51: " in caplog.text


def test_an_index_that_cannot_be_built_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watched, "BACKGROUND_BYTES", 100)
    monkeypatch.setattr(text_module, "LARGE_LINES", 10)
    clock = Clock()
    source = tmp_path / "big"
    write(source, "".join(f"k{n} {n}\n" for n in range(50)), age=60)
    table = make(tmp_path, clock).open(f"hash:{source}")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'No space left on device' >&2\nexit 74\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    write(source, "".join(f"k{n} new{n}\n" for n in range(50)), age=30)
    clock.now += 1.1
    assert value(table, "k7") == "7"
    for _ in range(500):
        if "the index cannot be built: No space left on device" in caplog.text:
            break
        time.sleep(0.02)
    assert "the version read before stays in use" in caplog.text
    monkeypatch.setattr(sys, "executable", "/nonexistent")  # then the thread has to
    clock.now += 1.1
    assert value(table, "k7") == "7"
    clock.now += watched.RETRY
    for _ in range(500):
        if value(table, "k7") == "new7":
            return
        time.sleep(0.02)
    raise AssertionError("not tried again")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hash:", "write for example hash:/path/to/file"),
        ("static:", "write for example static:name"),
        ("/etc/aliases", "write for example hash:/etc/aliases"),
        ("debug:hash:/x", "name the table behind it alone"),
        ("mongodb:/x", "no library for it"),
        ("mysql:mytable", 'main.cf has no setting that begins with "mytable_" (write mysql:/path/to/file'),
        ("ldap:x", 'main.cf has no setting that begins with "x_"'),
    ],
)
def test_what_to_write_instead(spec: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        make(tmp_path).open(spec)


def test_a_misspelt_setting_of_a_database_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "s.cf"
    source.write_text(f"dbpath = {tmp_path}/none\n# note\nqurey = x\nquery = SELECT 1\nresult_format = %s\n")
    make(tmp_path).open(f"sqlite:{source}")
    (line,) = [record.getMessage() for record in caplog.records if "is no setting" in record.getMessage()]
    assert line == f'{source}:3: "qurey" is no setting of a table of type sqlite; did you mean "query"?'


def test_a_port_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    answer = ask(make(tmp_path).open("tcp:127.0.0.1:nosuchport"), "x")
    assert isinstance(answer, TempFail) and "there is no such port" in answer.why
