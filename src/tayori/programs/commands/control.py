"""What sendmail, mailq and their kin share: which configuration, and one conversation with the running server.

The server listens on the Unix socket `$queue_directory/tayori/public/submit`; it knows who asks (SO_PEERCRED) and
decides what they may do. Frames as in programs/ipc.py.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.net.unixpath import short
from tayori.programs import ipc
from tayori.programs.daemons.layout import Layout
from tayori.programs.language import ENGLISH, N_, Language

EX_OK, EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE = 0, 64, 65, 66, 69
EX_SOFTWARE, EX_OSERR, EX_CANTCREAT, EX_IOERR, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 70, 71, 73, 74, 75, 77, 78

TIMEOUT = 300.0
"""Seconds without a sign of life from the server."""
PAGE = 500
"""Messages asked for at a time."""


class Failed(Exception):
    """A command ends: `code` is its exit status (sysexits), the text is for the user."""

    def __init__(self, text: str, code: int) -> None:
        self.code = code
        super().__init__(text)


class ServerDown(Failed):
    """Nobody listens on the socket."""


def default_directory() -> str:
    """Without -c: MAIL_CONFIG, else /etc/tayori if it has a main.cf, else /etc/postfix likewise, else /etc/tayori."""
    given = os.environ.get("MAIL_CONFIG", "")
    standard = ("/etc/tayori", "/etc/postfix")
    return given or next((name for name in standard if os.path.exists(f"{name}/main.cf")), standard[0])


NO_CONFIGURATION = N_(
    "there is no configuration: no {directory}/main.cf; write a first one with: tayori init -c {directory}, "
    "or name the folder of yours with -c"
)


def no_configuration(directory: str, say: Language = ENGLISH) -> str:
    """What to say when there is no main.cf at all; empty when there is one."""
    return "" if os.path.lexists(f"{directory}/main.cf") else say(NO_CONFIGURATION, directory=directory)


def configuration(given: str) -> Settings:
    """By `-C`/`-c` (a directory, or a main.cf), MAIL_CONFIG, /etc/tayori, /etc/postfix. Raises Failed."""
    directory = given or default_directory()
    if os.path.basename(directory) == "main.cf":
        directory = os.path.dirname(directory) or "."
    try:
        return Settings.read(Path(directory), probe())
    except ConfigError as error:
        raise Failed(no_configuration(directory) or str(error), EX_CONFIG) from error
    except OSError as error:
        raise Failed(f"open {directory}/main.cf: {error.strerror}", EX_CONFIG) from error


def state_directory(settings: Settings) -> str:
    """`$queue_directory/tayori`."""
    return str(Layout.of(settings).root)


def connect(settings: Settings) -> socket.socket:
    """The server's socket. Raises ServerDown."""
    path = f"{state_directory(settings)}/public/submit"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(TIMEOUT)
    try:
        with short(path) as name:
            sock.connect(name)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        sock.close()
        start = f"tayori start -c {settings.directory}"
        raise ServerDown(f"the mail system is down: nobody answers at {path}; start it with: {start}",
                         EX_UNAVAILABLE) from error  # fmt: skip
    except OSError as error:
        sock.close()
        raise Failed(f"{path}: {error.strerror or error}", EX_UNAVAILABLE) from error
    return sock


def ask(sock: socket.socket, question: dict[str, object], content: bytes | None = None) -> dict[str, object]:
    """One question (and a content frame), one answer, `ok` or not. Raises Failed when the server goes away."""
    try:
        ipc.send(sock, ipc.encode(question))
        if content is not None:
            ipc.send(sock, content)
    except BrokenPipeError:
        pass
    except OSError as error:
        raise Failed(f"the server does not take it: {error.strerror or error}", EX_TEMPFAIL) from error
    try:
        payload = ipc.receive(sock)
        if payload is None:
            raise Failed("the server went away without an answer", EX_TEMPFAIL)
        return ipc.as_dict(payload)
    except (OSError, ipc.BadFrame) as error:
        raise Failed(f"no answer from the server: {error}", EX_TEMPFAIL) from error


def demand(sock: socket.socket, question: dict[str, object]) -> dict[str, object]:
    """Like `ask`, for an answer that must be `ok`. Raises Failed with the server's own words and code."""
    answer = ask(sock, question)
    if not answer.get("ok", True):
        code = answer.get("code")
        text = str(answer.get("error") or "the server refused")
        raise Failed(text, code if isinstance(code, int) and 0 < code < 256 else EX_UNAVAILABLE)
    return answer


def content(sock: socket.socket) -> Iterator[bytes]:
    """The pieces of content that follow the answer to `content`. Raises Failed when the server goes away."""
    while True:
        try:
            piece = ipc.receive(sock)
        except (OSError, ipc.BadFrame) as error:
            raise Failed(f"no answer from the server: {error}", EX_TEMPFAIL) from error
        if piece is None:
            raise Failed("the server went away in the middle of the message", EX_TEMPFAIL)
        if not piece:
            return
        yield piece


def queue(sock: socket.socket) -> Iterator[dict[str, object]]:
    """Every queued message, page by page, in the order of their numbers. Raises Failed."""
    after = 0
    while True:
        answer = demand(sock, {"op": "queue", "after": after, "limit": PAGE})
        messages = answer.get("messages")
        if not isinstance(messages, list):
            raise Failed("the server's answer has no messages", EX_SOFTWARE)
        yield from messages
        last = messages[-1].get("number") if messages else None
        if not answer.get("more") or not isinstance(last, int) or last <= after:
            return
        after = last


def queue_name(message: dict[str, object]) -> str:
    """The name of the queue that Postfix would have it in."""
    if message.get("hold"):
        return "hold"
    return "active" if message.get("active") else "deferred"


_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def shown(text: object) -> str:
    """A text from mail, safe for a terminal."""
    return _UNSHOWN.sub("?", str(text))


def complain(program: str, text: str) -> None:
    """One line on standard error, as Postfix's tools write it."""
    print(f"{program}: {text}", file=sys.stderr)
