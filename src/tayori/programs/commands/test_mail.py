"""tayori test-mail [-c DIR] [--to ADDRESS] [--from ADDRESS] [--user NAME] [--port N]: one letter, and where it went.

Sends through the running server's own port, with STARTTLS where offered, logged in with --user (the password is asked
for, or is the first line of standard input), then follows the letter through the log and the queue. Exit codes: 0 it
arrived or was handed to the next server, 69 not running or refused, 75 still waiting, 64 usage, 78 configuration.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import formatdate, make_msgid
from pathlib import Path

from tayori.config.mastercf import Service, read_services
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.listen import addresses_for
from tayori.programs.commands.arguments import Arguments
from tayori.programs.commands.control import Failed, configuration, connect, queue
from tayori.programs.commands.refusals import explain
from tayori.programs.commands.smtp_talk import CLOSED, Answer, Talk
from tayori.programs.commands.start import running
from tayori.programs.language import ENGLISH, N_, Language
from tayori.programs.language import choose as choose_language

EX_OK, EX_USAGE, EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG = 0, 64, 69, 75, 78
WAIT_SECONDS = 20.0
NO_LOGIN_WORDS = "no login is offered"
NO_LOGIN = N_("503 5.5.1 no login is offered on port {port}")
"""Said as if the server had."""
LOGS = ("/var/log/mail.log", "/var/log/maillog", "/var/log/syslog")
STATUS = re.compile(r"to=<(?P<to>[^>]*)>,.*? relay=(?P<relay>[^,]+),.*?status=(?P<status>\w+) \((?P<why>.*)\)$")


def parser() -> Arguments:
    """The command line."""
    made = Arguments("tayori test-mail", description=N_("Send one letter and say where it went."))
    made.add_argument("-c", dest="directory", default="", metavar="DIR", help=N_("the folder of main.cf"))
    made.add_argument(
        "--to", default="", metavar="ADDRESS", help=N_("to whom (the invoking user at this server's domain)")
    )
    made.add_argument("--from", dest="sender", default="", metavar="ADDRESS", help=N_("from whom (the same)"))
    made.add_argument("--user", default="", metavar="NAME", help=N_("log in as this account"))
    port = N_("the port (the login port with --user, else the first)")
    made.add_argument("--port", type=int, default=0, metavar="N", help=port)
    wait = N_("how long to follow it")
    made.add_argument("--wait", type=float, default=WAIT_SECONDS, metavar="SECONDS", help=wait)
    made.add_argument("--quiet", "-q", action="store_true", help=N_("do not show the session"))
    return made


def ports(settings: Settings, services: tuple[Service, ...]) -> list[tuple[str, int, bool, bool]]:
    """(address, port, TLS from the start, logins offered) of every smtpd service."""
    found = []
    for service in services:
        if service.kind != "inet" or service.command != "smtpd":
            continue
        own = service.settings(settings)
        host, port = service.host_port()
        _, address = addresses_for(own, host)[0]
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
        found.append((address, port, own.flag("smtpd_tls_wrappermode"), own.flag("smtpd_sasl_auth_enable")))
    return found


def choose(found: list[tuple[str, int, bool, bool]], port: int, login: bool) -> tuple[str, int, bool, bool] | None:
    """The service to use: the one on `port`; with a login the submission port, else the first that fits."""
    if port:
        return next((row for row in found if row[1] == port), None)
    fit = [row for row in found if row[3]] if login else [row for row in found if not row[2]] or found
    return next((row for row in fit if login and row[1] in (587, 2587)), fit[0] if fit else None)


def no_trust() -> ssl.SSLContext:
    """Encryption without asking who is there: it is our own server on our own machine."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def letter(sender: str, recipient: str, say: Language = ENGLISH) -> str:
    """What is sent."""
    body = say("This letter was sent by tayori test-mail.")
    mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    return (
        f"From: {sender}\r\nTo: {recipient}\r\nSubject: tayori test-mail\r\nDate: {formatdate(localtime=True)}\r\n"
        f"Message-ID: {make_msgid(domain=sender.rpartition('@')[2] or 'localhost')}\r\n"
        f"{'' if body.isascii() else mime}\r\n{body}\r\n"
    )


def send(
    place: tuple[str, int, bool, bool],
    sender: str,
    to: str,
    user: str,
    password: str,
    quiet: bool,
    say: Language = ENGLISH,
) -> Answer:
    """The dialogue. Raises OSError."""

    def show(who: str, line: str) -> None:
        if not quiet:
            print(f"  {who or ' '}: {line}")

    host, port, wrapped, _ = place
    with Talk(host, port, show, no_trust() if wrapped else None, say) as talk:
        answer = talk.answer()
        if answer.good:
            answer = talk.ehlo()
        if answer.good and not wrapped and "STARTTLS" in talk.features:
            answer = talk.starttls(no_trust())
            if answer.good:
                answer = talk.ehlo()
        if answer.good and user:
            if "AUTH" not in talk.features:
                return Answer(503, (NO_LOGIN.format(port=port).removeprefix("503 "),))
            answer = talk.login(user, password)
        if answer.good:
            answer = talk.send(sender, to, letter(sender, to, say))
        if answer.code:
            talk.say("QUIT")
        return answer


def log_lines(settings: Settings, queue_id: str) -> Iterator[str]:
    """Lines about the letter, from wherever the log can be read."""
    path = settings.text("maillog_file")
    for file in (path,) if path else LOGS:
        try:
            size = os.path.getsize(file)
            with open(file, errors="replace") as log:
                log.seek(max(0, size - 1_000_000))
                yield from (line.rstrip("\n") for line in log if f" {queue_id}: " in line)
        except OSError:
            continue
    if not path and os.path.isdir("/run/systemd/system"):
        words = ["journalctl", "-q", "-n", "2000", "--no-pager", "-t", "postfix/local", "-t", "postfix/smtp"]
        words += ["-t", "postfix/virtual", "-u", "tayori"]
        try:
            said = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return
        yield from (line for line in said.stdout.splitlines() if f" {queue_id}: " in line)


