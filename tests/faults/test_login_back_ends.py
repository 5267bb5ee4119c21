"""A whole server whose places of passwords hang, are gone, talk rubbish or are broken: 454 4.7.0 for everybody, never 535,
no failure is counted, and fail2ban, which would shut out whoever asked, sees none of it; wrong passwords it sees all.
"""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from faults.test_login_limits import Client, Saslauthd, at_once, plain
from interop.sasl.peers import running, wait_for
from support.peers import require
from support.ports import free_port
from support.server import Server, read_replies

FILTER = Path("/etc/fail2ban/filter.d/postfix.conf")
WRONG = 7
IMPATIENT = """
import sys
from tayori.programs.main import main
from tayori.sasl.verifiers.saslauthd import Saslauthd
Saslauthd.__init__.__kwdefaults__["seconds"] = 2.0
sys.argv = sys.argv[3:]
main()
"""
"""tayori, only that saslauthd has 2 seconds instead of 30."""
CONFS = {
    "good": "pwcheck_method: passwd-file\npasswd_file: {conf}/users\n",
    "hangs": "pwcheck_method: saslauthd\nsaslauthd_path: {place}/hangs\n",
    "rubbish": "pwcheck_method: saslauthd\nsaslauthd_path: {place}/rubbish\n",
    "gone": "pwcheck_method: saslauthd\nsaslauthd_path: {place}/gone\n",
    "ldap": "pwcheck_method: auxprop\nauxprop_plugin: ldapdb\nldapdb_uri: ldap://127.0.0.1:{closed}\n"
    "ldapdb_id: x\nldapdb_pw: x\nldapdb_mech: PLAIN\n",
    "pgsql": "pwcheck_method: auxprop\nauxprop_plugin: sql\nsql_engine: pgsql\nsql_hostnames: 127.0.0.1:{closed}\n"
    "sql_user: u\nsql_passwd: p\nsql_database: d\nsql_select: SELECT password FROM users WHERE name = '%u'\n",
    "mysql": "pwcheck_method: auxprop\nauxprop_plugin: sql\nsql_engine: mysql\nsql_hostnames: 127.0.0.1:{closed}\n"
    "sql_user: u\nsql_passwd: p\nsql_database: d\nsql_select: SELECT password FROM users WHERE name = '%u'\n",
    "sqlite": "pwcheck_method: auxprop\nauxprop_plugin: sql\nsql_engine: sqlite3\nsql_database: {conf}/broken\n"
    "sql_select: SELECT password FROM users WHERE name = '%u'\n",
    "no file": "pwcheck_method: passwd-file\npasswd_file: {conf}/nowhere\n",
    "a folder": "pwcheck_method: passwd-file\npasswd_file: {conf}/folder\n",
}
if importlib.util.find_spec("bonsai") is None:  # needs a compiler; make setup EXTRAS=all
    del CONFS["ldap"]
BAD = [name for name in CONFS if name != "good"]


