"""Scenarios: a folder with a configuration and a dialogue, played to a real server (tests/scenarios/README.md).

`read` gives a Scenario, `play` speaks its dialogue to a port, `outcome` gathers what became of the mail as text.
Both texts are in the form of the folder's own files, so a run is compared with the folder by comparing lines.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import socket
import sqlite3
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.sink import Received, Sink

CASES = Path(__file__).parents[1] / "scenarios" / "cases"
USERS = ("alice", "bob", "carol", "dave")
ANY = "..."
OWN_FILES = ("main.cf", "master.cf", "dialogue.txt", "delivered.txt", "zones", "policy", "sink")
REPLY_SECONDS = 4.0
SETTLE_SECONDS = 8.0
BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.com",
    "mydomain": "example.com",
    "myorigin": "$mydomain",
    "mydestination": "$myhostname, localhost.$mydomain, $mydomain",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "alias_maps": "",
    "alias_database": "",
    "home_mailbox": "Maildir/",
    "relayhost": "[127.0.0.1]:@SINK@",
    "local_header_rewrite_clients": "permit_mynetworks",
    "smtpd_peername_lookup": "no",
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "smtpd_error_sleep_time": "0",
    "notify_classes": "",
}


@dataclass(frozen=True)
class Scenario:
    """One folder. `steps` are the lines of dialogue.txt: (kind, text), kind one of C B > S ! (a word by itself)."""

    name: str
    folder: Path
    steps: tuple[tuple[str, str], ...]
    delivered: str
    zones: dict[tuple[str, str], list[str] | str] = field(default_factory=dict)

    @property
    def policy(self) -> str:
        """What the policy server answers; empty when the folder needs none."""
        path = self.folder / "policy"
        return path.read_text("utf-8") if path.exists() else ""

    @property
    def offers(self) -> tuple[str, ...] | None:
        """What the sink says after EHLO, one keyword a line; None for the usual ones."""
        path = self.folder / "sink"
        return tuple(path.read_text().splitlines()) if path.exists() else None

    @property
    def needs_root(self) -> bool:
        """A name server on port 53 and a resolv.conf of its own."""
        return bool(self.zones)

    def dialogue(self) -> list[str]:
        """The lines of dialogue.txt that a run must give again."""
        lines = (self.folder / "dialogue.txt").read_text("utf-8").splitlines()
        return [line.rstrip() for line in lines if line.strip() and not line.startswith("#")]

    def write(self, etc: Path, base: dict[str, str], places: dict[str, str]) -> None:
        """main.cf (`base` and what the folder says, the folder winning) and the folder's tables, into `etc`.

        `@/` stands for `etc/`, `@NAME@` for `places["NAME"]`.
        """

        def fill(text: str) -> str:
            for name, value in places.items():
                text = text.replace(f"@{name}@", value)
            return text.replace("@/", f"{etc}/")

        own = (self.folder / "main.cf").read_text()
        set_here = {m.group(1) for m in re.finditer(r"^(\w+)\s*=", own, re.M)}
        if (self.folder / "aliases").exists():
            base = {**base, "alias_maps": "hash:@/aliases"}
        text = "".join(f"{name} = {value}\n" for name, value in base.items() if name not in set_here)
        (etc / "main.cf").write_text(fill(text + own))
        for path in self.folder.iterdir():
            if path.suffix == ".sql":
                with contextlib.closing(sqlite3.connect(etc / path.stem)) as database:
                    database.executescript(fill(path.read_text("utf-8")))
            elif path.name not in OWN_FILES and not path.is_dir():
                (etc / path.name).write_bytes(fill(path.read_text("latin-1")).encode("latin-1"))

    def furnish(self, homes: Path, places: dict[str, str], owners: dict[str, tuple[int, int]]) -> None:
        """The files of `home/USER/…` into the homes, as the user's; `dot.NAME` is `.NAME`, `public` open to all.

        `home/modes` says otherwise: a path, a mode, and perhaps an owner (a user's name, or root).
        """
        source = self.folder / "home"
        modes = source / "modes"
        for path in sorted(source.rglob("*")):
            if path == modes:
                continue
            place = homes / re.sub(r"(^|/)dot\.", r"\1.", str(path.relative_to(source)))
            if path.is_dir():
                place.mkdir(exist_ok=True)
            elif path.name != "keep":
                text = path.read_text("utf-8")
                for name, value in places.items():
                    text = text.replace(f"@{name}@", value)
                place.write_text(text, "utf-8")
            if place.exists():
                user = place.relative_to(homes).parts[0]
                place.chmod(0o777 if place.name == "public" else 0o755 if place.is_dir() else 0o644)
                if os.geteuid() == 0:
                    os.chown(place, *owners.get(user, (0, 0)))
        for line in modes.read_text().splitlines() if modes.exists() else ():
            name, mode, *owner = line.split()
            (homes / name).chmod(int(mode, 8))
            if owner and os.geteuid() == 0:
                os.chown(homes / name, *owners.get(owner[0], (0, 0)))

    def services(self, places: dict[str, str]) -> str:
        """The folder's master.cf lines."""
        path = self.folder / "master.cf"
        text = path.read_text() if path.exists() else ""
        for name, value in places.items():
            text = text.replace(f"@{name}@", value)
        return text


def read(folder: Path) -> Scenario:
    """A folder of `cases`. Raises ValueError for a line that is nothing."""
    steps = []
    for line in (folder / "dialogue.txt").read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        kind, text = line[:1], line[2:].removeprefix(" ") if line[1:2] == ":" else line[2:]
        if line[:2] in ("C:", "B:", "S:") or line[:2] in ("> ", ">"):
            steps.append((kind, text))
        elif line.split()[0] in ("connect", "stranger", "tls"):
            steps.append(("!", line))
        else:
            raise ValueError(f"{folder.name}/dialogue.txt: {line!r}")
    delivered = folder / "delivered.txt"
    zones: dict[tuple[str, str], list[str] | str] = {}
    if (folder / "zones").exists():
        for line in (folder / "zones").read_text().splitlines():
            if line and not line.startswith("#"):
                name, kind, value = line.split(None, 2)
                if value in ("SERVFAIL", "TIMEOUT"):
                    zones[name, kind] = value
                else:
                    known = zones.setdefault((name, kind), [])
                    assert isinstance(known, list)
                    known.append(value)
    text = delivered.read_text("utf-8") if delivered.exists() else ""
    return Scenario(folder.name, folder, tuple(steps), text, zones)


def all_scenarios() -> list[str]:
    """The names of the folders."""
    return sorted(path.name for path in CASES.iterdir() if (path / "dialogue.txt").exists())


class _Client:
    """One connection; replies as lists of lines."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=REPLY_SECONDS)
        self.file = self.sock.makefile("rb")

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def reply(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                line = self.file.readline()
            except TimeoutError:
                return [*lines, "(silence)"]
            except OSError:
                line = b""
            if not line:
                return [*lines, "(closed)"]
            lines.append(line.decode("utf-8", "backslashreplace").rstrip("\r\n"))
            if line[3:4] != b"-":
                return lines

    def tls(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock)
        self.file = self.sock.makefile("rb")

    def close(self) -> None:
        self.file.close()
        self.sock.close()


def play(scenario: Scenario, ports: dict[str, int]) -> list[str]:
    """Speak the dialogue; the lines of dialogue.txt with what this server said in the S: lines.

    An expected `...` stays when what stands before it was said (see `_shown`).
    """
    client: _Client | None = None
    said: list[str] = []
    pending = b""
    for kind, text in scenario.steps:
        if kind in ("C", "B", ">"):
            said.append(
                f"{kind}{'' if kind == '>' else ':'} {text}".rstrip() if text else f"{kind}{':' * (kind != '>')}"
            )
            data = text.encode("utf-8")
            if kind == "B" or ("\\" in text and kind == "C"):
                data = text.encode("utf-8").decode("unicode_escape").encode("latin-1")
            pending += data if kind == "B" else data + b"\r\n"
            if client is None:
                client = _Client(ports["PORT"])
                client.reply()
            continue
        if kind == "!":
            said.append(text)
            client = _word(client, text.split(), ports)
            continue
        if client is None:
            client = _Client(ports["PORT"])
            if text[:3] != "220":
                client.reply()
        if pending:
            client.send(pending)
            pending = b""
        if text[3:4] == "-":
            continue
        said += _shown(client.reply(), text)
    if client is not None:
        if pending:
            client.send(pending)
        client.close()
    return said


def _word(client: _Client | None, words: list[str], ports: dict[str, int]) -> _Client:
    if words[0] == "tls":
        assert client is not None
        client.tls()
        return client
    if words[0] == "connect" or client is None:
        if client is not None:
            client.close()
        client = _Client(ports[words[1] if words[0] == "connect" and len(words) > 1 else "PORT"])
        client.reply()
    if words[0] == "stranger":
        given = words[1:] or ["ADDR=203.0.113.9", "NAME=[UNAVAILABLE]"]
        if not any(word.startswith("NAME=") for word in given):
            given.append("NAME=[UNAVAILABLE]")
        for line in ("EHLO localhost", "XCLIENT " + " ".join(given)):
            client.send(line.encode() + b"\r\n")
            client.reply()
    return client


def _shown(got: list[str], wanted: str) -> list[str]:
    lines = [normal_reply(line) for line in got]
    if wanted.endswith(ANY):
        last = lines[-1]
        if last.startswith(wanted.removesuffix(ANY).rstrip()):
            return [f"S: {wanted}"]
        lines = [last]
    return [f"S: {line}" for line in lines]


def normal_reply(line: str) -> str:
    """A reply without what differs from run to run."""
    return re.sub(r"queued as [\w-]+", "queued as ID", line).rstrip()


_RECEIVED_ID = re.compile(r"\bid [A-Za-z0-9]+\b")
_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), +\d+ \w\w\w \d{4} [\d:]+ [+-]\d{4}( \(\w+\))?")


def normal_message(content: bytes, places: dict[str, str]) -> list[str]:
    """A message as text, without dates, queue numbers, ports and the folder of this run."""
    text = content.decode("utf-8", "backslashreplace").replace("\r\n", "\n").replace("\r", "\\r")
    text = _DATE.sub("DATE", text)
    text = re.sub(r"^(From \S+ ) *\w{3} \w{3} +\d+ [\d:]+ \d{4}$", r"\1DATE", text, flags=re.M)
    text = _RECEIVED_ID.sub("id ID", text)
    text = re.sub(r"<\d{14}\.\w+@", "<DATE.ID@", text)
    text = re.sub(r"\b[A-F0-9]{9,}\.\d+/", "BOUNDARY/", text)
    text = re.sub(r"^(X-(Postfix|Tayori)-Queue-ID|Final-Log-ID): \w+", r"\1: ID", text, flags=re.M)
    text = re.sub(r"\(from userid \d+\)", "(from userid UID)", text)
    text = _places(text, places)
    return _session(_report(text)).split("\n")


def _session(text: str) -> str:
    """Of a notice about a session the words around what was said are the program's own, and of "queued as" the ID."""
    if not re.search(r"^Subject: \S+ SMTP server: errors from ", text, re.M):
        return text
    head, _, body = text.partition("\n\n")
    said = [line for line in body.split("\n") if line.startswith(" ")]
    return "\n".join([head, "", "(words)", "", *said, "", "(words)", ""])


def _report(text: str) -> str:
    """Of a bounce, the first part's words are the program's own: only that they exist is compared."""
    found = re.search(r'^Content-Type: multipart/report;.*?\n\tboundary="([^"]+)"', text, re.M | re.S)
    if not found:
        return text
    text = text.replace(found.group(1), "BOUNDARY")
    parts = text.split("--BOUNDARY\n")
    if len(parts) > 2:
        head, _, words = parts[1].partition("\n\n")
        parts[1] = f"{head}\n\n({'words' if words.strip() else 'nothing'})\n\n"
    text = "--BOUNDARY\n".join(parts)
    text = re.sub(r"^Content-Transfer-Encoding: [78]bit\n", "", text, flags=re.M)
    text = re.sub(r"^(\w+-Recipient|X-\w+-Sender): rfc822; ?", r"\1: rfc822; ", text, flags=re.M)
    return re.sub(r"^This is a .*MIME.*$", "(MIME)", text, count=1, flags=re.M)


def _places(text: str, places: dict[str, str]) -> str:
    for name, value in sorted(places.items(), key=lambda item: -len(item[1])):
        if len(value) > 3:
            text = text.replace(value, f"@{name}@")
    return text


_TO = re.compile(
    r" postfix/(\S+)\[\d+\]: (\w+): to=<(.*?)>,(?: orig_to=<(.*?)>,)? relay=(.*?),.* dsn=([\d.]+), status=(\w+)"
)


def deliveries(log: str, places: dict[str, str]) -> list[str]:
    """One line for each delivery attempt in a log in Postfix's format, sorted."""
    found = set()
    for m in _TO.finditer(log):
        _service, _, to, orig, relay, dsn, status = m.groups()
        relay = re.sub(r":\d+$", "", relay) if "@SINK@" not in _places(relay, places) else _places(relay, places)
        found.add(f"{status} <{to}>{f' orig_to=<{orig}>' if orig else ''} relay={relay} dsn={dsn}")
    held = {f"held {m.group(1)}" for m in re.finditer(r": \w+: hold: (\w+ )", log)}
    return sorted(found | {h.strip() for h in held})


def settled(log: str, taken: int) -> bool:
    """Whether the log speaks of the `taken` messages that clients had a yes for (it is written a little later), and
    every message that it speaks of is delivered, returned, deferred, held or dropped."""
    ids = set(re.findall(r" postfix/cleanup\[\d+\]: (\w+): (?:resent-)?message-id=", log))
    if len(ids) + log.count(": discard: ") < taken:  # what a restriction discards never gets to cleanup
        return False
    # those born of others, named before cleanup speaks of them
    ids |= set(re.findall(r" postfix/bounce\[\d+\]: .* notification: (\w+)$", log, re.MULTILINE))
    ids |= set(re.findall(r"status=sent \(forwarded as (\w+)\)", log))
    for qid in ids:
        if re.search(rf": {qid}: (removed|hold:|discard:|reject:|milter-|queue file size limit exceeded)", log):
            continue
        active = re.search(rf": {qid}: from=<.*?>, size=\d+, nrcpt=(\d+)", log)
        tried = set(re.findall(rf": {qid}: (to=<.*?>,(?: orig_to=<.*?>,)?) relay=", log))
        if active and len(tried) >= int(active.group(1)) and re.search(rf": {qid}: to=.*status=deferred", log):
            continue
        return False
    return True


def wait_settled(log: Callable[[], str], dialogue: list[str]) -> str:
    """The log once mail has come to rest; gives up after SETTLE_SECONDS (what is missing then shows in the outcome)."""
    deadline = time.monotonic() + SETTLE_SECONDS
    taken = sum("queued as ID" in line for line in dialogue)
    # any 250 to a content has taken it, too, where the dialogue does not care about the words
    taken += sum(pair == ("> .", "S: 250 ...") for pair in itertools.pairwise(dialogue))
    last, quiet = "", time.monotonic()
    while time.monotonic() < deadline:
        text, now = log(), time.monotonic()
        if text == last and (settled(text, taken) or (": hold: " in text and now - quiet > 0.6)):
            return text
        if text != last:
            last, quiet = text, now
        time.sleep(0.04)
    return last


def outcome(homes: Path, sink: Sink, log: str, places: dict[str, str]) -> list[str]:
    """The lines of delivered.txt: attempts from the log, then each message with where it is."""
    lines = deliveries(log, places)
    blocks = []
    for path in sorted(homes.rglob("*")):
        relative = path.relative_to(homes)
        if path.is_file() and not path.name.startswith(".") and path.name not in ("maildirsize",):
            parts = relative.parts
            where = "/".join(parts[:-1]) if len(parts) > 1 and parts[-2] in ("new", "cur", "tmp") else str(relative)
            where = where.replace("/Maildir/new", "")
            if where.startswith("."):
                continue
            text = [f"| {line}".rstrip() for line in normal_message(path.read_bytes(), places)]
            blocks.append([f"== {where}", *_trimmed(text)])
    for message in sink.messages:
        blocks.append(_sunk(message, places))
    for block in sorted(blocks):
        lines += ["", *block]
    return lines


def _sunk(message: Received, places: dict[str, str]) -> list[str]:
    commands = [_sorted_words(re.sub(r" SIZE=\d+", "", line)) for line in message.lines]
    commands[1:] = sorted(commands[1:])  # the order within a transaction is nobody's business
    text = [f"| {line}".rstrip() for line in normal_message(message.content, places)]
    return ["== sink " + ", ".join(_places(line, places) for line in commands), *_trimmed(text)]


def _sorted_words(command: str) -> str:
    """MAIL or RCPT with its parameters in order of the alphabet: their order means nothing (RFC 5321 4.1.1.11)."""
    path, bracket, words = command.rpartition(">")
    return path + bracket + "".join(f" {word}" for word in sorted(words.split()))


def _trimmed(lines: Sequence[str]) -> list[str]:
    """Without the empty line that stands for the last line end."""
    return list(lines[:-1] if lines and lines[-1] == "|" else lines)


def clean(homes: Path, sink: Sink, owners: dict[str, tuple[int, int]]) -> None:
    """Empty homes and an empty sink for the next scenario."""
    for user in USERS:
        home = homes / user
        if home.exists():
            shutil.rmtree(home)
        home.mkdir(mode=0o700, parents=True)
        if os.geteuid() == 0:
            os.chown(home, *owners[user])
    for extra in homes.iterdir():
        if extra.name not in USERS:
            shutil.rmtree(extra) if extra.is_dir() else extra.unlink()
    sink.messages.clear()
    sink.commands.clear()


def sink_answer(line: str) -> str | None:
    """The sink refuses recipients whose name asks for it: reject…@, defer…@."""
    name = line.partition("<")[2].lower()
    if name.startswith("reject"):
        return "550 5.7.1 not wanted here"
    if name.startswith("defer"):
        return "450 4.2.1 try later"
    return None
