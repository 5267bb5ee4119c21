"""tayori home-server [--var DIR]: a home mail server in one folder, to see how it works (`make run`).

Everything lies under DIR: conf/ (main.cf, master.cf, the account file), home/NAME/Maildir, spool/ (the queue),
maillog. It listens on loopback only, runs as whoever starts it (root too: no other user is ever used) and sends
nothing to other machines. The account's password is in DIR/password. A second start uses what is there.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate, make_msgid
from pathlib import Path

from tayori.config.mastercf import read_services
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.commands import certificate, home_texts
from tayori.programs.commands.arguments import Arguments
from tayori.programs.commands.smtp_talk import CLOSED, Answer, Show, Talk
from tayori.programs.commands.start import running
from tayori.programs.commands.user import account_file
from tayori.programs.language import ENGLISH, N_, Language, choose, columns

DOMAIN = "home.example"
USER = "taro"
HOST = "127.0.0.1"
PORTS = (2525, 2587, 2465)
WAIT_SECONDS = 30.0
EX_UNAVAILABLE = 69


@dataclass(frozen=True, slots=True)
class House:
    """The folder and what was put there. `ports` are smtp, submission, submissions."""

    var: Path
    ports: tuple[int, int, int]
    password: str

    @property
    def conf(self) -> Path:
        """The configuration folder."""
        return self.var / "conf"

    @property
    def mailbox(self) -> Path:
        """Where new mail for the account lies."""
        return self.var / "home" / USER / "Maildir" / "new"

    def fields(self) -> dict[str, object]:
        """For the texts."""
        smtp, submission, submissions = self.ports
        return {
            "var": self.var, "conf": self.conf, "user": USER, "domain": DOMAIN, "host": HOST, "smtp": smtp,
            "submission": submission, "submissions": submissions, "password": self.password,
            "mailbox": self.mailbox, "certificate": self.conf / "certificate.pem", "tayori": _own_command(),
        }  # fmt: skip


def _own_command() -> str:
    path = Path(sys.argv[0])
    return _near(path.absolute()) if path.name == "tayori" else f"{_near(Path(sys.executable))} -m tayori"


def _near(path: Path) -> str:
    """A path as short as it can be said."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _free(port: int) -> bool:
    with socket.socket() as probing:
        probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probing.bind((HOST, port))
        except OSError:
            return False
        return True


def choose_ports(wanted: tuple[int, ...] = PORTS) -> tuple[int, int, int]:
    """The wanted ports, or the next free ones after each. Raises ConfigError."""
    found: list[int] = []
    for first in wanted:
        port = next((n for n in range(first, min(first + 60, 65536)) if n not in found and _free(n)), 0)
        if not port:
            raise ConfigError(f"no free port from {first} on", None, "stop what holds them: ss -ltnp shows it")
        found.append(port)
    return found[0], found[1], found[2]


def _once(path: Path, text: str, mode: int = 0o644) -> bool:
    """Write a file that is not there yet; whether it was written."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def used_ports(conf: Path) -> tuple[int, ...]:
    """The ports that master.cf names, empty without one."""
    if not (conf / "master.cf").exists():
        return ()
    services = read_services(Settings.read(conf, probe()))
    return tuple(service.host_port()[1] for service in services if service.kind == "inet")


def build(var: Path, say: Language = ENGLISH) -> House:
    """Make what is missing; master.cf gets other ports when its own are taken. Raises ConfigError, OSError."""
    conf = var / "conf"
    for folder in (var, conf, conf / "sasl", var / "home", var / "home" / USER):
        folder.mkdir(exist_ok=True, parents=folder == var)
    _once(var / "password", secrets.token_hex(8) + "\n", 0o600)
    password = (var / "password").read_text().strip()
    fields = House(var, (0, 0, 0), "").fields()
    _once(conf / "main.cf", home_texts.main_cf(fields, say))
    before = used_ports(conf)
    ports = choose_ports(before if len(before) == len(PORTS) else PORTS)
    if ports != before:
        house = House(var, ports, password)
        (conf / "master.cf").write_text(home_texts.master_cf(house.fields(), say), "utf-8")
    _once(conf / "sasl" / "smtpd.conf", home_texts.smtpd_conf(say))
    _once(conf / "aliases", home_texts.aliases(fields, say))
    _once(conf / "passwd", f"{USER}:x:{os.geteuid()}:{os.getegid()}:{USER}:{var}/home/{USER}:/bin/false\n")
    if not (conf / "tls.pem").exists():
        certificate.make(conf / "tls.pem", (f"mail.{DOMAIN}", "localhost", HOST))
    certificate.public_part(conf / "tls.pem", conf / "certificate.pem")
    accounts = account_file(conf)
    if USER in accounts.names():
        accounts.set_password(USER, password)
    else:
        accounts.add(USER, password)
    return House(var, ports, password)


def already(var: Path) -> House | None:
    """The house whose server runs now."""
    if not (var / "conf" / "main.cf").exists():
        return None
    if not running(Settings.read(var / "conf", probe())):
        return None
    ports = used_ports(var / "conf")
    return House(var, (*ports, 0, 0, 0)[:3], (var / "password").read_text().strip())  # type: ignore[arg-type]


def start(house: House, say: Language = ENGLISH) -> subprocess.Popen[bytes]:
    """Start the server and wait until it serves. Raises ConfigError with what it said, in the same language."""
    serving = say("serving on {where}", where="").strip().encode()
    path = house.var / "start.log"
    with open(path, "wb") as said:
        words = [sys.executable, "-m", "tayori", "--lang", say.code, "start", "-c", str(house.conf)]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    deadline = time.monotonic() + WAIT_SECONDS
    while serving not in path.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            raise ConfigError(say("the server did not start:") + "\n" + path.read_text(errors="replace").strip())
        time.sleep(0.05)
    return process


def stop(process: subprocess.Popen[bytes]) -> int:
    """End it and wait; the exit status."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(10)


