"""A policy server for tests (SMTPD_POLICY_README): answers from a text, on loopback, in threads of its own.

Each line of the text is `attribute=value … action`: the words with `=` in front must all hold of the request, what
follows is the action. The first line that holds answers; without one the answer is DUNNO.
"""

from __future__ import annotations

import socketserver
import threading

Rule = tuple[dict[str, str], str]


def rules_of(text: str) -> list[Rule]:
    """The lines as (wanted attributes, action)."""
    found = []
    for line in text.splitlines():
        wanted, rest = {}, line.strip()
        while rest and not rest.startswith("#"):
            word, _, after = rest.partition(" ")
            if "=" not in word:
                break
            name, _, value = word.partition("=")
            wanted[name], rest = value, after.lstrip()
        if rest and not rest.startswith("#"):
            found.append((wanted, rest))
    return found


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request: dict[str, str] = {}
        for raw in self.rfile:
            line = raw.decode("utf-8", "surrogateescape").rstrip("\n")
            if line:
                name, _, value = line.partition("=")
                request[name] = value
                continue
            rules: list[Rule] = self.server.rules  # type: ignore[attr-defined]
            action = next(
                (then for wanted, then in rules if all(request.get(n, "") == v for n, v in wanted.items())), "DUNNO"
            )
            self.wfile.write(f"action={action}\n\n".encode())
            request = {}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True


class PolicyServer:
    """`with PolicyServer(text, port):`"""

    def __init__(self, text: str, port: int) -> None:
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.rules = rules_of(text)  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> PolicyServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
