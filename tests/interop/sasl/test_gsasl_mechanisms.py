"""GNU SASL's `gsasl` as client against our servers, over its standard streams."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from support.mechanisms import answer, server_context
from support.peers import require
from tayori.sasl.mechanisms import MECHANISMS
from tayori.sasl.steps import Challenge, Failure, Success

pytestmark = pytest.mark.peer

USERS = {"taro": "himitsu"}
COMMON = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]
HOST = "mail.example.jp"


@contextmanager
def gsasl(side: str, mechanism: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A gsasl that speaks base64 lines; `timeout` ends it in any case."""
    program = require("gsasl")
    command = ["timeout", "20", program, f"--{side}", f"--mechanism={mechanism}", "--quiet", "--no-cb"]
    command += ["--service=smtp", f"--hostname={HOST}", "--quality-of-protection=qop-auth", *more]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


def say(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(base64.b64encode(data) + b"\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[bytes]) -> bytes:
    stream: IO[bytes] | None = process.stdout
    assert stream is not None
    for _ in range(20):
        line = stream.readline()
        if not line:
            break
        if line.strip() not in COMMON_NAMES:
            return base64.b64decode(line.strip(), validate=True)
    raise EOFError("gsasl has ended")


COMMON_NAMES = {name.encode() for name in MECHANISMS}


def our_server(mechanism: str, password: str) -> Success | Failure:
    with gsasl("client", mechanism, "--authentication-id=taro", f"--password={password}", f"--realm={HOST}") as peer:
        server = MECHANISMS[mechanism].server(server_context())
        first = hear(peer)  # an empty line where the mechanism lets the server begin
        step = server.next(first or None)
        for _ in range(10):
            if isinstance(step, (Success, Failure)):
                return step
            if isinstance(step, Challenge):
                say(peer, step.data)
                step = server.next(hear(peer))
            else:
                step = server.next(answer(step, USERS))
    raise AssertionError("the exchange does not end")


@pytest.mark.parametrize("mechanism", COMMON)
def test_gsasl_logs_in_here(mechanism: str) -> None:
    assert our_server(mechanism, "himitsu") == Success("taro")


@pytest.mark.parametrize("mechanism", COMMON)
def test_gsasl_with_a_wrong_password_does_not(mechanism: str) -> None:
    assert isinstance(our_server(mechanism, "himitsU"), Failure)
