"""CPU of one RCPT TO with large tables, Postfix and tayori side by side: `python bench/rcpt.py` (as root).

Both read one configuration: twenty restrictions in smtpd_recipient_restrictions, among them a hash table of
1,000,000 entries, 5,000 cidr lines and 200 pcre lines. Eight clients, each a stranger by XCLIENT, send transactions
of MAIL FROM, twenty RCPT TO and RSET, each command on its own, and read every reply. All recipients are accepted;
addresses differ from RCPT to RCPT, one in four is found in the large table (DUNNO), one in four fits a pcre line
(DUNNO): every list is asked to its end. Both servers answer in turn, several runs; printed are RCPTs per second, CPU
of all server processes (user and system) for 1,000 RCPTs, medians, and the ratio. tayori has one worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from run import POSTFIX_MASTER, POSTFIX_ONLY, Server, free_port

CLIENTS, EACH = 8, 20
MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.bench.example
mydestination = $myhostname, bench.example
local_recipient_maps =
mynetworks = 10.9.8.0/24
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_relay_restrictions =
smtpd_client_connection_count_limit = 0
smtpd_recipient_limit = 1000
queue_directory = {root}/spool
maillog_file = {root}/maillog
maillog_file_prefixes = /
smtpd_recipient_restrictions =
    permit_mynetworks permit_sasl_authenticated permit_inet_interfaces reject_unauth_pipelining
    reject_invalid_helo_hostname reject_non_fqdn_helo_hostname reject_non_fqdn_sender reject_non_fqdn_recipient
    reject_unknown_reverse_client_hostname reject_unlisted_sender reject_unlisted_recipient
    reject_sender_login_mismatch reject_multi_recipient_bounce
    check_client_access cidr:{tables}/cidr
    check_helo_access hash:{tables}/hash
    check_sender_access hash:{tables}/hash
    check_recipient_access hash:{tables}/hash
    check_recipient_access pcre:{tables}/pcre
    check_sender_access pcre:{tables}/pcre
    reject_unauth_destination
"""


def make_tables(folder: Path, entries: int) -> None:
    """The three tables of bench/tables.py's kind; every result is DUNNO."""
    with open(folder / "hash", "w") as file:
        for number in range(entries):
            file.write(f"user{number}@bench.example DUNNO\n")
    with open(folder / "cidr", "w") as file:
        for number in range(5000):
            file.write(f"{10 + number // 2500}.{number // 10 % 250}.{number % 10 * 16}.0/24 DUNNO\n")
    with open(folder / "pcre", "w") as file:
        for number in range(200):
            shape = (rf"/^spam{number}[0-9]+@/", rf"/\.bad{number}\.example$/", rf"/^(x{number})-(list|news)@/")
            file.write(f"{shape[number % 3]} DUNNO\n")


class Rcpt(Server):
    """The server of bench/run.py with our configuration."""

    def __init__(self, name: str, root: Path, port: int, tables: Path) -> None:
        super().__init__(name, root, port)
        main = MAIN_CF.format(root=root, tables=tables)
        main += POSTFIX_ONLY.format(root=root) if name == "postfix" else "tayori_workers = 1\n"
        (self.conf / "main.cf").write_text(main)
        if name == "postfix":
            (self.conf / "master.cf").write_text(POSTFIX_MASTER.format(port=port))

    def processes(self) -> list[int]:
        """The master and all that is below it, at any depth."""
        found, row = [], [self.pids()[0]]
        while row:
            found += row
            words = ["pgrep", "-P", ",".join(map(str, row))]
            row = [int(p) for p in subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()]
        return found

    def seconds(self) -> float:
        """CPU so far, user and system."""
        tick, total = os.sysconf("SC_CLK_TCK"), 0
        for pid in self.processes():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(map(int, fields[11:15]))
        return total / tick


