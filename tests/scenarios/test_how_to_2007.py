"""The home mail server of a how-to of 2007, today: its configuration as it stands, a saslauthd, four clients.

As root with a real saslauthd and system users, the clients in a second network namespace outside mynetworks; as
anybody with tayori's own account file and XCLIENT for the foreign address.
"""

from __future__ import annotations

import os
import pwd
import secrets
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.peers import need_root, require
from support.ports import free_port
from support.server import COMMAND, Server
from support.sink import Sink

MAIN_CF = """\
# main.cf
myhostname = mail.example.com
mydomain = example.com
myorigin = $mydomain
inet_interfaces = all
unknown_local_recipient_reject_code = 550
mydestination = $myhostname, localhost.$mydomain, $mydomain
mynetworks = 192.168.1.0/24, 127.0.0.0/8
relay_domains = $mydestination
alias_maps = hash:{aliases}
alias_database = hash:{aliases}
home_mailbox = Maildir/
smtpd_sasl_auth_enable = yes
smtpd_recipient_restrictions = permit_mynetworks
    permit_sasl_authenticated
    reject_unauth_destination
broken_sasl_auth_clients = yes
# not of the how-to: where this test may write, and where other domains' mail goes
queue_directory = {root}/spool
maillog_file = {root}/maillog
relayhost = [127.0.0.1]:{relay}
smtpd_peername_lookup = no
{more}"""
FOREIGN = "friend@elsewhere.example"
PASSWORD = "Correct-Horse-9"
DENIED = f"554 5.7.1 <{FOREIGN}>: Relay access denied"


def run(*words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, input=stdin, text=True, capture_output=True, timeout=60, check=False)
    assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done


# --- as root: system users, saslauthd, a network namespace -----------------------------------------------------------


@pytest.fixture
def people() -> Iterator[tuple[str, str]]:
    """Two system users, made for this test."""
    need_root("makes system users")
    require("useradd", "passwd")
    names = tuple(f"tyr{part}{secrets.token_hex(3)}" for part in ("a", "b"))
    try:
        for name in names:
            run("useradd", "--create-home", "--shell", "/usr/sbin/nologin", name)
            run("chpasswd", stdin=f"{name}:{PASSWORD}\n")
        yield names[0], names[1]
    finally:
        for name in names:
            run("userdel", "--remove", name, check=False)


@pytest.fixture
def saslauthd(tmp_path: Path) -> Iterator[Path]:
    """Cyrus's own, in a folder of its own."""
    program = require("saslauthd", "sasl2-bin")
    folder = tmp_path / "sasl-socket"
    folder.mkdir()
    folder.chmod(0o755)
    # a session of its own: at its end saslauthd sends SIGTERM to its whole process group
    words = [program, "-d", "-a", "shadow", "-m", str(folder)]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 10
        while not (folder / "mux").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield folder
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def outside() -> Iterator[tuple[tuple[str, ...], str]]:
    """A namespace joined by a veth pair: (command prefix, the server's address there). 10.x: not in mynetworks."""
    need_root("makes a network namespace")
    ip = require("ip", "iproute2")
    tag = secrets.token_hex(3)
    net, here, there = f"ty{tag}", f"tya{tag}", f"tyb{tag}"
    third = 1 + secrets.randbelow(250)
    made = subprocess.run([ip, "netns", "add", net], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"this machine makes no network namespaces: {made.stderr.strip()}")
    try:
        run(ip, "link", "add", here, "type", "veth", "peer", "name", there)
        run(ip, "link", "set", there, "netns", net)
        run(ip, "addr", "add", f"10.254.{third}.1/24", "dev", here)
        run(ip, "link", "set", here, "up")
        run(ip, "-n", net, "addr", "add", f"10.254.{third}.2/24", "dev", there)
        run(ip, "-n", net, "link", "set", there, "up")
        run(ip, "-n", net, "link", "set", "lo", "up")
        yield (ip, "netns", "exec", net), f"10.254.{third}.1"
    finally:
        run(ip, "netns", "del", net, check=False)
        run(ip, "link", "del", here, check=False)


PYTHON_CLIENT = """\
import smtplib, sys
host, port, user, password, sender, to = sys.argv[1:]
with smtplib.SMTP(host, int(port), timeout=20) as server:
    if user:
        server.login(user, password)
    try:
        server.sendmail(sender, [to], "Subject: by smtplib\\r\\n\\r\\nhello\\r\\n")
    except smtplib.SMTPRecipientsRefused as error:
        print(error.recipients)
        sys.exit(1)
"""
Client = Callable[[str, int, str, str, str], list[str]]


