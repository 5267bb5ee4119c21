"""Free ports on loopback.

Below those that the kernel gives to clients, so that no connection takes one between the question and its use; and the
processes of one run of the tests ask in ranges of their own, for the same reason.
"""

from __future__ import annotations

import itertools
import os
import socket

FIRST, EACH, RANGES = 10_240, 2_700, 8
_number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % RANGES
_ports = (FIRST + _number * EACH + step % EACH for step in itertools.count(os.getpid() * 37))


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago; others follow before it is given again."""
    for port in itertools.islice(_ports, EACH):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
