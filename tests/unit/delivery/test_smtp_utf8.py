"""SMTPUTF8 and 8BITMIME towards servers that know them and servers that do not (RFC 6531, RFC 6152)."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from support.sink import Received, Sink
from tayori.delivery.outcome import BouncedDelivery, Delivered, DeliveryOutcome
from tayori.delivery.smtp import SmtpAgent
from tayori.delivery.smtp_job import Attempt
from tayori.queue.model import Attributes, Recipient, Slice, Stored
from unit.delivery.test_mx import Zone
from unit.delivery.test_smtp_agent import H, send, settings

ASKED = Attributes(smtputf8=True)
EIGHT = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße\n".encode()
SEVEN = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n"
OLD = ("PIPELINING", "DSN")
NEW = ("PIPELINING", "DSN", "8BITMIME", "SMTPUTF8")


def relayed(*addresses: str, keywords: tuple[str, ...] = NEW, **more: object) -> tuple[Attempt, list[Received]]:
    """What became of one message to these addresses, and what came to the server."""
    with Sink(keywords=keywords) as sink:
        everyone = tuple(Recipient(n, address, address) for n, address in enumerate(addresses, 1))
        attempt = send(f"[127.0.0.1]:{sink.port}", everyone, **more)  # type: ignore[arg-type]
        return attempt, list(sink.messages)


def refused(attempt: Attempt) -> set[int]:
    text = f"SMTPUTF8 is required, but was not offered by host {H}"
    found = {n for n, end in attempt.items() if isinstance(end, BouncedDelivery)}
    assert all((attempt[n].enhanced, attempt[n].text) == ("5.6.7", text) for n in found)
    assert all(isinstance(end, Delivered) for n, end in attempt.items() if n not in found)
    return found


def test_asked_for_and_offered() -> None:
    for content in (b"Subject: x\n\nx\n", "Subject: ü\n\nx\n".encode()):
        _, (got,) = relayed("a@b.example", content=content, attributes=ASKED)
        assert got.lines[0].endswith(" SMTPUTF8") and "BODY" not in got.lines[0]


def test_not_asked_for() -> None:
    """What did not ask goes as before RFC 6531, but for a domain, which has a form in ASCII."""
    for keywords in (OLD, NEW):
        _, (got,) = relayed("jürgen@straße.example", content="Subject: ü\n\nx\n".encode(), keywords=keywords)
        assert "SMTPUTF8" not in got.lines[0]
        assert got.recipients == ("jürgen@xn--strae-oqa.example",)
    _, (got,) = relayed("a@straße.example", keywords=OLD, enable_idna2003_compatibility="yes")
    assert got.recipients == ("a@strasse.example",)


def test_asked_for_and_not_offered() -> None:
    attempt, (got,) = relayed("a@b.example", "jürgen@b.example", "c@straße.example", keywords=OLD, attributes=ASKED)
    assert refused(attempt) == {2}
    assert got.recipients == ("a@b.example", "c@xn--strae-oqa.example")
    attempt, nothing = relayed(
        "a@b.example", "b@b.example", keywords=OLD, attributes=ASKED, content="Subject: ü\n\nx\n".encode()
    )
    assert refused(attempt) == {1, 2} and not nothing
    attempt, nothing = relayed("a@b.example", keywords=OLD, attributes=ASKED, sender="gärtner@a.example")
    assert refused(attempt) == {1} and not nothing
    attempt, (got,) = relayed("a@b.example", keywords=OLD, attributes=ASKED, sender="a@bücher.example")
    assert not refused(attempt) and got.sender == "a@xn--bcher-kva.example"
    # bytes in the body are 8BITMIME's business
    attempt, (got,) = relayed("a@b.example", keywords=OLD, attributes=ASKED, content=EIGHT)
    assert not refused(attempt)


def test_original_recipients() -> None:
    _, (got,) = relayed("a+b@b.example", "jürgen@b.example")
    assert [line.partition(" ORCPT=")[2] for line in got.lines[1:]] == [
        "rfc822;a+2Bb@b.example",
        r"utf-8;j\x{FC}rgen@b.example",
    ]
    _, (got,) = relayed("a@b.example", keywords=("8BITMIME",))
    assert "ORCPT" not in got.lines[1]


def test_eight_bit_is_announced() -> None:
    for content, attributes, said in (
        (EIGHT, None, True),
        (b"Subject: x\n\nplain\n", Attributes(body="8BITMIME"), True),
        ("Subject: ü\n\nplain\n".encode(), None, False),
        (b"Subject: x\n\nplain\n", None, False),
    ):
        _, (got,) = relayed("a@b.example", content=content, attributes=attributes)
        assert (" BODY=8BITMIME" in got.lines[0]) is said
        assert got.content == content.replace(b"\n", b"\r\n")


def test_eight_bit_is_converted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tayori.smtp")
    _, (got,) = relayed("a@b.example", content=EIGHT, keywords=OLD)
    assert got.content == SEVEN and "BODY" not in got.lines[0]
    assert f"1 8-bit part sent to {H} as quoted-printable: 8BITMIME is not offered" in caplog.text


@pytest.mark.parametrize(
    ("content", "attributes", "more"),
    [
        (EIGHT, None, {"disable_mime_output_conversion": "yes"}),
        (EIGHT, None, {"detect_8bit_encoding_header": "no"}),
        # nobody said what these bytes are
        ("Subject: x\n\nGrüße\n".encode(), Attributes(body="8BITMIME"), {}),
        ("Subject: ü\n\nplain\n".encode(), None, {}),
    ],
)
def test_eight_bit_is_left_alone(content: bytes, attributes: Attributes | None, more: dict[str, str]) -> None:
    _, (got,) = relayed("a@b.example", content=content, keywords=OLD, attributes=attributes, **more)
    assert got.content == content.replace(b"\n", b"\r\n")


def test_large_content_is_converted_on_its_way(tmp_path: Path) -> None:
    head, body = EIGHT.split(b"\n\n")
    path = tmp_path / "content"
    path.write_bytes(b"\n" + body * 100_000)
    content = Stored((head + b"\n", Slice(str(path), 0, path.stat().st_size)))
    _, (got,) = relayed("a@b.example", content=content, keywords=(*OLD, "SIZE 9000000"))
    assert got.content == SEVEN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + b"Gr=C3=BC=C3=9Fe\r\n" * 100_000
    assert f" SIZE={len(got.content)}" in got.lines[0]
    _, (got,) = relayed("a@b.example", content=content, keywords=NEW)
    assert got.content == head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body.replace(b"\n", b"\r\n") * 100_000
    assert got.lines[0].endswith(" BODY=8BITMIME")


def test_declared_by_the_client_is_enough() -> None:
    _, (got,) = relayed(
        "a@b.example",
        content=EIGHT,
        keywords=OLD,
        attributes=Attributes(body="8BITMIME"),
        detect_8bit_encoding_header="no",
    )
    assert got.content == SEVEN


def probed(keywords: tuple[str, ...], **more: str) -> tuple[DeliveryOutcome, list[str]]:
    async def run(port: int) -> DeliveryOutcome:
        agent = SmtpAgent(settings(**more), Zone())
        try:
            return await agent.probe(f"[127.0.0.1]:{port}", "double-bounce@me.example", "jürgen@b.example")
        finally:
            agent.close()

    with Sink(keywords=keywords) as sink:
        end = asyncio.run(run(sink.port))
        return end, [line for _, line in sink.commands if line.startswith("MAIL")]


def test_probes_ask_for_smtputf8() -> None:
    """smtputf8_autodetect_classes has verify by default."""
    end, (line,) = probed(NEW)
    assert isinstance(end, Delivered) and line == "MAIL FROM:<double-bounce@me.example> SMTPUTF8"
    end, nothing = probed(OLD)
    assert isinstance(end, BouncedDelivery) and end.enhanced == "5.6.7" and not nothing
    end, (line,) = probed(OLD, smtputf8_autodetect_classes="sendmail")
    assert isinstance(end, Delivered) and "SMTPUTF8" not in line
