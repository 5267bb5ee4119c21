from __future__ import annotations

import pytest

from tayori.protocol import dovecot_auth as wire

HELLO = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tSCRAM-SHA-256\tdictionary\tmutual-auth\nSPID\t1\nCUID\t2\nCOOKIE\tx\nDONE\n"


def test_handshake_in_any_pieces() -> None:
    for size in (1, 3, 1000):
        reader = wire.Reader()
        events = [e for at in range(0, len(HELLO), size) for e in reader.feed(HELLO[at : at + size])]
        assert len(events) == 1 and isinstance(events[0], wire.Ready)
        plain, scram = events[0].mechanisms
        assert plain.refused_by(frozenset({"noplaintext"})) == "noplaintext"
        assert scram.refused_by(frozenset({"noplaintext", "mutual_auth"})) == ""
        assert plain.refused_by(frozenset({"mutual_auth"})) == "mutual_auth"


def test_answers() -> None:
    reader = wire.Reader()
    assert reader.feed(
        b"CONT\t7\taGk=\nOK\t8\tuser=ta\x01tro\tresp=dj0x\nFAIL\t9\tuser=x\ttemp\nFAIL\t10\tcode=temp_fail\nNEW\tx\n"
    ) == [
        wire.Continue(7, b"hi"),
        wire.Accepted(8, "ta\tro", b"v=1"),
        wire.Failed(9, "x", "", True),
        wire.Failed(10, "", "temp_fail", True),
    ]


def test_what_is_sent() -> None:
    assert wire.auth(3, "PLAIN", b"\0a\0b", service="smtp", secured=True, remote="192.0.2.1") == (
        b"AUTH\t3\tPLAIN\tservice=smtp\tnologin\trip=192.0.2.1\tsecured\tresp=AGEAYg==\n"
    )
    assert wire.auth(3, "LOGIN", None, service="s\tx", secured=False) == b"AUTH\t3\tLOGIN\tservice=s\x01tx\tnologin\n"
    assert wire.cont(3, b"") == b"CONT\t3\t\n"


@pytest.mark.parametrize(
    "bad", [b"VERSION\t2\t0\n", b"DONE\n", b"CONT\tx\t\n", b"CONT\t1\t!\n", b"OK\n", b"x" * 40000]
)
def test_bad_servers(bad: bytes) -> None:
    with pytest.raises(wire.ProtocolError):
        wire.Reader().feed(bad)
