"""A server socket that answers as told (an empty answer: it hangs up) and remembers what it was asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

from tayori.net.unixpath import short
from tayori.programs import ipc

Answer = Callable[[dict[str, object]], dict[str, object]]


class ServerStub:
    """Listens on QUEUE_DIRECTORY/tayori/public/submit; `asked` holds (question, content)."""

    def __init__(self, queue: Path, answer: Answer) -> None:
        self.asked: list[tuple[dict[str, object], bytes]] = []
        self._answer = answer
        path = queue / "tayori" / "public"
        path.mkdir(parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        with short(str(path / "submit")) as name:
            self._listener.bind(name)
        self._listener.listen(5)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(10)
                while (payload := ipc.receive(sock)) is not None:
                    question = ipc.as_dict(payload)
                    content = (ipc.receive(sock) or b"") if question["op"] == "submit" else b""
                    self.asked.append((question, content))
                    answer = self._answer(question)
                    if not answer:
                        break
                    pieces = answer.pop("pieces", [])
                    ipc.send(sock, ipc.encode(answer))
                    for piece in pieces:  # type: ignore[attr-defined]
                        ipc.send(sock, piece)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
