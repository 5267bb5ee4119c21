"""`tayori rehearse` beside a living server: recipients, sizes, header checks on kept headers, mail in the queue."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server
from tayori.programs.history.store import FILE_NAME, Reader

MAIN = {
    "mynetworks": "192.0.2.0/24",
    "header_checks": "regexp:{{/^Subject: old/ REJECT}}",
    "tayori_workers": "1",  # so that the history is in the order of the mails
}
MAILS = {"hello": "Subject: hello\r\n\r\nbuy now", "buy": "Subject: buy\r\n\r\nx", "old": "Subject: old\r\n\r\nx"}


class Lived:
    """A server that took some mail, and copies of its configuration."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.number = 0

    def rehearse(self, old: str, new: str) -> tuple[int, dict[str, object], str]:
        """With `old` replaced in main.cf by `new`: exit code, JSON, text."""
        conf = self.server.conf
        self.number += 1
        edited = conf.parent / f"edited{self.number}"
        edited.mkdir()
        for file in conf.iterdir():
            text = file.read_text()
            assert file.name != "main.cf" or old in text
            (edited / file.name).write_text(text.replace(old, new))
        words = ("rehearse", "-c", str(conf), "--lang", "en", "--since", "1h", str(edited))
        found, shown = self.server.command(*words, "--json"), self.server.command(*words)
        assert found.returncode == shown.returncode, found.stderr + shown.stderr
        return found.returncode, json.loads(found.stdout), shown.stdout


def lived(path: Path, more: dict[str, str]) -> Iterator[Lived]:
    with Server(path, {**MAIN, **more}) as server:
        for text in MAILS.values():
            server.send("a@b.example", "taro@example.com", text)
        server.send("a@b.example", "x@elsewhere.example")
        server.wait_mail("taro", 2)
        server.stop()
    yield Lived(server)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    yield from lived(tmp_path_factory.mktemp("kept"), {"tayori_history_headers": "4096"})


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    yield from lived(tmp_path_factory.mktemp("bare"), {})


def test_the_same_configuration_differs_in_nothing(kept: Lived) -> None:
    code, found, text = kept.rehearse("mynetworks", "mynetworks")
    assert (code, found["differences"], found["mails"]) == (0, [], 4)
    assert "mails judged again: 4, differences: 0" in text


def test_header_checks_see_kept_headers(kept: Lived) -> None:
    code, found, text = kept.rehearse("Subject: old", "Subject: buy")
    assert code == 1
    assert [(one["recipient"], one["before"][:3], one["after"][:3]) for one in found["differences"]] == [
        ("", "250", "550"), ("", "550", "250"),
    ]  # fmt: skip
    assert "→ the message itself" in text
    assert (found["headers"], found["unseen"]) == (3, 0)
    assert "not rehearsed: body checks of 3 mails of which only the header was kept" in text


def test_without_headers_it_says_what_was_not_rehearsed(bare: Lived) -> None:
    code, found, text = bare.rehearse("Subject: old", "Subject: buy")
    assert (code, found["differences"], found["unseen"]) == (0, [], 3)
    assert "not rehearsed: header and body checks of 3 mails whose content is gone" in text


def test_headers_are_kept_only_where_asked_for_and_no_body_ever(kept: Lived, bare: Lived) -> None:
    for one, wanted in ((kept, {"Subject: hello", "Subject: buy", "Subject: old"}), (bare, set())):
        reader = Reader(one.server.queue_directory / "tayori" / "queue" / FILE_NAME)
        heads = {record.head.decode().strip() for record in reader.records() if record.head}
        reader.close()
        assert heads == wanted


def test_a_smaller_size_limit(bare: Lived) -> None:
    code, found, _ = bare.rehearse("header_checks =", "message_size_limit = 10\nheader_checks =")
    assert code == 1
    assert {one["after"][:9] for one in found["differences"]} == {"552 5.3.4"}
    assert {one["after_by"]["parameter"] for one in found["differences"]} == {"message_size_limit"}
    assert any(one["after_by"]["line"] for one in found["differences"])


def test_rules_at_the_end_of_data(bare: Lived) -> None:
    rule = "smtpd_end_of_data_restrictions = check_sender_access inline:{{a@b.example=REJECT}}\nheader_checks ="
    code, found, _ = bare.rehearse("header_checks =", rule)
    assert code == 1
    one, other = found["differences"]
    assert (one["recipient"], one["before"][:3], one["after"][:9], one["count"]) == ("", "250", "554 5.7.1", 2)
    assert (other["before"][:3], other["after"][:9], other["count"]) == ("550", "554 5.7.1", 1)
    assert one["after_by"]["restriction"] == "check_sender_access"


def test_a_port_that_the_edited_configuration_lacks(bare: Lived) -> None:
    port = str(bare.server.port)
    edited = bare.server.conf.parent / "other-port"
    edited.mkdir()
    for file in bare.server.conf.iterdir():
        (edited / file.name).write_text(file.read_text().replace(f":{port} ", ":1 "))
    words = ("rehearse", "-c", str(bare.server.conf), "--lang", "en", "--since", "1h", str(edited))
    found = bare.server.command(*words)
    assert found.returncode == 0
    assert "4 mails left out: the edited configuration has no service on their port" in found.stdout


def test_mail_that_waits_in_the_queue_is_seen_whole(tmp_path: Path) -> None:
    main = {"mynetworks": "127.0.0.0/8", "relayhost": "[127.0.0.1]:1", "smtpd_recipient_restrictions": "permit"}
    with Server(tmp_path, main) as server:
        server.send("a@b.example", "x@elsewhere.example", MAILS["hello"])
        server.wait_log("status=deferred")
        one = Lived(server)
        rule = "body_checks = regexp:{{/^buy/ REJECT}}\nrelayhost ="
        history = server.queue_directory / "tayori" / "queue" / FILE_NAME
        for _ in range(200):
            with contextlib.suppress(FileNotFoundError):
                if Reader(history).records("number <> 0"):
                    break
            time.sleep(0.05)
        code, found, _ = one.rehearse("relayhost =", rule)
    assert (code, found["whole"], found["unseen"]) == (1, 1, 0)
    (difference,) = found["differences"]
    assert (difference["before"][:3], difference["after"][:3]) == ("250", "550")


def test_what_was_no_address_is_not_judged_again(tmp_path: Path) -> None:
    """The bytes are not kept as they came: quoted they would be an address, and meet other rules."""
    with Server(tmp_path, MAIN) as server:
        assert server.send("a@b.example", "a b@home").startswith("501 5.1.3")
        assert server.send("a@b.example", "a@home").startswith("454 4.7.1")
    code, found, _ = Lived(server).rehearse("mynetworks", "mynetworks")
    assert (code, found["differences"], found["mails"]) == (0, [], 2)
