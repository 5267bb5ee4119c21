"""Where a .forward lies, which is read, what its names become; which lists are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.delivery import forward
from tayori.delivery.forward import Forwards, Found, Names, NotNow, Unsafe, include, look
from tayori.delivery.passwd import User

TARO = User("taro", os.geteuid(), os.getegid(), "/home/taro", "/bin/sh")


def paths(address: str, **settings: str) -> list[str]:
    found = Forwards(Settings.of({"recipient_delimiter": "+", **settings})).paths(TARO, address)
    return [path for path, _ in found]


def test_the_default_path() -> None:
    assert paths("taro@x") == ["/home/taro/.forward"], "no extension: the first of the two asks for one"
    assert paths("taro+list@x") == ["/home/taro/.forward+list", "/home/taro/.forward"]
    assert paths("taro+list@x", recipient_delimiter="") == ["/home/taro/.forward"]
    assert paths("taro@x", forward_path="") == []


def test_names_of_the_path() -> None:
    value = "/f/$user/${extension?$extension}${extension:none}, $home/$shell, ${domain?$domain}-$local, $recipient, /$recipient_delimiter"
    assert paths("Taro+a@x.org", forward_path=value) == [
        "/f/taro/a",
        "/home/taro//bin/sh",
        "x.org-Taro+a",
        "Taro+a@x.org",
        "/+",
    ]
    assert paths("taro@x", forward_path="/f/${extension?{some}:{none}}") == ["/f/none"]
    with pytest.raises(ConfigError, match="forward_path"):
        paths("taro@x", forward_path="/f/${user")


def test_an_extension_cannot_lead_elsewhere() -> None:
    assert paths("taro+/../../etc/passwd@x") == ["/home/taro/.forward"]
    assert paths("taro+a;b$(c)@x")[0] == "/home/taro/.forward+a_b__c_"
    assert paths("taro+$home@x", forward_path="/f/$extension") == ["/f/_home"]
    assert Names(Settings.of({"forward_expansion_filter": ""}), "forward_expansion_filter").clean("ab") == "__"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".forward").write_text("# me\nx@else.example\n")
    (tmp_path / ".forward").chmod(0o644)
    return tmp_path


def found(*paths: Path) -> Found | None:
    return look(tuple((str(path), path.name != ".forward") for path in paths), "taro", os.geteuid())


def test_the_first_that_is_there_counts(home: Path) -> None:
    assert found(home / "none") is None
    assert found(home / ".forward+x", home / ".forward") == Found(str(home / ".forward"), "# me\nx@else.example\n")
    (home / ".forward+x").write_text("y@else.example\n")
    one = found(home / ".forward+x", home / ".forward")
    assert one is not None and one.whole and one.text == "y@else.example\n"
    (home / ".forward+x").write_text("# nothing\n\n , \n")
    assert found(home / ".forward+x", home / ".forward") is None, "an empty one means: do not forward"


@pytest.mark.parametrize("how", ["open", "link", "folder", "pipe"])
def test_unsafe_ones_are_passed_over(home: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    path = home / ".forward"
    if how == "open":
        path.chmod(0o646)
    else:
        path.rename(home / "kept")
        {"link": lambda: path.symlink_to(home / "kept"), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[how]()
    assert found(path) is None
    assert str(path) in caplog.text and "it is not read" in caplog.text


def test_of_another_user(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    if os.geteuid() == 0:
        os.chown(home / ".forward", 64001, 64001)
    assert look(((str(home / ".forward"), False),), "taro", 64000) is None
    assert "not to this user or root" in caplog.text


def test_what_cannot_be_known_now_waits(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: str) -> os.stat_result:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(forward.os, "lstat", broken)
    with pytest.raises(NotNow, match="Input/output error"):
        found(home / ".forward")


def test_lists(home: Path) -> None:
    assert include(str(home / ".forward")) == ("# me\nx@else.example\n", os.geteuid())
    (home / "link").symlink_to(home / ".forward")
    assert include(str(home / "link"))[1] == os.geteuid()
    for name, why in (("relative", "absolute"), (f"{home}/none", "cannot find"), (str(home), "not a regular file")):
        with pytest.raises(Unsafe, match=why):
            include(name)
    (home / ".forward").chmod(0o666)
    with pytest.raises(Unsafe, match="writable by everybody"):
        include(str(home / ".forward"))
    (home / ".forward").chmod(0o644)
    os.truncate(home / ".forward", forward.MOST + 1)
    with pytest.raises(NotNow, match="more than"):
        include(str(home / ".forward"))
