"""Private instances of the programs that keep passwords: each on loopback, in a temporary folder, ended at exit."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.peers import require

PASSWORD = "Secret-123"


def wait_for(test: Callable[[], bool], seconds: float = 15.0) -> None:
    """Poll until `test` is true."""
    until = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < until, "the peer did not start in time"
        time.sleep(0.05)


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(*command: str, log: Path | None = None, **more: object) -> Iterator[subprocess.Popen[bytes]]:
    """A program in the foreground, killed at the end."""
    out = open(log, "wb") if log else subprocess.DEVNULL  # noqa: SIM115
    more.setdefault("start_new_session", True)  # Cyrus's saslauthd ends its whole process group
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **more)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if log:
            out.close()  # type: ignore[union-attr]


@contextmanager
def postfix_started(folder: Path, port: int) -> Iterator[int]:
    """A real Postfix with the configuration in `folder`, answering on `port`."""
    command = [require("postfix"), "-c", str(folder)]
    subprocess.run([*command, "start"], check=True, capture_output=True, timeout=60)
    try:
        wait_for(lambda: connects(port))
        yield port
    finally:
        subprocess.run([*command, "stop"], capture_output=True, timeout=60)


@contextmanager
def short_folder(owner: str = "") -> Iterator[Path]:
    """A folder with a path short enough for a socket, readable for others."""
    path = Path(tempfile.mkdtemp(prefix="ty"))
    path.chmod(0o755)
    if owner and os.geteuid() == 0:
        shutil.chown(path, owner, owner)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def system_user(name: str) -> Iterator[str]:
    """A user of this machine, root's to make."""
    subprocess.run([require("userdel"), name], capture_output=True)
    subprocess.run([require("useradd"), "-M", "-s", "/usr/sbin/nologin", name], check=True, capture_output=True)
    subprocess.run([require("chpasswd")], input=f"{name}:{PASSWORD}\n".encode(), check=True, capture_output=True)
    try:
        yield name
    finally:
        subprocess.run([require("userdel"), name], capture_output=True)


@contextmanager
def tayori_saslauthd(folder: Path, *flags: str, **more: object) -> Iterator[Path]:
    """Ours, in the foreground; gives the socket. `more` goes to Popen."""
    command = (
        sys.executable,
        "-c",
        "import sys;from tayori.programs.commands.saslauthd import main;sys.exit(main(sys.argv[1:]))",
    )
    with running(*command, "-d", "-m", str(folder), *flags, log=folder / "log", **more):
        wait_for((folder / "mux").exists)
        yield folder / "mux"