def swaks(host: str, port: int, user: str, sender: str, to: str) -> list[str]:
    login = ["--auth", "LOGIN", "--auth-user", user, "--auth-password", PASSWORD] if user else []
    words = [require("swaks"), "--server", host, "--port", str(port), "--from", sender, "--to", to]
    return [*words, "--header", "Subject: by swaks", *login]


def curl(host: str, port: int, user: str, sender: str, to: str) -> list[str]:
    login = ["--user", f"{user}:{PASSWORD}"] if user else []
    words = [require("curl"), "-v", "--no-progress-meter", "--max-time", "30", "--url", f"smtp://{host}:{port}"]
    return [*words, "--mail-from", sender, "--mail-rcpt", to, "--upload-file", "-", *login]


def python(host: str, port: int, user: str, sender: str, to: str) -> list[str]:
    return [sys.executable, "-c", PYTHON_CLIENT, host, str(port), user, PASSWORD, sender, to]


def msmtp(host: str, port: int, user: str, sender: str, to: str) -> list[str]:
    login = ["--auth=plain", f"--user={user}", f"--passwordeval=printf {PASSWORD}"] if user else ["--auth=off"]
    words = [require("msmtp"), "--file=/dev/null", f"--host={host}", f"--port={port}", "--tls=off", "--timeout=20"]
    return [*words, f"--from={sender}", *login, to]


CLIENTS: dict[str, Client] = {"swaks": swaks, "curl": curl, "python": python, "msmtp": msmtp}
LETTER = "Subject: a letter\n\nhello\n"


def how_to(tmp_path: Path, relay: int, aliases: str, more: str = "") -> str:
    (tmp_path / "aliases").write_text(aliases)
    return MAIN_CF.format(aliases=tmp_path / "aliases", root=tmp_path, relay=relay, more=more)


@pytest.mark.root
def test_four_clients_outside_with_a_real_saslauthd(
    tmp_path: Path, people: tuple[str, str], saslauthd: Path, outside: tuple[tuple[str, ...], str]
) -> None:
    taro, hanako = people
    prefix, host = outside
    conf = {"sasl/smtpd.conf": f"pwcheck_method: saslauthd\nmech_list: plain login\nsaslauthd_path: {saslauthd}\n"}
    with Sink() as sink:
        main_cf = how_to(tmp_path, sink.port, f"postmaster: root\nroot: {hanako}\n")
        server = Server(tmp_path, main_cf, "{port} inet n - n - - smtpd\n", conf, users=(), passwd=False)
        with server:
            for number, (name, client) in enumerate(CLIENTS.items()):
                done = run(*prefix, *client(host, server.port, taro, f"{taro}@example.com", FOREIGN), stdin=LETTER)
                message = sink.wait(number + 1)[number]
                assert message.recipients == (FOREIGN,), name
                done = run(*prefix, *client(host, server.port, "", "x@z.example", FOREIGN), stdin=LETTER, check=False)
                assert done.returncode != 0, name
                said = done.stdout + done.stderr
                assert "554" in said and (name in ("curl",) or "Relay access denied" in said), said
            assert server.log().count(DENIED) == len(CLIENTS)
            assert f"sasl_username={taro}" in server.log()
            _local_mail(server, prefix, host, taro, hanako)
            _root_alias(server, hanako)
        assert len(sink.messages) == len(CLIENTS)


def _local_mail(server: Server, prefix: tuple[str, ...], host: str, taro: str, hanako: str) -> None:
    run(*prefix, *swaks(host, server.port, "", "x@z.example", f"{taro}@example.com"))
    (path,) = _wait(taro, 1)
    account = pwd.getpwnam(taro)
    assert (path.stat().st_uid, path.stat().st_gid) == (account.pw_uid, account.pw_gid)
    assert f"Delivered-To: {taro}@example.com" in path.read_text()
    assert _new(hanako).is_dir() is False
    done = run(*prefix, *swaks(host, server.port, "", "x@z.example", "nobody-here@example.com"), check=False)
    assert done.returncode != 0 and "550 5.1.1 <nobody-here@example.com>" in done.stdout


def _root_alias(server: Server, hanako: str) -> None:
    run(*COMMAND, "sendmail", "-C", str(server.conf), "root", stdin="Subject: for root\n\nhello\n")
    (path,) = _wait(hanako, 1)
    text = path.read_text()
    assert "Subject: for root" in text and "X-Original-To: root" in text
    assert path.stat().st_uid == pwd.getpwnam(hanako).pw_uid


