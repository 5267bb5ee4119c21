"""Cyrus's saslauthd and ours beside each other: the same questions in raw octets, the same signals, the same cache.

Where ours answers otherwise on purpose, DIFFERENT has the reason.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.sasl.peers import PASSWORD, running, short_folder, system_user, wait_for
from support.peers import need_root, require

USER = "tayoriside"
OURS = "import sys;from tayori.programs.commands.saslauthd import main;sys.exit(main(sys.argv[1:]))"


def command(which: str) -> list[str]:
    return [require("saslauthd", "sasl2-bin")] if which == "cyrus" else [sys.executable, "-c", OURS]


@contextmanager
def daemon(which: str, *flags: str) -> Iterator[tuple[Path, int]]:
    with short_folder() as folder:
        start = [*command(which), "-a", "shadow", "-d", "-m", str(folder), "-n", "2", *flags]
        with running(*start, log=folder / "log") as process:
            wait_for((folder / "mux").exists)
            wait_for(lambda: ask(folder / "mux", question("x", "x")) != b"gone")
            yield folder, process.pid
            assert b"Secret" not in (folder / "log").read_bytes() and b"gehe1m" not in (folder / "log").read_bytes()


def question(login: str, password: str, service: str = "smtp", realm: str = "", parts: int = 4) -> bytes:
    texts = [text.encode() for text in (login, password, service, realm)][:parts]
    return b"".join(struct.pack("!H", len(text)) + text for text in texts)


def ask(path: Path, data: bytes, slowly: bool = False, ends: bool = False) -> bytes:
    """All that comes back; "gone" when nobody listens."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(15)
        try:
            sock.connect(str(path))
            for piece in [bytes((octet,)) for octet in data] if slowly else [data]:
                sock.sendall(piece)
            if ends:
                sock.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := sock.recv(1000):
                answer += piece
        except (ConnectionError, FileNotFoundError):
            return b"gone"
        return answer


def kind(answer: bytes) -> str:
    """The answer that counts: Cyrus says why it refuses (name or password), which we do not tell."""
    if not answer or answer == b"gone":
        return answer.decode()
    assert int.from_bytes(answer[:2], "big") == len(answer) - 2
    return answer[2:4].decode()


GOOD = (USER, PASSWORD)
QUESTIONS: dict[str, bytes] = {
    "right": question(*GOOD),
    "wrong": question(USER, "x"),
    "unknown": question("nobody-here", "x"),
    "locked": question("daemon", ""),
    "with a realm": question(*GOOD, realm="r"),
    "no service": question(*GOOD, service=""),
    "no password": question(USER, ""),
    "no name": question("", PASSWORD),
    "name with a realm in it": question(f"{USER}@r", PASSWORD),
    "octets behind it": question(*GOOD) + b"zzz",
    "256 octets": question(USER, "x" * 256),
    "257 octets": question(USER, "x" * 257),
    "a name of 257": question("u" * 257, PASSWORD),
    "NUL in the password": question(USER, f"{PASSWORD}\0x"),
    "NUL in the name": question(f"{USER}\0x", PASSWORD),
    "a service of 300": question(*GOOD, service="s" * 300),
    "a realm of 300": question(*GOOD, realm="r" * 300),
    "an impossible length": b"\xff\xff" + b"a" * 10,
}
ENDED: dict[str, bytes] = {"nothing": b"", "half": question(*GOOD)[:9], "three parts": question(*GOOD, parts=3)}
DIFFERENT = {
    "NUL in the password": ("OK", "NO", "Cyrus compares up to the NUL; another password is another password"),
    "NUL in the name": ("OK", "NO", "the same for names"),
    "a service of 300": ("NO", "OK", "Cyrus holds 256 octets of each part; ours are not so short"),
    "a realm of 300": ("NO", "OK", "the same"),
}


def answers(which: str) -> dict[str, str]:
    with daemon(which) as (folder, _):
        found = {name: kind(ask(folder / "mux", data)) for name, data in QUESTIONS.items()}
        found |= {f"{name}, then the end": kind(ask(folder / "mux", data, ends=True)) for name, data in ENDED.items()}
        found["octet by octet"] = kind(ask(folder / "mux", question(*GOOD), slowly=True))
    with daemon(which, "-r") as (folder, _):
        found["-r, no realm"] = kind(ask(folder / "mux", question(*GOOD)))
        found["-r, a realm"] = kind(ask(folder / "mux", question(*GOOD, realm="r")))
    return found


def signals(which: str) -> dict[str, object]:
    """Whether it serves after a signal, what is left in the folder, and whether it starts over what was left."""
    found: dict[str, object] = {}
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with daemon(which) as (folder, pid):
            found[f"mode before {number.name}"] = stat.filemode((folder / "mux").stat().st_mode)
            if number is signal.SIGKILL:  # Cyrus's other processes would live on, and may hold the lock of the socket
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
            time.sleep(0.4)
            if number is not signal.SIGKILL:
                found[f"after {number.name}"] = kind(ask(folder / "mux", question(*GOOD)))
            if number is signal.SIGTERM:
                found["left"] = (folder / "mux").exists()
            if number is signal.SIGKILL:
                again = [*command(which), "-a", "shadow", "-d", "-m", str(folder), "-n", "2"]
                with running(*again):
                    wait_for(lambda: ask(folder / "mux", question(*GOOD)) != b"gone")
                    found["over a stale socket"] = kind(ask(folder / "mux", question(*GOOD)))
    return found


def cache(which: str) -> list[str]:
    """What is said while the password changes behind the cache's back."""
    found = []
    with daemon(which, "-c", "-t", "6", "-s", "64") as (folder, _):

        def say(password: str) -> None:
            found.append(kind(ask(folder / "mux", question(USER, password))))

        say("gehe1m")
        say(PASSWORD)
        subprocess.run([require("chpasswd")], input=f"{USER}:gehe1m\n".encode(), check=True, capture_output=True)
        say(PASSWORD)  # still in the cache
        say("gehe1m")
        time.sleep(7.2)  # chpasswd alone may take seconds on a crowded machine
        say(PASSWORD)
        say("gehe1m")
    subprocess.run([require("chpasswd")], input=f"{USER}:{PASSWORD}\n".encode(), check=True, capture_output=True)
    return found


@pytest.mark.root
@pytest.mark.peer
def test_the_same_answers() -> None:
    need_root("shadow passwords")
    require("saslauthd", "sasl2-bin")
    with system_user(USER):
        theirs, ours = answers("cyrus"), answers("tayori")
    differing = {name: (theirs[name], ours[name]) for name in theirs if theirs[name] != ours[name]}
    assert differing == {name: (a, b) for name, (a, b, _) in DIFFERENT.items()}
    assert theirs["right"] == "OK" and theirs["wrong"] == "NO" and theirs["half, then the end"] == ""


@pytest.mark.root
@pytest.mark.peer
def test_the_same_after_signals_and_with_a_cache() -> None:
    need_root("shadow passwords")
    require("saslauthd", "sasl2-bin")
    with system_user(USER):
        assert signals("tayori") == signals("cyrus")
        assert cache("tayori") == cache("cyrus")