def listening(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    path.chmod(0o666)
    sock.listen(50)
    return sock


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose name is short enough for a socket's."""
    folder = Path(tempfile.mkdtemp(prefix="sasl"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def served(tmp_path: Path, confs: dict[str, str], **names: object) -> tuple[Server, dict[str, int]]:
    """A server with a port for each of `confs`."""
    ports = {name: free_port() for name in confs}
    main = {
        "smtpd_sasl_auth_enable": "yes",
        "cyrus_sasl_config_path": str(tmp_path / "conf" / "sasl"),
        "tayori_workers": "1",
        "smtpd_error_sleep_time": "0",
    }
    master = "127.0.0.1:{port} inet n - n - - smtpd\n"
    for name, port in ports.items():
        master += f"127.0.0.1:{port} inet n - n - - smtpd -o smtpd_sasl_path={name.replace(' ', '_')}\n"
    files = {
        f"sasl/{name.replace(' ', '_')}.conf": text.format(conf=tmp_path / "conf", **names)
        + "mech_list: PLAIN LOGIN\n"
        for name, text in confs.items()
    }
    files |= {"users": "taro:{PLAIN}himitsu\n", "broken": "SQLite format 3 but no more", "folder/x": ""}
    return Server(tmp_path, main, master, files=files, prefix=(sys.executable, "-c", IMPATIENT)), ports


def try_at(server: Server, port: int, *lines: str) -> list[str]:
    """The last reply to each AUTH line, whether the server offers AUTH now or not."""
    with socket.create_connection(("127.0.0.1", port), 30) as sock, sock.makefile("rb") as file:
        said = [read_replies(file)]
        for line in ("EHLO client.example", *lines):
            sock.sendall(line.encode() + b"\r\n")
            said.append(read_replies(file))
    return said[2:]


def test_trouble_is_454_and_nobodys_failure(tmp_path: Path, place: Path) -> None:
    with socket.socket() as held, ExitStack() as stack:
        held.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets it
        stack.enter_context(closing(listening(place / "hangs")))
        rubbish = stack.enter_context(closing(listening(place / "rubbish")))
        server, ports = served(tmp_path, CONFS, place=place, closed=held.getsockname()[1])
        with server:
            rubbish.setblocking(False)
            clients = []
            for name in BAD:  # all at once, as some take their time
                for line in (plain("taro", "himitsu"), plain("taro", "wrong"), plain("nobody", "x")) * 3:
                    client = Client(server, ports[name], auth=False)
                    client.send(line)
                    clients.append((name, client))
            deadline = time.monotonic() + 45
            for name, client in clients:
                client.sock.settimeout(0.05)
                reply = b""
                while not reply.endswith(b"\n"):
                    assert time.monotonic() < deadline, name
                    try:
                        reply += client.sock.recv(1000)
                    except TimeoutError:
                        answer_rubbish(rubbish)
                assert reply.startswith(b"454 4.7.0 "), (name, reply)
                client.close()
            before = time.monotonic()
            assert try_at(server, ports["good"], plain("taro", "himitsu")) == ["235 2.7.0 Authentication successful"]
            assert time.monotonic() - before < 0.4, "no delay is due: nothing was counted"
            for _ in range(WRONG):
                assert try_at(server, ports["good"], plain("jiro", "wrong"))[0].startswith("535 5.7.8")
            server.stop()
            log = server.log()
    failed = re.findall(r"warning: unknown\[127\.0\.0\.1\]: SASL PLAIN authentication failed: (.*)", log)
    assert len(failed) == 9 * len(BAD) + WRONG
    assert sum(why.startswith("Connection lost to authentication server (") for why in failed) == 9 * len(BAD)
    assert "himitsu" not in log and base64.b64encode(b"himitsu").decode() not in log


def answer_rubbish(sock: socket.socket) -> None:
    """To whoever waits."""
    while True:
        try:
            asking, _ = sock.accept()
        except BlockingIOError:
            return
        with asking:
            asking.settimeout(0.2)
            try:
                asking.recv(1000)
                asking.sendall(bytes(range(256)))
            except OSError:
                pass


@pytest.mark.peer
def test_a_real_saslauthd_that_stops_and_dies(tmp_path: Path, place: Path) -> None:
    program = require("saslauthd", "sasl2-bin")
    confs = {"real": "pwcheck_method: saslauthd\nsaslauthd_path: {place}/mux\n", "good": CONFS["good"]}
    with running(program, "-a", "sasldb", "-d", "-m", str(place), "-n", "1") as daemon:
        wait_for((place / "mux").exists)
        (place / "mux").chmod(0o777)
        server, ports = served(tmp_path, confs, place=place)
        with server:
            assert try_at(server, ports["real"], plain("taro", "wrong"))[0].startswith("535")
            os.kill(daemon.pid, signal.SIGSTOP)
            try:
                before = time.monotonic()
                assert try_at(server, ports["real"], plain("taro", "wrong"))[0].startswith("454 4.7.0")
                assert time.monotonic() - before < 10
            finally:
                os.kill(daemon.pid, signal.SIGCONT)
            daemon.kill()
            daemon.wait(10)
            for _ in range(3):
                assert try_at(server, ports["real"], plain("taro", "wrong"))[0].startswith("454 4.7.0")


@pytest.mark.peer
def test_fail2ban_counts_every_wrong_password_and_no_trouble(tmp_path: Path, place: Path) -> None:
    """Its own filter, as Debian installs it, on our log: 30 wrong ones, most of which are held back."""
    program = require("fail2ban-regex", "fail2ban")
    slow = Saslauthd(place / "mux")
    slow.start()
    confs = {"slow": "pwcheck_method: saslauthd\nsaslauthd_path: {place}/mux\n", "gone": CONFS["gone"]}
    server, ports = served(tmp_path, confs, place=place)
    with closing(slow), server:
        replies = at_once(server, [plain(f"user{number}", "wrong") for number in range(30)], ports["slow"])
        assert {reply[:9] for reply in replies} == {"454 4.7.0", "535 5.7.8"}
        server.stop()
        server.start()
        for _ in range(4):
            assert try_at(server, ports["gone"], plain("taro", "himitsu"))[0].startswith("454 4.7.0")
    command = [program, str(server.maillog), f"{FILTER}[mode=auth]"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    assert re.search(r"^Lines: \d+ lines, 0 ignored, 30 matched,", said, re.M), said
