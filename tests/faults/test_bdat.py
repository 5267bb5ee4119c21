"""BDAT with large content: whole when it ends well, and nothing left when it does not."""

from __future__ import annotations

import socket
from pathlib import Path

from faults.test_large import contents
from faults.test_processes import until
from support.server import Server

TEXT = b"Subject: chunks\r\n\r\n" + b"".join(b".%07d a line\r\n" % number for number in range(150_000))
"""Some 2.5 MB: a content file."""


class Talk:
    """A client that says bytes and reads replies."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), 20)
        self._replies = self.socket.makefile("rb")
        self.heard()
        self.says(b"EHLO client.example\r\n")
        assert self.heard()[-1] == b"250 CHUNKING"

    def says(self, data: bytes) -> None:
        self.socket.sendall(data)

    def heard(self) -> list[bytes]:
        """The lines of one reply."""
        lines = [self._replies.readline().rstrip()]
        while lines[-1][3:4] == b"-":
            lines.append(self._replies.readline().rstrip())
        return lines

    def asks(self, data: bytes) -> bytes:
        self.says(data)
        return self.heard()[-1]

    def begins(self) -> None:
        self.says(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<taro@example.com>\r\n")
        assert self.heard() + self.heard() == [b"250 2.1.0 Ok", b"250 2.1.5 Ok"]

    def close(self) -> None:
        self._replies.close()
        self.socket.close()


def test_large_chunks_come_whole_and_pipelined(tmp_path: Path) -> None:
    with Server(tmp_path, {"tayori_workers": "1"}) as server:
        client = Talk(server)
        client.begins()
        pieces = [TEXT[:1], TEXT[1:300_001], TEXT[300_001:300_001], TEXT[300_001:2_000_000], TEXT[2_000_000:]]
        chunks = [b"BDAT %d\r\n" % len(piece) + piece for piece in pieces if piece]
        client.says(b"".join(chunks) + b"BDAT 0 LAST\r\nNOOP\r\n")
        for piece in pieces:
            if piece:
                assert client.heard() == [b"250 2.0.0 Ok: %d bytes" % len(piece)]
        assert client.heard()[0].startswith(b"250 2.0.0 Ok: %d bytes queued as " % len(TEXT))
        assert client.heard() == [b"250 2.0.0 Ok"]
        (path,) = server.wait_mail("taro")
        assert path.read_bytes().partition(b"\n\n")[2] == TEXT.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
        until("the file is gone", lambda: not contents(server))
        client.close()


def test_what_does_not_end_leaves_nothing(tmp_path: Path) -> None:
    with Server(tmp_path, {"tayori_workers": "1"}) as server:
        for after in (b"BDAT 10\r\nabc", b"RSET\r\n", b"BDAT 0\r\n", b"EHLO other.example\r\n", b"BDAT nonsense\r\n"):
            client = Talk(server)
            client.begins()
            assert client.asks(b"BDAT %d\r\n" % len(TEXT) + TEXT) == b"250 2.0.0 Ok: %d bytes" % len(TEXT)
            assert len(contents(server)) == 1
            client.says(after)
            if after.startswith((b"RSET", b"BDAT 0", b"EHLO")):
                client.heard()
                until("the file is gone", lambda: not contents(server))
            client.close()
            until("the file is gone", lambda: not contents(server))
        assert f"lost connection after BDAT ({len(TEXT) + 3} bytes) from" in server.log()
        assert server.send("a@example.org", "taro@example.com").startswith("250")
        assert len(server.wait_mail("taro")) == 1


def test_more_than_the_limit_is_refused_without_being_kept(tmp_path: Path) -> None:
    settings = {"tayori_workers": "1", "message_size_limit": "3000000"}
    with Server(tmp_path, settings) as server:
        client = Talk(server)
        client.begins()
        assert client.asks(b"BDAT %d\r\n" % len(TEXT) + TEXT).startswith(b"250")
        assert client.asks(b"BDAT %d\r\n" % len(TEXT) + TEXT) == b"552 5.3.4 Chunk exceeds message size limit"
        until("the file is gone", lambda: not contents(server))
        assert client.asks(b"BDAT 6 LAST\r\nQUIT\r\n") == b"551 5.0.0 Discarded 6 bytes after earlier error"
        client.begins()
        assert client.asks(b"BDAT 6 LAST\r\na: b\r\n").startswith(b"250 2.0.0 Ok: 6 bytes queued as")
        # without a line end nothing may grow for ever
        client.begins()
        replies = [client.asks(b"BDAT 100000\r\n" + b"x" * 100_000) for _ in range(32)]
        assert replies[29].startswith(b"250") and replies[30].startswith(b"552") and replies[31].startswith(b"551")
        client.close()
