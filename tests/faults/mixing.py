"""Load of every kind, and trouble of every kind: the account at the end as in killing.py, for all that a message may
become: users, Maildirs, mbox files, commands, lists, .forward, owners, virtual mailboxes, reports, and two next hops
that hang up at any step. Used by soak_kill.py, and by test_mixed.py for a short while.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from faults.killing import NUMBER, SETTINGS, Account, Load, Reader, body_of, rows, wait_idle
from support.server import COMMAND, Server
from support.sink import Sink

USERS = tuple(f"user{n}" for n in range(6))
MANY = 40
ID = re.compile(rb"^X-Number: (\d+)", re.M)


def aliases(place: Path) -> str:
    return f"""
mix: user0, {place}/md/, {place}/box, "|{place}/command mix", mixed@elsewhere.example
files: {place}/one/, {place}/two/, {place}/box
listed: :include:{place}/list, user3
own: user3, "|{place}/command own"
owner-own: user5
boxes: {place}/box, {place}/box2
"""


KINDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    # sender, recipients, where it must be; N is the number of the message
    ("s@elsewhere.example", ("user0@example.com",), ("user0",)),
    (
        "s@elsewhere.example",
        ("mix@example.com",),
        ("user0", "md", "box", "command mix", "far mixed@elsewhere.example"),
    ),
    ("s@elsewhere.example", ("files@example.com", "user1@example.com"), ("one", "two", "box", "user1")),
    ("s@elsewhere.example", ("listed@example.com",), ("user1", "user2", "far fwd@elsewhere.example", "user3")),
    ("s@elsewhere.example", ("user2@example.com",), ("user2", "far fwd@elsewhere.example")),
    ("s@elsewhere.example", ("user4@example.com",), ("command forward",)),
    ("s@elsewhere.example", ("own@example.com",), ("user3", "command own")),
    ("s@elsewhere.example", ("boxes@example.com", "info@virtual.example"), ("box", "box2", "info")),
    ("user5@example.com", ("nobody@example.com", "user1@example.com"), ("bounce", "user1")),
    ("s@elsewhere.example", ("farN@elsewhere.example", "user0@example.com"), ("far farN@elsewhere.example", "user0")),
    ("s@elsewhere.example", ("lmN@lmtp.example", "mbN@virtual.example"), ("far lmN@lmtp.example", "vbox")),
    (
        "s@elsewhere.example",
        tuple(f"m{k}-N@elsewhere.example" for k in range(MANY)),
        tuple(f"far m{k}-N@elsewhere.example" for k in range(MANY)),
    ),
    (
        "",
        ("user3@example.com", "files@example.com", "lmN@lmtp.example"),
        ("user3", "one", "two", "box", "far lmN@lmtp.example"),
    ),
)


def kind_of(number: int) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    sender, recipients, places = KINDS[number % len(KINDS)]
    n = str(number)
    return (
        sender,
        tuple(r.replace("N@", f"{n}@") for r in recipients),
        tuple(p.replace("N@", f"{n}@") for p in places),
    )


class Mixture(Load):
    """Senders of all kinds."""

    def envelope(self, number: int) -> tuple[str, tuple[str, ...]]:
        return kind_of(number)[:2]


def drops(chance: random.Random) -> dict[str, object]:
    """A next hop that hangs up at any step, now and then."""

    def answer(line: str) -> str | None:
        roll = chance.random()
        return "close" if roll < 0.02 else "451 4.3.0 not now" if roll < 0.04 else None

    return dict.fromkeys(("CONNECT", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", "."), answer)


class House:
    """The server, its next hops, and where everything goes."""

    def __init__(self, base: Path, seed: int) -> None:
        chance = random.Random(seed)
        self.place = place = base / "open"
        place.mkdir()
        self.smtp = Sink(answers=drops(chance)).start()  # type: ignore[arg-type]
        self.lmtp = Sink(answers=drops(chance), lmtp=True).start()  # type: ignore[arg-type]
        uid, gid = (os.geteuid(), os.getegid()) if os.geteuid() else (64300, 64300)
        master = "127.0.0.1:{port} inet n - n - - smtpd\nsmtp unix - - n - - smtp\nlmtp unix - - n - - lmtp\n"
        maps = "info@virtual.example info/\n@virtual.example vbox\n"
        self.server = Server(
            base,
            {
                **SETTINGS,
                "virtual_mailbox_domains": "virtual.example",
                "virtual_mailbox_maps": f"texthash:{base}/conf/mailboxes",
                "virtual_mailbox_base": str(base / "virtual"),
                "virtual_uid_maps": f"static:{uid}",
                "virtual_gid_maps": f"static:{gid}",
                "virtual_minimum_uid": "0",
                "transport_maps": f"inline:{{ lmtp.example=lmtp:inet:127.0.0.1:{self.lmtp.port} }}",
                "relayhost": f"[127.0.0.1]:{self.smtp.port}",
                "smtp_destination_recipient_limit": "7",
                "alias_maps": f"hash:{base / 'conf' / 'aliases'}",
                "allow_mail_to_commands": "alias, forward, include",
                "allow_mail_to_files": "alias, forward, include",
                "deliver_lock_delay": "1s",
                "mailbox_size_limit": "0",
                "virtual_mailbox_limit": "0",  # a long run has more large messages than fit into one file
                "message_size_limit": "0",
            },
            master,
            files={"aliases": aliases(place), "mailboxes": maps},
            users=USERS,
        )
        (base / "virtual").mkdir()
        if not os.geteuid():
            os.chown(base / "virtual", 64300, 64300)
        (place / "command").write_text(
            f'#!/bin/sh\nn=$(sed -n \'s/^X-Number: //p\' | head -1)\nsleep 0.0$(($$ % 9))\necho "$n" >>"{place}/ran $1"\n'
        )
        (place / "list").write_text("user1\nuser2\n")
        place.chmod(0o777)
        (place / "command").chmod(0o755)
        (place / "list").chmod(0o644)
        for name in ("mix", "own", "forward"):
            (place / f"ran {name}").touch()
            (place / f"ran {name}").chmod(0o666)
        for user, text in (
            ("user2", "\\user2, fwd@elsewhere.example\n"),
            ("user4", f'"|{place}/command forward"\n'),
        ):
            path = self.server.homes / user / ".forward"
            path.write_text(text)
            path.chmod(0o644)
            if not os.geteuid():
                os.chown(path, self.server.uids[user], self.server.uids[user])

    def close(self) -> None:
        self.server.stop()
        self.smtp.stop()
        self.lmtp.stop()

    def maildirs(self) -> dict[str, Path]:
        return {
            **{name: self.server.homes / name / "Maildir" for name in USERS},
            "info": self.server.root / "virtual" / "info",
            **{name: self.place / name for name in ("md", "one", "two")},
        }

    def found(self) -> dict[str, Counter[int]]:
        """Which numbers lie where."""
        out: dict[str, Counter[int]] = {}
        for name, maildir in self.maildirs().items():
            files = [path for folder in ("new", "cur") if (maildir / folder).is_dir()
                     for path in (maildir / folder).iterdir()]  # fmt: skip
            out[name] = Counter()
            for path in files:
                head, _, rest = path.read_bytes().partition(b"\n\n")
                number = NUMBER.search(head)
                if number is not None:
                    out[name][int(number[1])] += 1
                elif b"Undelivered Mail Returned" in head:
                    out.setdefault("bounce", Counter()).update(int(n) for n in set(ID.findall(rest)))
        for name, path in (
            ("box", self.place / "box"),
            ("box2", self.place / "box2"),
            ("vbox", self.server.root / "virtual" / "vbox"),
        ):
            out[name] = whole(path.read_bytes()) if path.exists() else Counter()
        for name in ("mix", "own", "forward"):
            out[f"command {name}"] = Counter(int(n) for n in (self.place / f"ran {name}").read_text().split())
        for message in (*self.smtp.messages, *self.lmtp.messages):
            got = ID.search(message.content[:8000])
            assert got is not None, message.content[:300]
            for name in message.recipients:
                out.setdefault(f"far {name}", Counter())[int(got[1])] += 1
        return out


def whole(box: bytes) -> Counter[int]:
    """The messages of an mbox file but for those that a kill has cut off and that others stand behind."""
    found: Counter[int] = Counter()
    for message in re.split(rb"(?m)^From .*\n", box):
        head, _, rest = message.partition(b"\n\n")
        number = NUMBER.search(head)
        body = body_of(int(number[1])).replace(b"\r\n", b"\n") if number is not None else b""
        if number is not None and rest == body + b"\n":
            found[int(number[1])] += 1
    return found


def check(account: Account, house: House, trouble: Counter[str]) -> str:
    """Raises AssertionError; a line of figures."""
    found = house.found()
    lost, doubled, again = [], [], Counter[str]()
    for number in sorted(account.tried):
        for place in kind_of(number)[2]:
            got = found.get(place, Counter())[number]
            want = kind_of(number)[2].count(place)
            if got < want and number in account.kept:
                lost.append((number, place))
            if got > want:
                kind = place.split()[0] if " " in place else place
                again[kind] += 1
                if kind not in ("command", "far"):
                    doubled.append((number, place, got))
    assert not lost, f"{len(lost)} lost: {lost[:10]}"
    assert not doubled, f"{len(doubled)} doubled: {doubled[:10]}"
    # what runs at that moment may run again: two of each name (local_destination_concurrency_limit), and what has
    # just ended; of the next hops what 8 senders have under way
    ends = trouble["killed pipe"] + trouble["master"] + trouble["restart"] + trouble["term pipe"]
    assert again["command"] <= 10 * ends, f"commands ran twice: {again}, {trouble}"
    ends = trouble["killed worker"] + trouble["master"] + trouble["restart"] + trouble["term worker"]
    assert again["far"] <= 7 * 20 * ends, f"relayed twice: {again}, {trouble}"
    return f"{len(account.kept)} kept of {len(account.tried)}; again {dict(again)}; trouble {dict(trouble)}"


def clean(house: House) -> None:
    """No left-overs."""
    left = list((house.server.queue_directory / "tayori" / "queue" / "content").iterdir())
    assert not left, f"content files left: {left[:5]}"
    for maildir in house.maildirs().values():
        if (maildir / "tmp").is_dir():
            stale = list((maildir / "tmp").iterdir())
            assert len(stale) <= 20, f"{maildir}: {len(stale)} files in tmp"
    held = rows(house.server)
    assert not any(held.values()), held


class Trouble:
    """What happens to the server."""

    def __init__(self, house: House, chance: random.Random) -> None:
        self.house, self.chance, self.count = house, chance, Counter[str]()
        self.server = house.server

    def tool(self, *words: str) -> None:
        name, *rest = words
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*COMMAND, name, "-c", str(self.server.conf), *rest], capture_output=True, timeout=30, check=False
            )

    def signal(self, kind: str, number: int) -> int | None:
        children = sorted(self.server.children(kind))
        if not children:
            return None
        pid = self.chance.choice(children)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if number == signal.SIGKILL:
            self.count[f"killed {kind}"] += 1
        return pid

    def one(self) -> str:
        """Something."""
        kinds = ("worker", "local", "pipe", "worker", "local", "pipe", "master", "restart", "reload", "term worker",
                 "term local", "term pipe", "pause worker", "pause local", "pause pipe", "two", "two", "flush", "hold",
                 "requeue")  # fmt: skip
        kind = self.chance.choice(kinds)
        if kind not in ("worker", "local", "pipe"):
            self.count[kind] += 1
        if kind in ("worker", "local", "pipe"):
            self.signal(kind, signal.SIGKILL)
        elif kind == "two":
            for one in self.chance.sample(("worker", "local", "pipe"), 2):
                self.signal(one, signal.SIGKILL)
        elif kind.startswith("term "):
            self.signal(kind[5:], signal.SIGTERM)
        elif kind.startswith("pause "):
            pid = self.signal(kind[6:], signal.SIGSTOP)
            time.sleep(self.chance.uniform(0.1, 1.5))
            if self.chance.random() < 0.5:
                self.signal(self.chance.choice(("worker", "local", "pipe")), signal.SIGKILL)
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        elif kind == "master":
            self.server.kill("master")
            self.server.start()
        elif kind == "restart":
            assert self.server.stop(60) == 0
            self.server.start()
        elif kind == "reload":
            self.tool("reload")
        elif kind == "flush":
            self.tool("postqueue", "-f")
        elif kind == "hold":
            self.tool("postsuper", "--force", "-h", "ALL")
            time.sleep(0.3)
            self.tool("postsuper", "--force", "-H", "ALL")
        else:
            self.tool("postsuper", "--force", "-r", "ALL")
        return kind


def run(base: Path, troubles: int, seed: int, senders: int = 8, say: bool = False) -> str:
    """So many troubles in random order under load, then quiet, and the account."""
    chance = random.Random(seed)
    house = House(base, seed)
    server = house.server
    try:
        server.start()
        trouble = Trouble(house, chance)
        readable = house.maildirs()
        with Mixture(server.port, senders) as load, Reader(readable):
            for at in range(troubles):
                time.sleep(chance.uniform(0.1, 1.0))
                kind = trouble.one()
                if say:
                    print(f"\r{at + 1}/{troubles} {kind:12}, {len(load.account.kept)} kept", end="", flush=True)
            time.sleep(0.5)
            load.stop()
            house.smtp.answers.clear()
            house.lmtp.answers.clear()
            trouble.tool("postsuper", "--force", "-H", "ALL")
            wait_idle(server, 120)
            assert server.stop() == 0
            server.start()
            wait_idle(server, 30)
        assert server.stop() == 0
        clean(house)
        figures = check(load.account, house, trouble.count)
        assert len(load.account.kept) > 3 * troubles, f"hardly any load: {load.account.refused}"
        return figures
    finally:
        house.close()
