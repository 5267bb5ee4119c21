"""check about local(8): words, rights, lists, .forward files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tayori.config.lint.source import read_source
from tayori.config.system import System
from tayori.programs.commands.check_local import local


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "passwd").write_text(f"taro:x:{os.geteuid()}:{os.getegid()}::{home}:/bin/sh\n")
    (tmp_path / "list").write_text("taro\n")
    (tmp_path / "list").chmod(0o644)
    (tmp_path / "aliases").write_text("a: taro\n")
    (tmp_path / "aliases").chmod(0o644)
    (tmp_path / "master.cf").write_text("")
    return tmp_path


def found(conf: Path, *lines: str, root: bool = False) -> list[tuple[str, str]]:
    """(code, place) of each finding."""
    own = (f"tayori_passwd_file = {conf}/passwd", f"alias_maps = hash:{conf}/aliases")
    (conf / "main.cf").write_text("\n".join((*own, *lines)) + "\n")
    source = read_source(str(conf), System(root=root))
    return [(one.code, str(one.origin).removeprefix(f"{conf}/")) for one in local(source)]


def test_a_sound_one_says_nothing(conf: Path) -> None:
    (conf / "aliases").write_text(f'a: "|cat", /var/mail/x, :include:{conf}/list\n')
    (conf / "home" / ".forward").write_text("x@else.example\n")
    (conf / "home" / ".forward").chmod(0o644)
    assert found(conf, root=True) == []


def test_settings(conf: Path) -> None:
    assert found(conf, "default_privs = root") == [("default-privs", "main.cf:3")]
    assert found(conf, "default_privs = nobodyhere") == [("default-privs", "main.cf:3")]
    assert found(conf, "allow_mail_to_files = alias, forwards") == [("allow-mail-word", "main.cf:3")]


def test_aliases(conf: Path) -> None:
    lines = (
        f"a: |cat\nb: /x\nc: :include:list\nd: :include:{conf}/none\ne: :include:{conf}\nf: :include:{conf}/list\n"
    )
    (conf / "aliases").write_text(lines)
    (conf / "aliases").chmod(0o646)
    (conf / "list").chmod(0o646)
    assert found(conf, "allow_mail_to_commands = forward", "allow_mail_to_files =") == [
        ("alias-file-open", "aliases"),
        ("alias-restricted", "aliases:1"),
        ("alias-restricted", "aliases:2"),
        ("list-relative", "aliases:3"),
        ("list-missing", "aliases:4"),
        ("list-no-file", "aliases:5"),
        ("list-open", "aliases:6"),
    ]


def test_forward_files(conf: Path) -> None:
    path = conf / "home" / ".forward"
    path.write_text("x@else.example\n")
    path.chmod(0o646)
    assert found(conf) == [("forward-open", "home/.forward")]
    assert found(conf, "forward_path =") == []
    path.unlink()
    path.symlink_to(conf / "list")
    assert found(conf) == [("forward-no-file", "home/.forward")]
    path.unlink()
    path.write_text("x@else.example\n")
    path.chmod(0o644)
    (conf / "passwd").write_text(f"taro:x:64000:64000::{conf}/home:/bin/sh\n")
    if os.geteuid() == 0:
        os.chown(path, 64001, 64001)
    assert found(conf) == [("forward-owner", "home/.forward")]
