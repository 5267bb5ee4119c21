"""A tiny DNS server on loopback for tests: `with DnsServer({("example.com", "MX"): ["10 mx.example.com."]}) as dns:`.

A zone value may be "SERVFAIL" or "TIMEOUT" instead of a list; a name that has no record at all is NXDOMAIN.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zones = Mapping[tuple[str, str], "list[str] | str"]


class DnsServer:
    """Answers from a dict over UDP, in a thread of its own. `asked` counts questions."""

    def __init__(self, zones: Zones, ttl: int = 60, host: str = "127.0.0.1", port: int = 0) -> None:
        self.zones = {(name.lower(), kind): value for (name, kind), value in zones.items()}
        self.ttl = ttl
        self.asked: list[tuple[str, str]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> DnsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._socket.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                wire, peer = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            reply = self._answer(dns.message.from_wire(wire))
            if reply is not None:
                self._socket.sendto(reply.to_wire(), peer)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text(True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        value = self.zones.get((name, kind))
        if value is None and ("*", "") in self.zones:
            value = self.zones["*", ""]
        if value == "TIMEOUT":
            return None
        if value == "SERVFAIL":
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif value is None:
            if not any(zone == name for zone, _ in self.zones):
                reply.set_rcode(dns.rcode.NXDOMAIN)
        else:
            reply.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *value))
        return reply
