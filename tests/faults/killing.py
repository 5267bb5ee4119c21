"""Load, kill -9 and the account at the end: nothing that got 250 is lost, nothing is there twice.

Senders never resend. Each message carries the sender's own number, so that what arrived can be told from what was
sent; its body is a function of the number, so that a torn file shows. A reader at work moves files from new/ to cur/
meanwhile, as a mail program does. Used by test_kill.py (a few kills) and soak_kill.py (many).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import re
import sqlite3
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from support.server import Server
from support.sink import Sink

USERS = tuple(f"user{n}" for n in range(6))
VIRTUAL = ("info", "shop")
SETTINGS = {
    "virtual_mailbox_domains": "virtual.example",
    "virtual_mailbox_maps": "inline:{ info@virtual.example=info/, shop@virtual.example=shop/ }",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "3s",
    "queue_run_delay": "1s",
    "smtp_connection_cache_on_demand": "no",
    "smtpd_client_connection_count_limit": "0",
}
ALIASES = f"all: {', '.join(USERS[:4])}\npair: {USERS[4]}, {USERS[5]}\n"
NUMBER = re.compile(rb"^X-Number: (\d+)", re.M)


def body_of(number: int) -> bytes:
    """Lines that depend on the number; one message in twelve is larger than the queue keeps in a row, one in sixty is
    written to its content file in many steps."""
    chance = random.Random(number)
    size = 4_000_000 if number % 60 == 0 else 320_000 if number % 12 == 0 else 3_600
    line = chance.randbytes(36).hex().encode()
    count = size // (len(line) + 12)
    return b"".join(b"%08d %s\r\n" % (at, line) for at in range(count))


def recipients_of(number: int) -> tuple[str, ...]:
    """Who gets it: one user, several, an alias, virtual mailboxes, somebody far away, or a mixture."""
    one, two = USERS[number % 6], USERS[(number + 1) % 6]
    return (
        (f"{one}@example.com",),
        (f"{one}@example.com", f"{two}@example.com"),
        ("all@example.com",),
        ("info@virtual.example",),
        (f"far{number}@elsewhere.example",),
        (f"{one}@example.com", "shop@virtual.example", f"far{number}@elsewhere.example"),
        ("pair@example.com", "info@virtual.example"),
        (f"{one}@example.com",),
    )[number % 8]


def mailboxes_of(number: int) -> Counter[str]:
    """The Maildirs in which the message must be, each once."""
    found: Counter[str] = Counter()
    for address in recipients_of(number):
        name, _, domain = address.partition("@")
        if domain == "elsewhere.example":
            continue
        names = {"all": USERS[:4], "pair": USERS[4:]}.get(name, (name,))
        found.update(names)
    return found


@dataclass
class Account:
    """What senders know. `kept`: got 250; `tried`: DATA was sent whole or in part, and no 250 came back."""

    kept: set[int] = field(default_factory=set)
    tried: set[int] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    next: int = 0

    def number(self) -> int:
        self.next += 1
        return self.next


class Load:
    """Many senders in a thread of their own."""

    def __init__(self, port: int, senders: int = 16) -> None:
        self.port, self.senders = port, senders
        self.account = Account()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="senders")

    def envelope(self, number: int) -> tuple[str, tuple[str, ...]]:
        """Sender and recipients of one message."""
        return "sender@elsewhere.example", recipients_of(number)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)

    async def _all(self) -> None:
        await asyncio.gather(*(self._sender(n) for n in range(self.senders)))

    async def _sender(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            try:
                await asyncio.wait_for(self._session(reader, writer, chance.choice((1, 1, 2, 5))), 40)
            except (OSError, EOFError, TimeoutError, ValueError):
                pass
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await asyncio.sleep(chance.uniform(0.0, 0.05))

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        async def reply() -> str:
            while True:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    raise EOFError
                if line[3:4] != b"-":
                    return line.decode()

        async def ask(line: str, want: str) -> bool:
            writer.write(line.encode() + b"\r\n")
            got = await reply()
            if not got.startswith(want):
                self.account.refused[got.strip()] += 1
                if got.startswith("421"):
                    raise EOFError
            return got.startswith(want)

        if not (await reply()).startswith("220") or not await ask("EHLO sender.example", "250"):
            return
        for _ in range(count):
            if self._stop.is_set():
                break
            number = self.account.number()
            sender, recipients = self.envelope(number)
            if not await ask(f"MAIL FROM:<{sender}>", "250"):
                continue
            taken = [await ask(f"RCPT TO:<{address}>", "250") for address in recipients]
            if not all(taken):
                await ask("RSET", "250")
                continue
            if not await ask("DATA", "354"):
                continue
            self.account.tried.add(number)
            body = body_of(number)
            digest = hashlib.sha256(body.replace(b"\r\n", b"\n")).hexdigest()
            head = f"Subject: kill\r\nX-Number: {number}\r\nX-Digest: {digest}\r\n\r\n".encode()
            writer.write(head + body)
            await writer.drain()
            if await ask(".", "250"):
                self.account.kept.add(number)
        await ask("QUIT", "221")


class Reader:
    """A mail program: takes files from new/ to cur/ with the Seen flag."""

    def __init__(self, maildirs: dict[str, Path]) -> None:
        self.maildirs = maildirs
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            for maildir in self.maildirs.values():
                with contextlib.suppress(FileNotFoundError):
                    for name in os.listdir(maildir / "new"):
                        os.rename(maildir / "new" / name, maildir / "cur" / f"{name}:2,S")


def maildirs_of(server: Server) -> dict[str, Path]:
    return {
        **{name: server.homes / name / "Maildir" for name in USERS},
        **{name: server.root / "virtual" / name for name in VIRTUAL},
    }


def build(base: Path, sink: Sink) -> Server:
    """The server under test: local users, aliases, virtual mailboxes, and a next hop for the rest."""
    server = Server(
        base,
        {
            **SETTINGS,
            "virtual_mailbox_base": str(base / "virtual"),
            "virtual_uid_maps": f"static:{os.geteuid() or 64300}",
            "virtual_gid_maps": f"static:{os.getegid() if os.geteuid() else 64300}",
            "virtual_minimum_uid": "0",
            "relayhost": f"[127.0.0.1]:{sink.port}",
            "alias_maps": f"texthash:{base / 'conf' / 'aliases.txt'}",
        },
        files={"aliases.txt": ALIASES.replace(":", "")},
        users=USERS,
    )
    (base / "virtual").mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(base / "virtual", 64300, 64300)
    return server


def rows(server: Server) -> dict[str, int]:
    """How much the queue file still holds."""
    path = server.queue_directory / "tayori" / "queue" / "queue.sqlite"
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return {t: db.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in ("message", "recipient", "content")}
    finally:
        db.close()


def wait_idle(server: Server, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(rows(server).values()):
        assert time.monotonic() < deadline, f"the queue does not empty: {rows(server)}\n{server.log()[-5000:]}"
        time.sleep(0.2)


def found_mail(maildirs: dict[str, Path]) -> tuple[dict[str, Counter[int]], list[str]]:
    """Which numbers lie in which Maildir, and the names of files that are not what was sent."""
    found: dict[str, Counter[int]] = {}
    broken: list[str] = []
    for name, maildir in maildirs.items():
        count: Counter[int] = Counter()
        for folder in ("new", "cur"):
            if not (maildir / folder).is_dir():
                continue
            for path in (maildir / folder).iterdir():
                content = path.read_bytes()
                head, _, body = content.partition(b"\n\n")
                number = NUMBER.search(head)
                if number is None or f"X-Digest: {hashlib.sha256(body).hexdigest()}".encode() not in head:
                    broken.append(str(path))
                    continue
                count[int(number[1])] += 1
        found[name] = count
    return found, broken


def check(account: Account, server: Server, sink: Sink, exact: bool = True) -> str:
    """Raises AssertionError for what is lost, doubled or torn; a line of figures."""
    found, broken = found_mail(maildirs_of(server))
    assert not broken, f"torn or foreign files: {broken[:5]}"
    lost, doubled, strange = [], [], []
    for number in sorted(account.kept):
        for name, count in mailboxes_of(number).items():
            if found[name][number] < count:
                lost.append((number, name))
    for name, counter in found.items():
        for number, count in counter.items():
            if count > mailboxes_of(number)[name]:
                doubled.append((number, name, count))
            if number not in account.tried:
                strange.append((number, name))
    far = Counter(int(n) for m in sink.messages for n in NUMBER.findall(m.content[:4000]))
    lost += [(n, "far") for n in account.kept if any("far" in r for r in recipients_of(n)) and not far[n]]
    assert not lost, f"{len(lost)} deliveries lost: {lost[:10]}"
    assert not strange, f"mail that nobody sent: {strange[:10]}"
    assert not doubled, f"{len(doubled)} deliveries doubled: {doubled[:10]}"
    twice = sum(1 for count in far.values() if count > 1)
    return (
        f"{len(account.kept)} kept, {len(account.tried - account.kept)} without an answer, "
        f"{sum(sum(c.values()) for c in found.values())} files, {len(far)} relayed ({twice} of them more than once)"
        f"; refused: {dict(account.refused.most_common(4))}"
    )


def run(base: Path, kills: int, seed: int, senders: int = 16, say: bool = False) -> str:
    """`kills` kill -9 of each kind in random order under load, then a restart, an idle queue, and the account."""
    chance = random.Random(seed)
    order = ["worker", "local", "master"] * kills
    chance.shuffle(order)
    with Sink() as sink:
        server = build(base, sink)
        server.start()
        try:
            with Load(server.port, senders) as load, Reader(maildirs_of(server)):
                for at, kind in enumerate(order, start=1):
                    time.sleep(chance.uniform(0.15, 0.9))
                    _kill(server, kind, chance)
                    if say:
                        print(f"\r{at}/{len(order)} kills, {len(load.account.kept)} kept", end="", flush=True)
                time.sleep(0.5)
                load.stop()
                wait_idle(server, 90)
                assert server.stop() == 0
                server.start()
                wait_idle(server, 30)
            assert server.stop() == 0
            left = list((server.queue_directory / "tayori" / "queue" / "content").iterdir())
            assert not left, f"content files left: {left[:5]}"
            figures = check(load.account, server, sink)
            assert len(load.account.kept) > 10 * kills, f"hardly any load: {load.account.refused}"
            return figures
        finally:
            server.stop()


def _kill(server: Server, kind: str, chance: random.Random) -> None:
    if kind == "master":
        server.kill("master")
        server.start()
        return
    for _ in range(100):
        found = sorted(server.children(kind))
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(found), 9)
            return
        time.sleep(0.05)
    raise AssertionError(f"no {kind} process to kill: {server.children()}\n{server.log()[-2000:]}")
