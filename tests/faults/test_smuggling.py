"""SMTP smuggling: what ends a message, in each mode of smtpd_forbid_bare_newline, beside the real Postfix."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.policy.realpostfix import RealPostfix, usable
from support.peers import missing
from support.ports import free_port
from support.server import Server, read_replies

CORPUS = sorted((Path(__file__).parents[1] / "corpus" / "smuggling").glob("*.smtp"))
NAMES = [path.stem for path in CORPUS]
ENDS_ALWAYS = {"crlf-dot-crlf", "crcrlf-dot-crlf"}
"""Where the second transaction is real: CR CR LF is a stray CR, then a line end."""
ENDS_WHERE_BARE_COUNTS = ENDS_ALWAYS | {
    "lf-dot-lf",
    "lf-dot-crlf",
    "crlf-dot-lf",
    "lf-dot-cr-lf-lf",
    "crlf-dot-crcrlf",
}
WITH_BARE_LF = {"lf-dot-lf", "lf-dot-crlf", "crlf-dot-lf", "lf-dot-cr-lf-lf"}
PARAMETERS = {
    "smtpd_forbid_bare_newline_exclusions": "",
    "smtpd_forbid_unauth_pipelining": "no",
    "mydestination": "example.com",
    "local_recipient_maps": "",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
}


def codes(port: int, payload: bytes) -> list[str]:
    """The reply codes to what follows DATA."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock, sock.makefile("rb") as file:
        read_replies(file)
        for line in ("EHLO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<taro@example.com>", "DATA"):
            sock.sendall(line.encode() + b"\r\n")
            assert read_replies(file)[:1] in ("2", "3"), line
        sock.sendall(payload)
        found = []
        while reply := read_replies(file):
            found.append(reply[:3])
        return found


def expected(name: str, mode: str) -> list[str]:
    if name in WITH_BARE_LF and mode == "reject":
        # no end is seen before the true one, and then the whole is refused
        return ["550", "221"]
    ends = ENDS_WHERE_BARE_COUNTS if mode == "no" else ENDS_ALWAYS
    if name not in ends:
        return ["250", "221"]
    # an LF of its own after the end is an empty command
    return ["250", *(["500"] if name == "lf-dot-cr-lf-lf" else []), "250", "250", "354", "250", "221"]


MODES = ("no", "normalize", "note", "reject")


@pytest.fixture(scope="module", params=MODES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Server]]:
    settings = {**PARAMETERS, "smtpd_forbid_bare_newline": request.param}
    with Server(tmp_path_factory.mktemp("smuggling"), settings) as found:
        yield request.param, found


@pytest.mark.parametrize("path", CORPUS, ids=NAMES)
def test_what_ends_a_message(server: tuple[str, Server], path: Path) -> None:
    mode, running = server
    assert codes(running.port, path.read_bytes()) == expected(path.stem, mode)


def test_what_is_not_smuggled_is_content(server: tuple[str, Server]) -> None:
    _, running = server
    assert codes(running.port, (CORPUS[0].parent / "cr-dot-cr.smtp").read_bytes()) == ["250", "221"]
    deadline = time.monotonic() + 10
    while not (found := [c for c in map(Path.read_bytes, running.mailbox("taro")) if b"first . MAIL FROM" in c]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    content = found[0]
    assert b"second\n" in content and b"MAIL FROM:<evil@b.example>\n" in content
    # cleanup_replace_stray_cr_lf: a stray CR becomes a blank, so that nobody behind us takes it for a line end
    assert b"\r" not in content


@pytest.mark.parametrize("mode", ["no", "normalize", "reject"])
def test_the_real_postfix_says_the_same(mode: str) -> None:
    why = usable()
    if why:
        missing(why)
    with RealPostfix(free_port()) as peer:
        peer.configure(
            {
                **PARAMETERS, "mynetworks": "127.0.0.0/8", "smtpd_forbid_bare_newline": mode,
                "inet_protocols": "ipv4", "smtpd_peername_lookup": "no",
            }
        )  # fmt: skip
        found = {path.stem: codes(peer.port, path.read_bytes()) for path in CORPUS}
    wanted = {name: expected(name, mode) for name in NAMES}
    assert found == wanted