def _new(user: str) -> Path:
    return Path(pwd.getpwnam(user).pw_dir) / "Maildir" / "new"


def _wait(user: str, count: int) -> list[Path]:
    deadline = time.monotonic() + 20
    while True:
        found = sorted(_new(user).iterdir()) if _new(user).is_dir() else []
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, f"no mail for {user}"
        time.sleep(0.05)


# --- as anybody: the account file, and XCLIENT for the foreign address -----------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Iterator[tuple[Server, Sink]]:
    more = "smtpd_authorized_xclient_hosts = 127.0.0.1\ntayori_passwd_file = " + str(tmp_path / "conf/passwd") + "\n"
    with Sink() as sink:
        main_cf = how_to(tmp_path, sink.port, "postmaster: root\nroot: hanako\n", more)
        conf = {"sasl/smtpd.conf": "pwcheck_method: accounts\nmech_list: plain login\n"}
        server = Server(tmp_path, main_cf, None, conf)
        server.command("user", "add", "--stdin", "-c", str(server.conf), "taro", stdin=PASSWORD + "\n", check=True)
        with server:
            yield server, sink


def stranger(server: Server) -> smtplib.SMTP:
    """A session that comes from outside mynetworks."""
    session = smtplib.SMTP("127.0.0.1", server.port, timeout=20)
    session.ehlo()
    assert session.docmd("XCLIENT", "ADDR=203.0.113.9 NAME=[UNAVAILABLE]")[0] == 220
    session.ehlo()
    return session


def test_who_logged_in_may_send_to_others(home: tuple[Server, Sink]) -> None:
    server, sink = home
    with stranger(server) as session:
        assert "auth=PLAIN LOGIN" in (session.ehlo_resp or b"").decode().replace("AUTH=", "auth=")
        session.login("taro", PASSWORD)
        session.sendmail("taro@example.com", [FOREIGN], "Subject: hello\r\n\r\nhello\r\n")
    (message,) = sink.wait(1)
    assert message.recipients == (FOREIGN,) and message.sender == "taro@example.com"
    assert b"Subject: hello" in message.content


def test_a_stranger_may_not(home: tuple[Server, Sink]) -> None:
    server, sink = home
    with stranger(server) as session:
        session.mail("x@z.example")
        code, text = session.rcpt(FOREIGN)
        assert f"{code} {text.decode()}" == DENIED
        assert session.rcpt("nobody@example.com")[0] == 550
        assert session.rcpt("nobody@example.com")[1].startswith(b"5.1.1 <nobody@example.com>")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            session.rset()
            session.login("taro", "wrong")
    assert sink.messages == []


def test_local_mail_and_the_alias_of_root(home: tuple[Server, Sink]) -> None:
    server, _ = home
    with stranger(server) as session:
        session.sendmail("x@z.example", ["taro@example.com"], "Subject: hello\r\n\r\nhello\r\n")
    (path,) = server.wait_mail("taro")
    assert path.stat().st_uid == server.uids["taro"]
    server.command("sendmail", "-C", str(server.conf), "root", stdin="Subject: for root\n\nhello\n", check=True)
    (path,) = server.wait_mail("hanako")
    assert "X-Original-To: root" in path.read_text() and "Subject: for root" in path.read_text()


def test_a_saslauthd_that_is_not_there_costs_only_logins(tmp_path: Path) -> None:
    conf = {"sasl/smtpd.conf": f"pwcheck_method: saslauthd\nsaslauthd_path: {tmp_path}/none\n"}
    more = f"tayori_passwd_file = {tmp_path}/conf/passwd\n"
    with Server(tmp_path, how_to(tmp_path, free_port(), "", more), None, conf) as server:
        replies = server.talk(["EHLO x", "QUIT"])
        assert "AUTH" not in replies[1]
        assert server.send("x@z.example", "taro@example.com").startswith("250")
        server.wait_mail("taro")
        assert f"{server.conf}/sasl/smtpd.conf:1: saslauthd:{tmp_path}/none cannot be asked" in server.log()


def test_at_level_3_6_postfix_only_postpones_strangers(tmp_path: Path) -> None:
    with Server(tmp_path, {"mynetworks": "192.0.2.0/24"}) as server:
        replies = server.talk(["EHLO x", "MAIL FROM:<a@b.example>", f"RCPT TO:<{FOREIGN}>", "QUIT"])
        assert replies[3] == f"454 4.7.1 <{FOREIGN}>: Relay access denied"
        assert os.path.exists(server.maillog)
