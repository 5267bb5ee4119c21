"""Servers of tcp: and socketmap: tables that answer by the key, well and badly, for tests/parity/differential_tables.py."""

from __future__ import annotations

import socketserver
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from support.database_grammar import Place
from support.small_grammar import MAP_REPLIES, TCP_REPLIES


class _Tcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline(8192):
            reply = TCP_REPLIES[zlib.crc32(line.strip()) % len(TCP_REPLIES)]
            self.wfile.write(reply.encode() + b"\n")


class _Socketmap(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while head := self._until_colon():
            body = self.rfile.read(int(head) + 1)[:-1]
            reply = MAP_REPLIES[zlib.crc32(body) % len(MAP_REPLIES)].encode("utf-8", "surrogateescape")
            self.wfile.write(b"%d:%s," % (len(reply), reply))

    def _until_colon(self) -> bytes:
        digits = b""
        while (char := self.rfile.read(1)) not in (b":", b""):
            digits += char
        return digits


class _Inet(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle of an odd answer is what is looked for."""

    daemon_threads = True
    request_queue_size = 64


class _Unix(socketserver.ThreadingUnixStreamServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """As above."""

    daemon_threads = True
    request_queue_size = 64


@contextmanager
def running() -> Iterator[Place]:
    """All three, on ports of their own."""
    with tempfile.TemporaryDirectory(prefix="tayori-odd-") as folder:
        path = f"{folder}/s"
        servers = [_Inet(("127.0.0.1", 0), _Tcp), _Inet(("127.0.0.1", 0), _Socketmap), _Unix(path, _Socketmap)]
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield {
                "tcp": str(servers[0].server_address[1]),
                "socketmap": str(servers[1].server_address[1]),
                "path": path,
            }
        finally:
            for server in servers:
                server.shutdown()
                server.server_close()
