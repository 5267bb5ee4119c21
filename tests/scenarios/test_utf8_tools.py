"""Addresses in UTF-8 in the queue, the log, the history and the tools that show them, in any locale."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest

from support.ports import free_port
from support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(
        tmp_path_factory.mktemp("utf8"),
        {
            "compatibility_level": "3.6",
            "mynetworks": "127.0.0.0/8",
            "transport_maps": f"inline:{{bücher.example=smtp:[127.0.0.1]:{free_port()}}}",
            "smtputf8_autodetect_classes": "all",
        },
    )
    with made:
        yield made


def test_mail_that_waits(server: Server) -> None:
    commands = ["EHLO x", "MAIL FROM:<gärtner@b.example> SMTPUTF8", "RCPT TO:<jürgen@bücher.example>", "DATA"]
    replies = server.talk([*commands, "Subject: Grüße\r\n\r\nx\r\n.", "QUIT"])
    queue_id = replies[-2].rpartition(" ")[2]
    log = server.wait_log("status=deferred")
    assert f"{queue_id}: to=<jürgen@bücher.example>, relay=none" in log
    server.env = {**os.environ, "LC_ALL": "C"}
    conf = str(server.conf)
    listing = server.command("postqueue", "-c", conf, "-p", check=True).stdout
    assert "gärtner@b.example" in listing and "jürgen@bücher.example" in listing
    (line,) = server.command("postqueue", "-c", conf, "-j", check=True).stdout.splitlines()
    entry = json.loads(line)
    assert (entry["sender"], entry["recipients"][0]["address"]) == ("gärtner@b.example", "jürgen@bücher.example")
    text = server.command("postcat", "-c", conf, "-q", queue_id, check=True).stdout
    assert "Subject: Grüße" in text and "jürgen@bücher.example" in text
    for _ in range(50):
        # the history is written beside the mail
        traced = server.command("trace", "-c", conf, queue_id)
        if "<jürgen@bücher.example>: " in traced.stdout:
            break
        time.sleep(0.1)
    told = traced.stdout
    assert "jürgen@bücher.example" in told and "DNS knows bücher.example as xn--bcher-kva.example" in told
    found = server.command("find", "-c", conf, "--json", "to:jürgen@bücher.example", check=True).stdout
    assert "jürgen@bücher.example" in found and queue_id in found
    assert server.command("postsuper", "-c", conf, "-d", queue_id).returncode == 0