def recipient(chance: random.Random, entries: int) -> str:
    """One in four is in the hash table, one in four fits a pcre line, half is found nowhere."""
    number = chance.randrange(4)
    if number == 0:
        return f"user{chance.randrange(entries)}@bench.example"
    if number == 1:
        return f"spam{chance.randrange(67) * 3}{chance.randrange(10**6)}@bench.example"
    return f"nobody{chance.randrange(10**9)}@bench.example"


def client(port: int, seed: int, transactions: int, entries: int) -> None:
    """One session. Exits with 1 when an answer is not the expected one."""
    chance = random.Random(seed)
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        file = sock.makefile("rb")

        def reply() -> bytes:
            while True:
                line = file.readline()
                if line[3:4] != b"-":
                    return line

        def say(command: str, code: bytes = b"250") -> None:
            sock.sendall(f"{command}\r\n".encode())
            line = reply()
            if not line.startswith(code):
                raise SystemExit(f"{command}: {line!r}")

        reply()
        say("EHLO bench.client.example")
        name = "bench.client.example"
        say(f"XCLIENT ADDR=203.0.113.{seed % 250} NAME={name} REVERSE_NAME={name}", b"220")
        say("EHLO bench.client.example")
        for _ in range(transactions):
            say(f"MAIL FROM:<writer{chance.randrange(10**6)}@sender.example>")
            for _ in range(EACH):
                say(f"RCPT TO:<{recipient(chance, entries)}>")
            say("RSET")
        say("QUIT", b"221")


def load(server: Rcpt, transactions: int, entries: int, seed: int) -> tuple[float, float]:
    """(RCPTs per second, CPU seconds per 1,000) of one run."""
    count = CLIENTS * transactions * EACH
    workers = [
        multiprocessing.Process(target=client, args=(server.port, seed + n, transactions, entries))
        for n in range(CLIENTS)
    ]
    before, begun = server.seconds(), time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        if worker.exitcode != 0:
            raise SystemExit(f"a client of {server.name} failed ({worker.exitcode})")
    took = time.monotonic() - begun
    return count / took, (server.seconds() - before) / count * 1000


def main() -> None:
    """Make tables, start both, measure in turn, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--entries", type=int, default=1_000_000)
    options.add_argument("--transactions", type=int, default=50, help="for each of the eight clients, of 20 RCPT")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--only", choices=("tayori", "postfix"), default="")
    chosen = options.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: run as root (Postfix needs it)")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    root = Path(tempfile.mkdtemp(prefix="tayori-rcpt-", dir="/var/tmp"))
    root.chmod(0o755)
    tables = root / "tables"
    tables.mkdir(mode=0o755)
    make_tables(tables, chosen.entries)
    names = [chosen.only] if chosen.only else ["postfix", "tayori"]
    servers = [Rcpt(name, root / name, free_port(), tables) for name in names]
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    try:
        if "postfix" in names:
            conf = str(root / "postfix/conf")
            subprocess.run(["postmap", "-c", conf, f"hash:{tables}/hash"], check=True)
        for server in servers:
            server.start()
            load(server, 10, chosen.entries, 999)
        for run in range(chosen.runs):
            for server in servers:
                rate, cpu = load(server, chosen.transactions, chosen.entries, 1000 * run)
                results[server.name].append((rate, cpu))
                print(f"run {run + 1} {server.name:8} {rate:7.0f} RCPT/s  {cpu * 1000:6.0f} us CPU per RCPT")
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(root, ignore_errors=True)
    summary(results)


def summary(results: dict[str, list[tuple[float, float]]]) -> None:
    """Medians and the ratio."""
    middle = {}
    for name, runs in results.items():
        cpus = sorted(cpu * 1000 for _, cpu in runs)
        middle[name] = statistics.median(cpus)
        rate = statistics.median(rate for rate, _ in runs)
        spread = f"{cpus[0]:.0f} to {cpus[-1]:.0f}"
        print(f"{name:8} median {rate:7.0f} RCPT/s, {middle[name]:.0f} us CPU per RCPT ({spread})")
    if len(middle) == 2:
        print(f"tayori takes {middle['tayori'] / middle['postfix']:.2f} x the CPU of Postfix for a RCPT")


if __name__ == "__main__":
    main()
