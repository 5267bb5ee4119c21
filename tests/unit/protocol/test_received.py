from __future__ import annotations

from tayori.protocol.received import Trace, received

SEEN = Trace("client.example", "host.example", "192.0.2.1", "mail.example", "Postfix", "ESMTPSA", "1A", "DATE", "b@x.example",
             "(using TLSv1.3 …)", "alice")  # fmt: skip


def test_the_client_is_shown() -> None:
    assert received(SEEN).decode() == (
        "Received: from client.example (host.example [192.0.2.1])\n\t(using TLSv1.3 …)\n\t(Authenticated sender: alice)\n"
        "\tby mail.example (Postfix) with ESMTPSA id 1A\n\tfor <b@x.example>; DATE\n"
    )


def test_the_client_is_hidden() -> None:
    hidden = Trace(**{name: getattr(SEEN, name) for name in Trace.__slots__} | {"hidden": True})
    assert received(hidden).decode() == "Received: by mail.example (Postfix) id 1A\n\tfor <b@x.example>; DATE\n"
