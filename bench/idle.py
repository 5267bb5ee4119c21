"""Memory of idle sessions: `python bench/idle.py [sessions]` (10,000). The goal is 10,000 under 600 MiB.

Starts a server of its own on loopback, opens the sessions (each has said EHLO), and prints what the processes use:
proportional set size, so that memory they share counts once. Needs a descriptor per session on each side: sessions
come from child processes, from several loopback addresses.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.server import Server

PER_CHILD = 4000


def proportional(pid: int) -> int:
    """Bytes of proportional set size."""
    for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if row.startswith("Pss:"):
            return int(row.split()[1]) * 1024
    return 0


def used(server: Server) -> dict[str, int]:
    assert server.process is not None
    pids = {server.process.pid: "master", **server.children()}
    return {f"{what} {pid}": proportional(pid) for pid, what in pids.items()}


def hold(port: int, count: int, address: str, ready: int, end: int) -> None:
    """In a child: open the sessions, say so, hold them until told to end."""
    held = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port), 30, (address, 0))
        assert sock.recv(500).startswith(b"220")
        sock.sendall(b"EHLO idle.example\r\n")
        assert sock.recv(2000).startswith(b"250")
        held.append(sock)
    os.write(ready, b"1")
    os.read(end, 1)
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sessions", nargs="?", type=int, default=10_000)
    count = parser.parse_args().sessions
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    settings = {"smtpd_client_connection_count_limit": "0", "smtpd_timeout": "3600s"}
    with tempfile.TemporaryDirectory(prefix="ty-", dir="/tmp", ignore_cleanup_errors=True) as folder:  # noqa: SIM117
        with Server(Path(folder), settings) as server:
            before = used(server)
            (ready, say_ready), (end, say_end) = os.pipe(), os.pipe()
            children = []
            for at, start in enumerate(range(0, count, PER_CHILD)):
                pid = os.fork()
                if pid == 0:
                    os.close(say_end)
                    hold(server.port, min(PER_CHILD, count - start), f"127.0.1.{at + 1}", say_ready, end)
                children.append(pid)
            for _ in children:
                os.read(ready, 1)
            after = used(server)
            reply = server.send("a@b.example", "taro@example.com")
            os.close(say_end)
            for pid in children:
                os.waitpid(pid, 0)
    total, was = sum(after.values()), sum(before.values())
    for name in after:
        print(f"{name}: {before.get(name, 0) / 2**20:.1f} -> {after[name] / 2**20:.1f} MiB")
    print(f"{count} idle sessions: {total / 2**20:.0f} MiB in all, {(total - was) / count / 1024:.1f} KiB each")
    print(f"and mail still comes in: {reply}")


if __name__ == "__main__":
    main()