def shows(say: Language = ENGLISH) -> Show:
    """Prints each line of the session with who says it."""
    words = {"S": say("server"), "C": say("client"), "": ""}
    width = max(map(columns, words.values()))
    who = {speaker: word + " " * (width - columns(word)) for speaker, word in words.items()}

    def show(speaker: str, line: str) -> None:
        print(f"    {who[speaker]}  {line}", flush=True)

    return show


def first_letter(house: House, show: Show | None = None, say: Language = ENGLISH) -> tuple[Answer, str]:
    """Send one authenticated mail from the account to itself; the last reply and the Message-ID."""
    context = ssl.create_default_context(cafile=str(house.conf / "certificate.pem"))
    message_id = make_msgid(domain=DOMAIN)
    letter = home_texts.letter(house.fields(), formatdate(localtime=True), message_id, say)
    with Talk(HOST, house.ports[1], show or shows(say), None, say) as talk:
        steps: list[Callable[[], Answer]] = [
            talk.answer,
            talk.ehlo,
            lambda: talk.starttls(context),
            talk.ehlo,
            lambda: talk.login(USER, house.password),
            lambda: talk.send(f"{USER}@{DOMAIN}", f"{USER}@{DOMAIN}", letter),
        ]
        for step in steps:
            answer = step()
            if not answer.good:
                return answer, message_id
        talk.say("QUIT")
        return answer, message_id


def delivered(house: House, message_id: str, seconds: float = WAIT_SECONDS) -> Path | None:
    """The file that holds the letter, once it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for path in house.mailbox.iterdir() if house.mailbox.is_dir() else ():
            if message_id.encode() in path.read_bytes():
                return path
        time.sleep(0.05)
    return None


def _new_lines(path: Path) -> Iterator[str]:
    """Lines that are added to a file from now on; "" when there is none at the moment."""
    with open(path, errors="replace") as file:
        file.seek(0, os.SEEK_END)
        while True:
            yield file.readline()


def follow(house: House, process: subprocess.Popen[bytes]) -> int:
    """Show the log as it grows until the server ends; its exit status."""
    lines = _new_lines(house.var / "maillog")
    while (code := process.poll()) is None:
        line = next(lines)
        if line:
            print(f"    {line.rstrip()}", flush=True)
        else:
            time.sleep(0.2)
    return code


def serve(house: House, say: Language = ENGLISH) -> int:
    """Start, send the letter, show it, go on until a signal comes."""
    process = start(house, say)
    asked: list[int] = []

    def ended(number: int, frame: object) -> None:
        asked.append(number)
        process.terminate()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ended)
    try:
        print(say(home_texts.STARTED, **house.fields()), end="\n\n", flush=True)
        answer, message_id = first_letter(house, say=say)
        path = delivered(house, message_id) if answer.good else None
        if path is None:
            if not asked:
                lost = N_("The letter did not arrive ({reply}). The log says why: {log}")
                print("\n" + say(lost, reply=answer.text if answer.code else say(CLOSED), log=house.var / "maillog"))
                return EX_UNAVAILABLE
        else:
            print(f"\n{say('Here it lies:')}\n    {_near(path)}\n", flush=True)
            print("\n".join(f"    | {line}" for line in path.read_text("utf-8", errors="replace").splitlines()))
            print(home_texts.more(house.fields(), say), flush=True)
        code = follow(house, process)
        if not asked:
            ended_so = say("the server ended by itself (status {code}); see {log}", code=code,
                           log=house.var / "maillog")  # fmt: skip
            print(f"tayori: {ended_so}", file=sys.stderr)
            return code or 1
        return 0
    finally:
        stop(process)
        if asked:
            kept = say("Stopped. Everything is kept in {folder}; delete it to begin anew.", folder=_near(house.var))
            print(f"\n{kept}")


def main(argv: list[str]) -> int:
    """Run the command."""
    command = Arguments("tayori home-server", description=N_("Try a home mail server in one folder."))
    command.add_argument("--var", default="var", metavar="DIR", help=N_("where everything is kept (%(default)s)"))
    options = command.read(argv)
    say = choose(options.lang)
    var = Path(options.var).absolute()
    try:
        house = already(var)
        if house is not None:
            print(say("A home server runs here already.") + home_texts.more(house.fields(), say))
            return 0
        return serve(build(var, say), say)
    except ConfigError as error:
        print(f"tayori home-server: {say.error(error)}", file=sys.stderr)
        return EX_UNAVAILABLE
    except OSError as error:
        print(f"tayori home-server: {say.trouble(error)}", file=sys.stderr)
        return EX_UNAVAILABLE
