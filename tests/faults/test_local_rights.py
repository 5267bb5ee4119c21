"""Whose rights commands, files and lists of local(8) have: never root's, never another user's, whoever asks."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.peers import need_root
from support.server import Server, mail_owner_exists

WHO = "echo `id -u` `id -g` `id -G`"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """With a folder `open` that everybody may write to, and two alias files: root's, and one of the user games."""
    need_root("rights of others")
    if not mail_owner_exists():
        pytest.skip("workers give root up here only where the machine has a mail_owner")
    aliases = {
        "alias_maps": f"hash:{tmp_path}/conf/aliases, hash:{tmp_path}/conf/of-games",
        "tayori_workers": "1",
        "allow_mail_to_commands": "alias, forward, include",
    }
    yield from _served(Server(tmp_path, aliases, users=("taro", "hanako")))


def _served(server: Server) -> Iterator[Server]:
    place = server.root / "open"
    place.mkdir()
    place.chmod(0o777)
    games = pwd.getpwnam("games")
    lists = server.conf / "games.list", server.conf / "of-games"
    lists[0].write_text(f'"|{WHO} >{place}/list"\n')
    lists[1].write_text(f'hers: "|{WHO} >{place}/hers"\nhidden: :include:{server.conf}/secret\n')
    for path in lists:
        os.chown(path, games.pw_uid, games.pw_gid)
    (server.conf / "secret").write_text("taro\n")
    (server.conf / "secret").chmod(0o600)
    (server.conf / "aliases").write_text(
        f'ours: "|{WHO} >{place}/ours"\nbox: {place}/box\nlist: :include:{lists[0]}\n'
        f"people: :include:{server.conf}/secret\nrooted: {server.root}/kept/box\n"
    )
    kept = server.root / "kept"
    kept.mkdir()
    kept.chmod(0o700)
    with server:
        yield server


def said(server: Server, name: str) -> str:
    """What a command wrote into open/NAME."""
    path = server.root / "open" / name
    deadline = time.monotonic() + 15
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, server.log()[-3000:]
        time.sleep(0.03)
    return path.read_text().strip()


def test_aliases_of_root_and_of_others(server: Server) -> None:
    nobody, games = pwd.getpwnam("nobody"), pwd.getpwnam("games")
    for name in ("ours", "hers", "list", "box"):
        assert server.send("a@foreign.example", f"{name}@example.com").startswith("250")
    assert said(server, "ours") == f"{nobody.pw_uid} {nobody.pw_gid} {nobody.pw_gid}"
    assert said(server, "hers") == f"{games.pw_uid} {games.pw_gid} {games.pw_gid}"
    assert said(server, "list") == f"{games.pw_uid} {games.pw_gid} {games.pw_gid}", "a list of games' in root's file"
    said(server, "box")
    status = (server.root / "open" / "box").stat()
    assert (status.st_uid, status.st_gid) == (nobody.pw_uid, nobody.pw_gid)


def test_lists_are_read_as_their_namer(server: Server) -> None:
    server.send("a@foreign.example", "people@example.com")
    server.wait_mail("taro")
    server.send("a@foreign.example", "hidden@example.com")
    log = server.wait_log("to=<hidden@example.com>")
    assert "status=deferred" in log.split("to=<hidden@example.com>")[1].splitlines()[0]
    server.send("a@foreign.example", "rooted@example.com")
    log = server.wait_log("to=<rooted@example.com>")
    assert "Permission denied" in log.split("to=<rooted@example.com>")[1].splitlines()[0]
    assert list((server.root / "kept").iterdir()) == []


def test_forward_has_its_users_rights(server: Server) -> None:
    taro, home = server.uids["taro"], server.homes / "taro"
    (home / ".forward").write_text(f'"|{WHO} >{server.root}/open/forward"\n{home}/box\n{server.homes}/hanako/box\n')
    os.chown(home / ".forward", taro, taro)
    server.send("a@foreign.example", "taro@example.com")
    assert said(server, "forward") == f"{taro} {taro} {taro}"
    log = server.wait_log("cannot append message to file")
    assert f"{server.homes}/hanako/box" in log
    assert (home / "box").stat().st_uid == taro
    assert not (server.homes / "hanako" / "box").exists()


