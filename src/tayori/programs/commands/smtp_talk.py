"""One SMTP dialogue as a person would type it: for test-mail and the home server's first letter.

Deliberately small and blocking; the server's own client for real mail is delivery/smtp.py. Passwords never appear
in what is shown.
"""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from tayori.programs.language import ENGLISH, N_, Language

TIMEOUT = 30.0
CLOSED = N_("the connection was closed")
Show = Callable[[str, str], None]
"""Called with "S" or "C" and one line, without its end."""


def silent(who: str, line: str) -> None:
    """Shows nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: its code, and its lines without the code. `code` 0: the server hung up."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """As one line."""
        return f"{self.code} {' '.join(self.lines)}" if self.code else CLOSED

    @property
    def good(self) -> bool:
        """2xx or 3xx."""
        return 200 <= self.code < 400


class Talk:
    """A session. Raises OSError when the server cannot be reached, does not answer, or TLS fails."""

    def __init__(
        self, host: str, port: int, show: Show = silent, tls: ssl.SSLContext | None = None, say: Language = ENGLISH
    ) -> None:
        """`tls` given: TLS from the first byte."""
        self._show = show
        self._say = say
        self._socket: socket.socket = socket.create_connection((host, port), TIMEOUT)
        self._host = host
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        self._buffer = b""
        self.features: dict[str, str] = {}

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._socket.close()

    def answer(self) -> Answer:
        """Read one reply."""
        lines: list[str] = []
        while True:
            while b"\n" not in self._buffer:
                chunk = self._socket.recv(4096)
                if not chunk:
                    return Answer(0, tuple(lines))
                self._buffer += chunk
            raw, _, self._buffer = self._buffer.partition(b"\n")
            line = raw.decode("utf-8", "replace").rstrip("\r")
            self._show("S", line)
            lines.append(line[4:])
            if line[3:4] != "-":
                return Answer(int(line[:3]) if line[:3].isdigit() else 0, tuple(lines))

    def say(self, line: str, shown: str = "") -> Answer:
        """Send one command, read its reply; `shown` stands in for a line that holds a secret."""
        self._show("C", shown or line)
        self._socket.sendall(line.encode() + b"\r\n")
        return self.answer()

    def ehlo(self, name: str = "localhost") -> Answer:
        """EHLO; fills `features`."""
        answer = self.say(f"EHLO {name}")
        self.features = {}
        for line in answer.lines[1:]:
            word, _, rest = line.partition(" ")
            self.features[word.upper()] = rest
        return answer

    def starttls(self, context: ssl.SSLContext) -> Answer:
        """STARTTLS and the handshake; say EHLO again afterwards."""
        answer = self.say("STARTTLS")
        if answer.good:
            self._socket = context.wrap_socket(self._socket, server_hostname=self._host)
            self._buffer = b""
            say = self._say
            self._show("", say("(encrypted from here on: {version})", version=self.encryption()))
        return answer

    def encryption(self) -> str:
        """The TLS version in use, "" in the clear."""
        return (self._socket.version() or "") if isinstance(self._socket, ssl.SSLSocket) else ""

    def login(self, user: str, password: str) -> Answer:
        """AUTH PLAIN (RFC 4616)."""
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        say = self._say
        secret = say("(name {user} and the password)", user=user)
        return self.say(f"AUTH PLAIN {token}", shown=f"AUTH PLAIN {secret}")

    def send(self, sender: str, recipient: str, content: str) -> Answer:
        """One message; the reply that ends it, good or not."""
        eight = " BODY=8BITMIME" if not content.isascii() and "8BITMIME" in self.features else ""
        for line in (f"MAIL FROM:<{sender}>{eight}", f"RCPT TO:<{recipient}>", "DATA"):
            answer = self.say(line)
            if not answer.good:
                return answer
        body = "".join(f"{'.' if row.startswith('.') else ''}{row}\r\n" for row in content.splitlines())
        say = self._say
        self._show("C", say("(the letter, {size} octets, then a dot on a line of its own)", size=len(body)))
        self._socket.sendall(body.encode() + b".\r\n")
        return self.answer()
