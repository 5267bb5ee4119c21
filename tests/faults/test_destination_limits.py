"""The limits of one destination hold over all workers, also while workers die and are replaced."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

from faults.test_processes import until
from support.server import Server
from support.sink import Sink

SETTINGS = {
    "tayori_workers": "3", "smtpd_client_connection_count_limit": "0", "smtp_connection_cache_on_demand": "no",
    "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s",
}  # fmt: skip


class Busy:
    """Counts transactions under way at a sink, from MAIL to the dot, and notes when each began."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.begun: list[float] = []
        self.ended: list[float] = []
        self._lock = threading.Lock()

    def mail(self, _: str) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.begun.append(time.monotonic())

    def dot(self, _: str) -> None:
        with self._lock:
            self.now -= 1
            self.ended.append(time.monotonic())


def send(server: Server, count: int) -> None:
    """Many connections, so that all workers get some."""

    def one(number: int) -> None:
        assert server.send("a@b.example", f"u{number}@elsewhere.example").startswith("250")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_concurrency_over_all_workers(tmp_path: Path) -> None:
    busy, count = Busy(), 60
    with Sink(answers={"MAIL": busy.mail, ".": busy.dot}, delay=0.02) as sink:
        settings = {**SETTINGS, "relayhost": f"[127.0.0.1]:{sink.port}", "smtp_destination_concurrency_limit": "4"}
        with Server(tmp_path, settings) as server:
            send(server, count)
            sink.wait(count, 60)
            pids = set(re.findall(r"postfix/smtp\[(\d+)\]", server.log()))
    assert len(pids) > 1, "one worker alone proves nothing"
    assert 1 < busy.most <= 4, "a crowded machine may not reach the limit; nothing may go beyond it"


def test_a_killed_worker_gives_its_places_back(tmp_path: Path) -> None:
    """All places are held by deliveries that hang in workers that are killed: the others go on."""
    hang = {"on": True}
    with Sink(answers={"MAIL": lambda _: "hang" if hang["on"] else None}) as sink:
        settings = {**SETTINGS, "relayhost": f"[127.0.0.1]:{sink.port}", "smtp_destination_concurrency_limit": "2"}
        with Server(tmp_path, settings) as server:
            send(server, 12)
            until("both places are taken", lambda: sum("MAIL" in line for _, line in sink.commands) == 2)
            time.sleep(0.5)
            assert sum("MAIL" in line for _, line in sink.commands) == 2
            hang["on"] = False
            for pid in server.children("worker"):
                os.kill(pid, signal.SIGKILL)
            assert len({m.recipients for m in sink.wait(12, 40)}) == 12


def test_a_rate_delay_over_all_workers(tmp_path: Path) -> None:
    busy, count = Busy(), 5
    with Sink(answers={"MAIL": busy.mail, ".": busy.dot}) as sink:
        settings = {**SETTINGS, "relayhost": f"[127.0.0.1]:{sink.port}", "smtp_destination_rate_delay": "1s"}
        with Server(tmp_path, settings) as server:
            send(server, count)
            sink.wait(count, 40)
    assert busy.most == 1
    gaps = [begun - ended for ended, begun in zip(busy.ended, busy.begun[1:], strict=False)]
    assert len(gaps) == count - 1 and min(gaps) > 0.95, gaps


def test_a_transport_rate_delay_over_all_destinations(tmp_path: Path) -> None:
    busy, count = Busy(), 4
    answers = {"MAIL": busy.mail, ".": busy.dot}
    with Sink(answers=answers) as sink, Sink(host="127.0.0.2", port=sink.port, answers=answers) as second:
        maps = f"inline:{{ d0.example=smtp:[127.0.0.1]:{sink.port}, d1.example=smtp:[127.0.0.2]:{sink.port} }}"
        settings = {**SETTINGS, "transport_maps": maps, "smtp_transport_rate_delay": "1s"}
        with Server(tmp_path, settings) as server:
            for number in range(count):
                assert server.send("a@b.example", f"u{number}@d{number % 2}.example").startswith("250")
            sink.wait(count // 2, 40)
            second.wait(count // 2, 40)
    assert busy.most == 1
    gaps = [begun - ended for ended, begun in zip(busy.ended, busy.begun[1:], strict=False)]
    assert len(gaps) == count - 1 and min(gaps) > 0.95, gaps
