"""Texts and codes are those of a real Postfix (tests/scenarios/cases/strict-*, message-*)."""

from __future__ import annotations

import asyncio
import mmap
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.rewrite import strict
from tayori.rewrite.cleanup import Cleanup, Incoming
from tayori.rewrite.results import Cleaned, Rewritten
from tayori.rewrite.strict import Strict, characters
from tayori.tables.registry import Tables

EIGHT = "naïve".encode()
PARTS = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n%s\n" + EIGHT + b"\n--b--\n"


def refusal(content: bytes, **values: str) -> tuple[int, str, str] | None:
    return Strict(Settings.of(values)).refusal(content, content.partition(b"\n\n")[0] + b"\n")


def clean(content: bytes, overrides: frozenset[str] = frozenset(), internal: bool = False, **values: str) -> Cleaned:
    settings = Settings.of({"myhostname": "mail.example", "alias_maps": "", **values})
    message = Incoming("a@b.example", (Rewritten("x@y.example", ""),), content, b"Received: Qx\n",
                       overrides=overrides, internal=internal)  # fmt: skip
    return asyncio.run(Cleanup(settings, Tables(settings)).clean(message))


@pytest.mark.parametrize(
    ("setting", "content", "expected"),
    [
        ("strict_7bit_headers", b"Subject: " + EIGHT + b"\n\nx\n", strict.EIGHT_BIT_HEADER),
        ("strict_7bit_headers", b"Subject: x\n\n" + EIGHT + b"\n", None),
        ("strict_7bit_headers", PARTS % (b"X-Y: " + EIGHT + b"\n"), strict.EIGHT_BIT_HEADER),
        ("strict_8bitmime_body", b"Subject: " + EIGHT + b"\n\nx\n", None),
        ("strict_8bitmime_body", b"Subject: x\n\n" + EIGHT + b"\n", strict.EIGHT_BIT_BODY),
        ("strict_8bitmime_body", b"Content-Transfer-Encoding: 8bit\n\n" + EIGHT + b"\n", None),
        ("strict_8bitmime_body", b"Content-Transfer-Encoding: 8bit\n" + PARTS % b"", strict.EIGHT_BIT_BODY),
        ("strict_8bitmime_body", PARTS % b"Content-Transfer-Encoding: 8bit\n", None),
        ("strict_8bitmime_body", PARTS % b"Content-Transfer-Encoding: 8bit\n" + EIGHT + b"\n", strict.EIGHT_BIT_BODY),
        ("strict_8bitmime", b"Subject: " + EIGHT + b"\n\nx\n", strict.EIGHT_BIT_HEADER),
        ("strict_8bitmime", b"Subject: x\n\n" + EIGHT + b"\n", strict.EIGHT_BIT_BODY),
        ("strict_mime_encoding_domain", b"Content-Transfer-Encoding: base64\n" + PARTS % b"", strict.ENCODING_DOMAIN),
        ("strict_mime_encoding_domain", PARTS % b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n",
         strict.ENCODING_DOMAIN),
        ("strict_mime_encoding_domain", PARTS % b"Content-Type: message/partial\nContent-Transfer-Encoding: base64\n", None),
        ("strict_mime_encoding_domain", b"Content-Transfer-Encoding: base64\n\nx\n", None),
    ],
)  # fmt: skip
def test_form(setting: str, content: bytes, expected: tuple[int, str, str] | None) -> None:
    assert refusal(content, **{setting: "yes"}) == expected
    assert refusal(content, **{setting: "yes"}, disable_mime_input_processing="yes") is None


def test_characters() -> None:
    assert characters(r"\0\07Q\t\n\\\q") == b"\0\x07Q\t\\q"
    assert refusal(b"a: b\n\nx\x07\n", message_reject_characters=r"\007") == strict.CHARACTER
    assert refusal(b"a: b\n\nx\n", message_reject_characters=r"\007") is None
    assert clean(b"Subject: aQ\n\nbQ\n", message_strip_characters="Q").content == b"Received: x\nSubject: a\n\nb\n"


def test_what_asks_for_no_checks_gets_none() -> None:
    for more in ({"overrides": frozenset({"no_header_body_checks"})}, {"internal": True}):
        cleaned = clean(b"a: b\n\nQ\n", message_reject_characters="Q", **more)  # type: ignore[arg-type]
        assert cleaned.reject is None
    assert clean(b"a: b\n\nQ\n", message_reject_characters="Q").reject == strict.CHARACTER


def test_a_mapped_file_is_changed_by_edits(tmp_path: Path) -> None:
    content = b"Subject: aQ\n\nbQQ\noldQ\nQcQ\n"
    path = tmp_path / "content"
    path.write_bytes(content)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        cleaned = clean(
            mapped, message_strip_characters="Q", body_checks="regexp:{{/^old/ REPLACE newQ}}"  # type: ignore[arg-type]
        )  # fmt: skip
    out, at = [cleaned.content], cleaned.cut
    for start, end, new in cleaned.edits:
        out += [content[at:start], new]
        at = end
    assert b"".join((*out, content[at:])) == b"Received: x\nSubject: a\n\nb\nnew\nc\n"
