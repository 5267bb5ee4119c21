"""-o settings of master.cf's pickup service: mail from sendmail goes another way than mail from the network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
"""


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    main = {"header_checks": "regexp:{{/^X-Bad:/ REJECT not here}}", "tayori_workers": "1"}
    with Server(tmp_path, main, MASTER.rstrip("\n") + request.param) as made:
        yield made


def local(server: Server, text: str) -> int:
    return server.command("sendmail", "-C", str(server.conf), "taro@example.com", stdin=text).returncode


@pytest.mark.parametrize("server", [" -o content_filter=discard:\n"], indirect=True)
def test_content_filter(server: Server) -> None:
    assert local(server, "Subject: local\n\nhello\n") == 0
    server.wait_log("relay=none, delay=")
    assert server.send("a@b.example", "taro@example.com").startswith("250")
    server.wait_mail("taro")
    (sent,) = [line for line in server.log().splitlines() if "postfix/discard" in line]
    assert "to=<taro@example.com>" in sent and "status=sent" in sent


@pytest.mark.parametrize("server", [" -o receive_override_options=no_header_body_checks\n"], indirect=True)
def test_receive_override_options(server: Server) -> None:
    assert server.send("a@b.example", "taro@example.com", "X-Bad: 1\r\n\r\nhello").startswith("550 5.7.1 not here")
    assert local(server, "X-Bad: 1\n\nhello\n") == 0
    server.wait_mail("taro")


OTHER = " -o cleanup_service_name=other\nother unix n - n - 0 cleanup -o always_bcc=hanako@example.com\n"


@pytest.mark.parametrize("server", [OTHER], indirect=True)
def test_cleanup_service(server: Server) -> None:
    assert server.send("a@b.example", "taro@example.com").startswith("250")
    server.wait_mail("taro")
    assert local(server, "Subject: local\n\nhello\n") == 0
    server.wait_mail("taro", 2)
    server.wait_mail("hanako")
    assert len(server.mailbox("hanako")) == 1