def test_forward_that_is_not_the_users(server: Server) -> None:
    taro, home = server.uids["taro"], server.homes / "taro"
    (server.root / "open" / "list").write_text("elsewhere@foreign.example\n")
    (home / ".forward").symlink_to(server.root / "open" / "list")
    server.send("a@foreign.example", "taro@example.com")
    server.wait_mail("taro")
    assert "is not a regular file" in server.log()
    (home / ".forward").unlink()
    (home / ".forward").write_text(f":include:{server.conf}/secret\n")
    os.chown(home / ".forward", taro, taro)
    server.send("a@foreign.example", "taro@example.com")
    log = server.wait_log("status=deferred")
    assert "Permission denied" in log
    assert len(server.mailbox("taro")) == 1


ASK = """
import asyncio, sys
from tayori.delivery.request import Target
from tayori.programs.daemons.local_client import AgentLost, LocalAgent
from tayori.programs.daemons.member import Start
from tayori.programs.daemons.special import Order
from tayori.programs.daemons.special_client import SpecialClient
from tayori.queue.model import Attributes, Recipient
from tayori.rewrite.aliases import Command, Source
spool, out = sys.argv[1:]
async def main():
    for kind in ("file", "include"):
        target = Target(0, kind, "x@y", mailbox=out, uid=64100, gid=64100, name="n")
        try:
            await LocalAgent(spool + "/tayori/private/local").deliver(1, b"stolen", (target,), False)
            print("done")
        except AgentLost:
            print("lost")
    recipient = Recipient(1, "ours@example.com")
    leaf = Command("echo stolen >" + out, Source("forward", "", "taro"))
    for start in (Start("alias", "ours@example.com"), Start("forward", "taro@example.com")):
        order = Order(start, leaf, 1, 0.0, "", recipient, Attributes())
        print((await SpecialClient(spool + "/tayori/private/pipe").run(order, b"x")).text)
asyncio.run(main())
"""


def test_a_worker_gone_bad_cannot_choose_what_is_run(server: Server, tmp_path: Path) -> None:
    worker = next(iter(server.children("worker")))
    uid = os.stat(f"/proc/{worker}").st_uid
    out = server.root / "open" / "stolen"

    # what Python needs is loaded before the rights go: its own folders may be closed to others
    found = subprocess.run(
        [sys.executable, "-c", f"import os, tayori.programs.daemons.special_client, tayori.net.dns\n"
                               f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n{ASK}",
         str(server.queue_directory), str(out)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    gone = "the alias or .forward no longer names this destination"
    assert found.stdout.splitlines() == ["lost", "lost", gone, gone], found.stderr
    assert not out.exists()
    assert "only the pipe process may ask" in server.log()


def test_never_root_even_where_everything_is_one_user(tmp_path: Path) -> None:
    need_root("a server that is root throughout")
    settings = {"alias_maps": f"hash:{tmp_path}/conf/aliases", "tayori_single_user": "yes"}
    server = Server(tmp_path, settings, users=("taro",))
    for made in _served(server):
        nobody = pwd.getpwnam("nobody")
        (server.homes / "taro" / ".forward").write_text(f'"|{WHO} >{server.root}/open/forward"\n')
        for name in ("ours", "box", "rooted", "taro"):
            made.send("a@foreign.example", f"{name}@example.com")
        assert said(server, "ours") == f"{nobody.pw_uid} {nobody.pw_gid} {nobody.pw_gid}"
        taro = server.uids["taro"]
        assert said(server, "forward") == f"{taro} {taro} {taro}"
        said(server, "box")
        assert (server.root / "open" / "box").stat().st_uid == nobody.pw_uid
        log = server.wait_log("to=<rooted@example.com>")
        assert "Permission denied" in log.split("to=<rooted@example.com>")[1].splitlines()[0]
