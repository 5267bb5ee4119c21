"""Where a mail would go: hosts of a next hop, copies of aliases, mailboxes with their owners, changed headers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.delivery.mx import NameMissing, NameTrouble
from tayori.delivery.smtp import SmtpAgent
from tayori.net.system import probe
from tayori.programs.daemons.verify_store import Known, Store
from tayori.programs.explain.content import changes
from tayori.programs.explain.hops import destinations
from tayori.programs.explain.text import lines
from tayori.programs.explain.values import Explanation, Question
from tayori.programs.explain.walk import Explainer
from tayori.programs.language import ENGLISH
from tayori.protocol.headers import fields

MAIN = """compatibility_level = 3.6
myhostname = mail.example.com
mydestination = example.com, mail.example.com
mynetworks = 192.0.2.0/24
alias_maps = inline:{{{{list=taro,"far@[127.0.0.5]"}}{{owner-list=boss@example.com}}}}
home_mailbox = Maildir/
queue_directory = {dir}
data_directory = {dir}
smtpd_peername_lookup = no
tayori_passwd_file = {dir}/passwd
"""


class Zones:
    """Names out of two dictionaries; a text as a value is trouble, nothing means missing."""

    def __init__(self, mx: dict[str, object], addresses: dict[str, object]) -> None:
        self._mx, self._addresses = mx, addresses

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        return self._of(self._mx, domain)  # type: ignore[return-value]

    async def addresses(self, host: str) -> Sequence[str]:
        return self._of(self._addresses, host)  # type: ignore[return-value]

    @staticmethod
    def _of(known: dict[str, object], name: str) -> object:
        value = known.get(name)
        if isinstance(value, str):
            raise NameTrouble(value)
        if value is None:
            raise NameMissing(f"no {name}")
        return value


ZONES = Zones(
    {"a.example": [(20, "b.mx.example"), (10, "a.mx.example"), (30, "gone.mx.example")], "null.example": [(0, "")],
     "us.example": [(10, "other.example"), (20, "mail.example.com"), (30, "worse.example")], "slow.example": "timeout"},
    {"a.mx.example": ["192.0.2.1", "2001:db8::1"], "b.mx.example": ["192.0.2.2"], "bare.example": ["192.0.2.3"],
     "other.example": ["192.0.2.4"], "mail.example.com": ["192.0.2.5"], "worse.example": ["192.0.2.6"]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("nexthop", "found", "hosts", "status"),
    [
        ("a.example", "mx", [(10, "192.0.2.1"), (10, "2001:db8::1"), (20, "192.0.2.2"), (30, "")], ""),
        ("bare.example", "no mx", [(None, "192.0.2.3")], ""),
        ("[bare.example]:2525", "address", [(None, "192.0.2.3")], ""),
        ("[192.0.2.9]", "literal", [(None, "192.0.2.9")], ""),
        ("null.example", "mx", [], "bounced"),
        ("us.example", "mx", [(10, "192.0.2.4"), (20, ""), (30, "")], ""),
        ("slow.example", "no mx", [], "deferred"),
        ("nowhere.example", "no mx", [], "bounced"),
        ("[", "", [], "deferred"),
    ],
)
def test_the_hosts_of_a_next_hop(nexthop: str, found: str, hosts: list[tuple[int | None, str]], status: str) -> None:
    settings = Settings.of({"compatibility_level": "3.6", "myhostname": "mail.example.com"})
    agent = SmtpAgent(settings, ZONES)
    (one,) = asyncio.run(destinations(agent, ZONES, nexthop))
    assert (one.found, [(host.preference, host.address) for host in one.hosts], one.status) == (found, hosts, status)
    assert bool(one.trouble) is bool(status)


def test_a_fallback_relay_stands_behind() -> None:
    settings = Settings.of({"compatibility_level": "3.6", "smtp_fallback_relay": "[192.0.2.7]"})
    found = asyncio.run(destinations(SmtpAgent(settings, ZONES), ZONES, "bare.example"))
    assert [one.destination for one in found] == ["bare.example:25", "192.0.2.7:25"]


def explained(folder: Path, question: Question, more: str = "") -> Explanation:
    uid, gid = os.getuid(), os.getgid()
    (folder / "passwd").write_text(f"taro:x:{uid}:{gid}::{folder}/home/taro:/bin/sh\n")
    (folder / "main.cf").write_text(MAIN.format(dir=folder) + more)
    (folder / "master.cf").write_text("127.0.0.1:2525 inet n - n - - smtpd\n")

    async def ask() -> Explanation:
        asked = Explainer(Settings.read(folder, probe()))
        try:
            return await asked.explain(question, ENGLISH)
        finally:
            asked.close()

    return asyncio.run(ask())


def test_copies_of_an_alias_get_routes_and_mailboxes_an_owner(tmp_path: Path) -> None:
    found = explained(tmp_path, Question("192.0.2.1", "a@b.example", ("list@example.com",)))
    text = "\n".join(lines(found, ENGLISH))
    assert "a copy goes on to far@[127.0.0.5] (with the sender <owner-list@mail.example.com>)" in text
    assert found.routes[0].transport == "local"
    far = next(route for route in found.routes if route.address == "far@[127.0.0.5]")
    assert far.destinations[0].hosts[0].address == "127.0.0.5"
    box = next(target for route in found.routes for target in route.targets if target.status == "delivered")
    assert box.where == f"{tmp_path}/home/taro/Maildir/"
    assert box.owner == f"taro ({os.getuid()}:{os.getgid()})"


def test_commands_lists_and_forward_files_are_told_and_nothing_is_run(tmp_path: Path) -> None:
    home = tmp_path / "home" / "taro"
    home.mkdir(parents=True)
    (home / ".forward").write_text(f'"|touch {tmp_path}/run", x@elsewhere.example, \\taro\n')
    (tmp_path / "people").write_text("y@elsewhere.example\n")
    (tmp_path / "aliases").write_text(f"all: taro, {tmp_path}/box, :include:{tmp_path}/people\n")
    for path in (home / ".forward", tmp_path / "people", tmp_path / "aliases"):
        path.chmod(0o644)
    more = f"alias_maps = hash:{tmp_path}/aliases\ndefault_transport = discard\n"
    found = explained(tmp_path, Question("192.0.2.1", "a@b.example", ("all@example.com",)), more)
    text = "\n".join(lines(found, ENGLISH))
    for told in (
        f"{home}/.forward says where mail for taro@mail.example.com goes (read with the rights of taro",
        f"{tmp_path}/people says where mail for all@example.com goes (read with the rights of",
        f"taro@mail.example.com is delivered to |touch {tmp_path}/run (run with the rights of",
        f"taro@mail.example.com is delivered to {home}/Maildir/ (written with the rights of taro",
        f"all@example.com is delivered to {tmp_path}/box (written with the rights of",
        "a copy goes on to x@elsewhere.example",
        "a copy goes on to y@elsewhere.example",
    ):
        assert told in text, text
    assert not (tmp_path / "run").exists() and not (tmp_path / "box").exists()


def test_dns_is_not_asked_for_hosts_when_it_should_not(tmp_path: Path) -> None:
    found = explained(tmp_path, Question("192.0.2.1", "a@b.example", ("x@far.example",), dns=False))
    assert found.routes[0].destinations == ()


def test_what_becomes_of_a_message(tmp_path: Path) -> None:
    content = b"From: me\nSubject: secret\nX-Old: 1\nBcc: y@z.example\n\nhello\n"
    more = (
        "header_checks = regexp:{{/^Subject:.*/ REPLACE Subject: none} {/^X-Old:/ IGNORE}}\n"
        "body_checks = regexp:{{/hello/ REPLACE bye}}\n"
    )
    question = Question("192.0.2.1", "a@b.example", ("taro@example.com",), content=content)
    found = explained(tmp_path, question, more).content
    assert found is not None
    changed = {(one.before.split(":")[0], one.after.partition("\n")[0][:13]) for one in found.changes}
    assert ("Subject", "Subject: none") in changed
    assert ("X-Old", "") in changed and ("Bcc", "") in changed
    assert found.body_changed
    assert {one.parameter for one in found.checks} == {"header_checks", "body_checks"}
    assert (found.size, found.limit, found.reply[:3]) == (len(content) + content.count(b"\n"), 10240000, "250")


def test_a_message_that_is_too_large_says_so(tmp_path: Path) -> None:
    question = Question("192.0.2.1", "a@b.example", ("taro@example.com",), content=b"X: y\n\n" + b"z\n" * 2000)
    found = explained(tmp_path, question, "message_size_limit = 1000\n")
    assert found.content is not None and found.content.reply.startswith("552 5.3.4")
    assert any("message_size_limit = 1000" in cause for one in found.judged for cause in one.causes)


def test_changes_pair_fields_of_one_name() -> None:
    before, after = fields(b"A: 1\nB: 2\nC: 3\n"), fields(b"A: 1\nB: 9\nD: 4\n")
    assert [(one.before, one.after) for one in changes(before, after)] == [
        ("B: 2", "B: 9"),
        ("C: 3", ""),
        ("", "D: 4"),
    ]


def test_verified_addresses_are_recalled_and_never_probed(tmp_path: Path) -> None:
    folder = tmp_path / "tayori" / "queue"
    folder.mkdir(parents=True)
    store = Store(folder / "verify.sqlite", 0.0)
    now = 4_000_000_000.0
    store.put("known@far.example", Known("ok", "", "2.0.0", now, now))
    store.put("old@far.example", Known("ok", "", "2.0.0", 1.0, 1.0))
    store.close()
    rule = "smtpd_recipient_restrictions = reject_unverified_sender, permit\nmynetworks = 203.0.113.0/24\n"
    for sender, code in (("known@far.example", "250"), ("old@far.example", "450"), ("new@far.example", "450")):
        found = explained(tmp_path, Question("192.0.2.1", sender, ("taro@example.com",)), rule)
        (judged,) = found.judged[:1]
        assert (judged.decision.reply or "250")[:3] == code
        assert any("no other server is asked" in note for note in found.notes)
