"""What `make run` does: a home server in one folder, and again, and a second one beside it."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import ssl
import subprocess
import sys
import time
from pathlib import Path

WORDS = [sys.executable, "-m", "tayori", "home-server", "--var"]


def start(var: Path, out: Path) -> subprocess.Popen[bytes]:
    with open(out, "wb") as file:
        return subprocess.Popen(
            [*WORDS, str(var)], stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=var.parent
        )


def wait(out: Path, text: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 40
    while text not in (said := out.read_text()):
        assert process.poll() is None and time.monotonic() < deadline, said
        time.sleep(0.05)
    return said


def end(process: subprocess.Popen[bytes], number: int) -> int:
    process.send_signal(number)
    return process.wait(40)


def test_run_run_again_and_twice(tmp_path: Path) -> None:
    var, out = tmp_path / "var", tmp_path / "out"
    process = start(var, out)
    try:
        said = wait(out, "It goes on serving", process)
        said = wait(out, "mailq -c", process)
        assert "AUTH PLAIN (name taro and the password)" in said and "235 2.7.0" in said and "STARTTLS" in said
        assert "| Subject: The first letter" in said and "with ESMTPSA id" in said
        (letter,) = (var / "home" / "taro" / "Maildir" / "new").iterdir()
        assert f"    var/{letter.relative_to(var)}" in said
        assert letter.stat().st_uid == os.geteuid()
        port = int(re.search(r"--server 127\.0\.0\.1:(\d+)", said)[1])  # type: ignore[index]
        password = (var / "password").read_text().strip()
        assert (var / "password").stat().st_mode & 0o777 == 0o600
        context = ssl.create_default_context(cafile=str(var / "conf" / "certificate.pem"))
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.starttls(context=context)
            assert client.login("taro", password)[0] == 235
            client.sendmail("taro@home.example", ["taro@home.example"], "Subject: by Python\n\nHello")
            client.mail("taro@home.example")
            code, text = client.rcpt("a@elsewhere.example")
            assert code == 550 and b"sends nothing to other machines" in text
        again = subprocess.run([*WORDS, str(var)], capture_output=True, text=True, timeout=60, check=False)
        assert again.returncode == 0 and "runs here already" in again.stdout and password in again.stdout
    finally:
        assert end(process, signal.SIGINT) == 0
    assert "Stopped. Everything is kept in" in out.read_text()
    process = start(var, out)
    try:
        wait(out, "mailq -c", process)
        assert (var / "password").read_text().strip() == password
        assert len(list((var / "home" / "taro" / "Maildir" / "new").iterdir())) == 3
    finally:
        assert end(process, signal.SIGTERM) == 0
