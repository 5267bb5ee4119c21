"""Logins per second, tayori and Postfix side by side: `.venv/bin/python bench/sasl.py [--rounds 5] [--seconds 3]`.

As root, on one machine, in interleaved rounds. A login is a connection, EHLO, AUTH PLAIN, QUIT; eight clients in
blocking processes. Pairs: both servers ask the same Cyrus saslauthd (`-a shadow -c`, its cache on, no other cache on
either side), and both read the same sasldb2 made by Cyrus saslpasswd2 (Cyrus SASL opens the file for each login;
tayori remembers what it read until the file changes). Beside them a bare uvloop server in two processes that answers
the same lines and does nothing else: the most that any Python server could reach with these clients on these cores.
Apart: tayori's own accounts with argon2id, right passwords remembered for a minute as they are by default, and each
login by another account, so that every one is hashed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import multiprocessing
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

HOST = "mail.bench.example"
USER, PASSWORD = "tayoribenchsasl", "Secret-123"
CLIENTS = 8
MAIN = """compatibility_level = 3.6
myhostname = mail.bench.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
mynetworks =
mydestination =
smtpd_peername_lookup = no
smtpd_sasl_auth_enable = yes
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_sasl_authenticated, reject
queue_directory = {root}/spool
maillog_file = {root}/maillog
maillog_file_prefixes = /
"""
POSTFIX = "data_directory = {root}/data\ncyrus_sasl_config_path = {root}/conf/sasl\n"
MASTER = """127.0.0.1:{port} inet n - n - 100 smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_port(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


@contextmanager
def server(kind: str, folder: Path, smtpd_conf: str) -> Iterator[tuple[int, Path]]:
    """A running Postfix or tayori with this smtpd.conf: its port and folder."""
    root = folder / f"{kind}-{len(list(folder.iterdir()))}"
    for name in ("conf/sasl", "data", "spool"):
        (root / name).mkdir(parents=True)
    shutil.chown(root / "data", "postfix")
    port = free_port()
    (root / "conf/main.cf").write_text((MAIN + (POSTFIX if kind == "postfix" else "")).format(root=root))
    master = MASTER if kind == "postfix" else MASTER.splitlines()[0] + "\n"
    (root / "conf/master.cf").write_text(master.format(port=port))
    (root / "conf/sasl/smtpd.conf").write_text(smtpd_conf)
    if kind == "postfix":
        command = ["postfix", "-c", str(root / "conf")]
        subprocess.run([*command, "start"], check=True, capture_output=True)
        try:
            wait_port(port)
            yield port, root
        finally:
            subprocess.run([*command, "stop"], capture_output=True)
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "tayori", "start", "-c", str(root / "conf")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_port(port)
        yield port, root
    finally:
        process.terminate()
        process.wait(30)


def cpu_seconds(root: Path) -> float:
    """User and system time so far of the master that runs from `root` and all its children, ended ones too."""
    total = 0
    pids = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            pids[int(stat.parent.name)] = (int(fields[1]), [int(word) for word in fields[11:15]])
        except (OSError, ValueError):
            continue
    pid_file = next((path for path in root.glob("spool/**/master.pid") if path.read_text().strip()), None)
    master = int(pid_file.read_text()) if pid_file else 0
    for pid, (parent, times) in pids.items():
        if pid == master:
            total += sum(times)
        elif parent == master:
            total += times[0] + times[1]
    return total / os.sysconf("SC_CLK_TCK")


def _client(port: int, users: list[str], until: float, out: object) -> None:
    good = bad = 0
    lines = [b"AUTH PLAIN " + base64.b64encode(f"\0{user}\0{PASSWORD}".encode()) + b"\r\n" for user in users]
    number = 0
    while time.monotonic() < until and (len(users) == 1 or number < len(users)):
        sock = socket.create_connection(("127.0.0.1", port), 20)
        sock.recv(4096)
        sock.sendall(b"EHLO bench\r\n")
        sock.recv(4096)
        sock.sendall(lines[number % len(lines)])
        if sock.recv(4096).startswith(b"235"):
            good += 1
        else:
            bad += 1
        sock.sendall(b"QUIT\r\n")
        sock.recv(4096)
        sock.close()
        number += 1
    out.put((good, bad))  # type: ignore[attr-defined]


def logins(port: int, seconds: float, users: list[str]) -> tuple[float, float]:
    """(logins per second of CLIENTS clients, seconds it took). Raises SystemExit when one is refused."""
    answers: multiprocessing.Queue[tuple[int, int]] = multiprocessing.Queue()
    start = time.monotonic()
    shares = [users] * CLIENTS if len(users) == 1 else [users[n::CLIENTS] for n in range(CLIENTS)]
    processes = [
        multiprocessing.Process(target=_client, args=(port, share, start + seconds, answers)) for share in shares
    ]
    for process in processes:
        process.start()
    got = [answers.get(timeout=seconds + 60) for _ in processes]
    took = time.monotonic() - start
    for process in processes:
        process.join()
    if any(bad for _, bad in got):
        raise SystemExit(f"{sum(bad for _, bad in got)} logins refused")
    return sum(good for good, _ in got) / took, took


def pair(name: str, folder: Path, conf: str, rounds: int, seconds: float) -> None:
    """Both servers in turn; prints median and spread of each and the ratio of the medians."""
    with server("postfix", folder, conf) as postfix, server("tayori", folder, conf) as tayori:
        rates: dict[str, list[float]] = {"postfix": [], "tayori": []}
        costs: dict[str, list[float]] = {"postfix": [], "tayori": []}
        for port, _ in (postfix, tayori):
            logins(port, 1.0, [USER])
        for _ in range(rounds):
            for kind, (port, root) in (("postfix", postfix), ("tayori", tayori)):
                before = cpu_seconds(root)
                rate, took = logins(port, seconds, [USER])
                rates[kind].append(rate)
                costs[kind].append((cpu_seconds(root) - before) / (rate * took) * 1e6)
    for kind, found in rates.items():
        print(f"{name:12} {kind:8} {_words(found)}   {statistics.median(costs[kind]):5.0f} us CPU of the server each")
    ratio, cost = (
        statistics.median(found["tayori"]) / statistics.median(found["postfix"]) for found in (rates, costs)
    )
    print(f"{name:12} ratio    {ratio:.2f} in logins per second, {1 / cost:.2f} in logins per CPU second")


def _words(rates: list[float]) -> str:
    return f"{statistics.median(rates):7.0f} logins/s   ({min(rates):.0f} to {max(rates):.0f})"


class _Canned(asyncio.Protocol):
    """Answers by the first letters of what came."""

    answers = {  # noqa: RUF012
        b"EHLO": b"250-mail.bench.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-AUTH PLAIN\r\n250 DSN\r\n",
        b"AUTH": b"235 2.7.0 Authentication successful\r\n",
        b"QUIT": b"221 2.0.0 Bye\r\n",
    }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(b"220 mail.bench.example ESMTP\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answers[data[:4]])  # type: ignore[attr-defined]
        if data[:4] == b"QUIT":
            self.transport.close()


def _canned(sock: socket.socket) -> None:
    async def serve() -> None:
        await asyncio.get_running_loop().create_server(_Canned, sock=sock)
        await asyncio.sleep(3600)

    uvloop.run(serve())


def floor(rounds: int, seconds: float) -> None:
    """The bare server."""
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(("127.0.0.1", 0))
        sock.listen(1024)
        servers = [multiprocessing.Process(target=_canned, args=(sock,), daemon=True) for _ in range(2)]
        for process in servers:
            process.start()
        port = int(sock.getsockname()[1])
        logins(port, 1.0, [USER])
        rates, costs = [], []
        for _ in range(rounds):
            before = sum(_own_seconds(process.pid) for process in servers)
            rate, took = logins(port, seconds, [USER])
            rates.append(rate)
            costs.append((sum(_own_seconds(process.pid) for process in servers) - before) / (rate * took) * 1e6)
        for process in servers:
            process.terminate()
    print(
        f"{'bare server':12} {'uvloop':8} {_words(rates)}   {statistics.median(costs):5.0f} us CPU of the server each"
    )


def _own_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def accounts(folder: Path, rounds: int, seconds: float) -> None:
    """argon2id: tayori alone."""
    from tayori.sasl.accounts import AccountFile

    names = [f"user{n}" for n in range(240)]
    file = folder / "accounts"
    AccountFile(file).add(USER, PASSWORD)
    line = file.read_text().splitlines()[-1].partition(":")[2]
    with file.open("a") as out:
        out.writelines(f"{name}:{line}\n" for name in names)
    file.chmod(0o644)
    conf = f"pwcheck_method: accounts\naccounts_path: {file}\nmech_list: plain\n"
    with server("tayori", folder, conf) as (port, _):
        logins(port, 1.0, [USER])
        print(f"argon2id     remembered {_words([logins(port, seconds, [USER])[0] for _ in range(rounds)])}")
    found = []
    for _ in range(max(2, rounds // 2)):
        with server("tayori", folder, conf) as (port, _):
            found.append(logins(port, 60.0, names)[0])
    print(f"argon2id     hashed     {_words(found)}")


def main() -> int:
    """Run all and print."""
    parser = argparse.ArgumentParser("bench/sasl.py")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench/sasl.py: needs root (Postfix, shadow)", file=sys.stderr)
        return 77
    folder = Path(tempfile.mkdtemp(prefix="tysasl"))
    folder.chmod(0o755)
    subprocess.run(["userdel", USER], capture_output=True)
    subprocess.run(["useradd", "-M", "-s", "/usr/sbin/nologin", USER], check=True)
    subprocess.run(["chpasswd"], input=f"{USER}:{PASSWORD}\n".encode(), check=True)
    (folder / "mux.d").mkdir()
    daemon = subprocess.Popen(
        ["saslauthd", "-a", "shadow", "-c", "-d", "-m", f"{folder}/mux.d", "-n", "5"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        database = folder / "sasldb2"
        subprocess.run(
            ["saslpasswd2", "-p", "-c", "-f", str(database), "-u", HOST, USER], input=PASSWORD.encode(), check=True
        )
        database.chmod(0o644)
        time.sleep(0.5)
        through = f"pwcheck_method: saslauthd\nsaslauthd_path: {folder}/mux.d/mux\nmech_list: plain\n"
        pair("saslauthd", folder, through, options.rounds, options.seconds)
        stored = f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\nmech_list: plain\n"
        time.sleep(2.5)  # a file that changed within two seconds is not remembered
        pair("sasldb2", folder, stored, options.rounds, options.seconds)
        floor(options.rounds, options.seconds)
        accounts(folder, options.rounds, options.seconds)
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)  # with -d its children do not end with it
        daemon.wait(10)
        subprocess.run(["userdel", USER], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