def in_queue(settings: Settings, queue_id: str) -> tuple[bool | None, str]:
    """Whether it still waits (None: cannot be asked), and the reason."""
    try:
        with connect(settings) as sock:
            for message in queue(sock):
                if message.get("id") == queue_id:
                    recipients = message.get("recipients")
                    rows = recipients if isinstance(recipients, list) else []
                    return True, next((str(row["reason"]) for row in rows if row.get("reason")), "")
        return False, ""
    except Failed:
        return None, ""


def follow(settings: Settings, queue_id: str, seconds: float, say: Language = ENGLISH) -> tuple[int, str]:
    """Wait until it is known where the letter went: (exit status, what to say)."""
    deadline = time.monotonic() + seconds
    gone_at = 0.0
    while True:
        found = [match for line in log_lines(settings, queue_id) if (match := STATUS.search(line))]
        waits, reason = in_queue(settings, queue_id)
        last = found[-1] if found else None
        if last and last["status"] == "sent":
            return EX_OK, "\n".join(_sent(settings, match, say) for match in found if match["status"] == "sent")
        if last and last["status"] == "bounced":
            came = say("It came back: {why}", why=last["why"])
            return EX_UNAVAILABLE, f"{came}\n{explain(last['why'], settings, say)}".rstrip()
        now = time.monotonic()
        if waits is False and not gone_at:
            gone_at = now
        if gone_at and now - gone_at > 2:
            where = settings.text("maillog_file") or say("the system's mail log")
            gone = say("It has left the queue; {where} says where it went, but cannot be read by you.", where=where)
            return EX_OK, gone
        if now > deadline:
            why = last["why"] if last else reason
            waiting = say("It still waits in the queue: {why}", why=why or say("no attempt has ended yet"))
            again = say("The server tries again by itself; {command} shows it.",
                        command=f"tayori mailq -c {settings.directory}")  # fmt: skip
            text = f"{waiting}\n{explain(why, settings, say)}".rstrip()
            return EX_TEMPFAIL, f"{text}\n{again}"
        time.sleep(0.2)


def _sent(settings: Settings, match: re.Match[str], say: Language) -> str:
    if match["relay"] in ("local", "virtual", "none"):
        mailbox = settings.text("home_mailbox")
        user = match["to"].partition("@")[0]
        local = match["relay"] == "local" and mailbox
        where = say(" ({mailbox} in the home of {user})", mailbox=mailbox, user=user) if local else ""
        return say("Delivered to {to}: {why}{where}", to=match["to"], why=match["why"], where=where)
    return say("Handed to {relay} for {to}: {why}", relay=match["relay"], to=match["to"], why=match["why"])


def password_for(user: str, say: Language = ENGLISH) -> str:
    """Asked for, or the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return getpass.getpass(say("Password of {user}: ", user=user))


def run(options: argparse.Namespace, say: Language = ENGLISH) -> int:
    """The whole way. Raises Failed, ConfigError, OSError."""
    settings = configuration(options.directory)
    if not running(settings):
        _fail(say("the server does not run; start it: tayori start -c {directory}", directory=settings.directory))
        return EX_UNAVAILABLE
    services = tuple(read_services(settings))
    place = choose(ports(settings, services), options.port, bool(options.user))
    if place is None:
        if options.port:
            _fail(say("master.cf has no smtpd service on port {port}", port=options.port))
        elif options.user:
            _fail(say("master.cf has no smtpd service that offers logins"))
        else:
            _fail(say("master.cf has no smtpd service to send to"))
        return EX_USAGE
    origin = settings.text("myorigin")
    if origin.startswith("/"):
        origin = Path(origin).read_text().split("\n", 1)[0].strip()
    me = f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{origin}"
    to = options.to if "@" in options.to else f"{options.to}@{origin}" if options.to else me
    sender = options.sender or (f"{options.user.partition('@')[0]}@{origin}" if options.user else me)
    password = password_for(options.user, say) if options.user else ""
    print(say("Sending to {to} by {host} port {port}:", to=to, host=place[0], port=place[1]), flush=True)
    answer = send(place, sender, to, options.user, password, options.quiet, say)
    if not answer.good:
        own = answer.text == CLOSED or NO_LOGIN_WORDS in answer.text  # what the server says stays as it is
        print(say("Not accepted: {reply}", reply=say.told(answer.text) if own else answer.text))
        print(explain(answer.text, settings, say))
        return EX_TEMPFAIL if 400 <= answer.code < 500 else EX_UNAVAILABLE
    queue_id = answer.text.rpartition(" ")[2]
    print(say("Accepted as {id}: it is on the disk now and will not be lost.", id=queue_id), flush=True)
    code, text = follow(settings, queue_id, options.wait, say)
    print(text)
    return code


def _fail(text: str) -> None:
    print(f"tayori test-mail: {text}", file=sys.stderr)


def main(argv: list[str]) -> int:
    """Run the command."""
    try:
        options = parser().read(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    say = choose_language(options.lang)
    try:
        return run(options, say)
    except Failed as error:
        _fail(say.told(str(error)))
        return error.code
    except ConfigError as error:
        _fail(say.error(error))
        return EX_CONFIG
    except (KeyboardInterrupt, EOFError):
        _fail(say("stopped"))
        return EX_UNAVAILABLE
    except OSError as error:
        _fail(say("the port does not answer as it should: {why}", why=say.told(str(error))))
        return EX_UNAVAILABLE
