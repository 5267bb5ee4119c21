"""tayori and Postfix side by side: `make bench`.

As root, from one generated configuration, on one machine, in interleaved runs: smtp-source (Debian's package
postfix) sends 4 KiB messages over 20 sessions, one message per connection, to 20 local users; a run ends when
the last message lies in a Maildir. Both sync each Maildir file before the message leaves the queue (Postfix by
fsync, tayori by its batches). Printed per run: messages per second to acceptance and end to end, and CPU seconds
per 1,000 messages of the server's processes; then medians, spread and the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

USERS = [f"tayoribench{n:02}" for n in range(20)]
SESSIONS = 20
MESSAGE_BYTES = 4096
LIMIT_SECONDS = 120.0

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.bench.example
mydomain = bench.example
myorigin = $mydomain
mydestination = $myhostname, localhost.$mydomain, $mydomain
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
home_mailbox = Maildir/
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
queue_directory = {root}/spool
maillog_file = {root}/maillog
maillog_file_prefixes = /
"""
POSTFIX_ONLY = """\
data_directory = {root}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
"""
POSTFIX_MASTER = """\
127.0.0.1:{port} inet n - n - 100 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass
class Result:
    """One run. Rates in messages/s, CPU in seconds per 1,000 messages."""

    server: str
    accepted: float
    delivered: float
    cpu: float
    user: float
    system: float


class Server:
    """A server under test: started once, loaded several times."""

    def __init__(self, name: str, root: Path, port: int) -> None:
        self.name, self.root, self.port = name, root, port
        self.conf = root / "conf"
        self.process: subprocess.Popen[bytes] | None = None
        self.conf.mkdir(parents=True)
        main = MAIN_CF.format(root=root)
        if name == "postfix":
            (root / "spool").mkdir()
            (root / "data").mkdir()
            shutil.chown(root / "data", "postfix")
            main += POSTFIX_ONLY.format(root=root)
            (self.conf / "master.cf").write_text(POSTFIX_MASTER.format(port=port))
        else:
            (self.conf / "master.cf").write_text(f"127.0.0.1:{port} inet n - n - - smtpd\n")
        (self.conf / "main.cf").write_text(main)

    def start(self) -> None:
        if self.name == "postfix":
            subprocess.run(["postfix", "-c", str(self.conf), "start"], check=True, capture_output=True)
        else:
            command = [str(Path(sys.executable).with_name("tayori")), "start", "-c", str(self.conf)]
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port)

    def stop(self) -> None:
        if self.name == "postfix":
            subprocess.run(["postfix", "-c", str(self.conf), "stop"], check=False, capture_output=True)
        elif self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def pids(self) -> list[int]:
        """The master and everything below it."""
        if self.name == "postfix":
            text = (self.root / "spool/pid/master.pid").read_text()
            top = int(text.strip())
        else:
            assert self.process is not None
            top = self.process.pid
        children = subprocess.run(["pgrep", "-P", str(top)], capture_output=True, text=True, check=False).stdout
        return [top, *map(int, children.split())]

    def cpu(self) -> tuple[float, float]:
        """User and system seconds so far: of live processes and of the reaped children of each."""
        tick = os.sysconf("SC_CLK_TCK")
        user = system = 0.0
        for pid in self.pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            user += (int(fields[11]) + int(fields[13])) / tick
            system += (int(fields[12]) + int(fields[14])) / tick
        return user, system


def wait_for_port(port: int) -> None:
    import socket

    for _ in range(200):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as sock:
                sock.recv(100)
                sock.sendall(b"QUIT\r\n")
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_users() -> None:
    for name in USERS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            subprocess.run(["useradd", "-m", "-s", "/usr/sbin/nologin", name], check=True, capture_output=True)


def remove_users() -> None:
    for name in USERS:
        subprocess.run(["userdel", "-r", name], check=False, capture_output=True)


def clear_mail() -> None:
    """After all runs only: on ext4, making files right after many were deleted is slow and would colour a run."""
    for name in USERS:
        shutil.rmtree(Path(pwd.getpwnam(name).pw_dir) / "Maildir", ignore_errors=True)


def delivered() -> int:
    total = 0
    for name in USERS:
        try:
            total += len(os.listdir(Path(pwd.getpwnam(name).pw_dir) / "Maildir/new"))
        except OSError:
            continue
    return total


def load(server: Server, messages: int) -> Result:
    """One run: 20 smtp-source processes of one session each, each to its own user."""
    start_count = delivered()
    subprocess.run(["sync"], check=True)
    each = messages // SESSIONS
    before = server.cpu()
    begun = time.monotonic()
    sources = [
        subprocess.Popen(
            [
                "smtp-source",
                "-s",
                "1",
                "-m",
                str(each),
                "-l",
                str(MESSAGE_BYTES),
                "-f",
                "sender@bench.example",
                "-t",
                f"{name}@bench.example",
                f"inet:127.0.0.1:{server.port}",
            ],
            stdout=subprocess.DEVNULL,
        )
        for name in USERS
    ]
    for source in sources:
        if source.wait(LIMIT_SECONDS) != 0:
            raise SystemExit(f"smtp-source failed against {server.name}")
    accepted = time.monotonic()
    while delivered() - start_count < each * SESSIONS:
        if time.monotonic() - begun > LIMIT_SECONDS:
            raise SystemExit(
                f"{server.name}: {delivered() - start_count} of {each * SESSIONS} messages after {LIMIT_SECONDS} s"
            )
        time.sleep(0.02)
    done = time.monotonic()
    time.sleep(0.3)
    after = server.cpu()
    count = each * SESSIONS
    user, system = after[0] - before[0], after[1] - before[1]
    return Result(
        server.name,
        count / (accepted - begun),
        count / (done - begun),
        (user + system) / count * 1000,
        user / count * 1000,
        system / count * 1000,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=6000)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--only", choices=("tayori", "postfix"), default="")
    options.add_argument("--keep-users", action="store_true")
    options.add_argument("--json", default="")
    chosen = options.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: run as root (it makes 20 users, and Postfix needs it)")
    for program in ("smtp-source", "postfix"):
        if not shutil.which(program) and not Path(f"/usr/sbin/{program}").exists():
            raise SystemExit(f"bench: {program} is missing: apt-get install postfix")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    make_users()
    root = Path(tempfile.mkdtemp(prefix="tayori-bench-", dir="/var/tmp"))
    root.chmod(0o755)
    names = [chosen.only] if chosen.only else ["postfix", "tayori"]
    servers = [Server(name, root / name, free_port()) for name in names]
    results: list[Result] = []
    try:
        for server in servers:
            server.start()
        for server in servers:
            load(server, min(chosen.messages, 1000))
        for number in range(chosen.runs):
            for server in servers:
                result = load(server, chosen.messages)
                results.append(result)
                print(
                    f"run {number + 1} {result.server:8} accepted {result.accepted:7.0f}/s  end to end "
                    f"{result.delivered:7.0f}/s  CPU {result.cpu:5.2f} s per 1,000 "
                    f"({result.user:.2f} user, {result.system:.2f} system)",
                    flush=True,
                )
    finally:
        for server in servers:
            server.stop()
        clear_mail()
        if not chosen.keep_users:
            remove_users()
        shutil.rmtree(root, ignore_errors=True)
    summary(results)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps([asdict(r) for r in results], indent=1))


def summary(results: list[Result]) -> None:
    medians: dict[str, float] = {}
    for name in dict.fromkeys(r.server for r in results):
        rates = sorted(r.delivered for r in results if r.server == name)
        cpu = statistics.median(r.cpu for r in results if r.server == name)
        medians[name] = statistics.median(rates)
        print(f"{name:8} median {medians[name]:7.0f}/s end to end (from {rates[0]:.0f} to {rates[-1]:.0f}), "
              f"CPU {cpu:.2f} s per 1,000")  # fmt: skip
    if len(medians) == 2:
        print(f"ratio    {medians['tayori'] / medians['postfix']:.2f} x Postfix end to end")


if __name__ == "__main__":
    main()
