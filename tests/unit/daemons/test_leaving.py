from __future__ import annotations

import asyncio
from pathlib import Path

from tayori.config.settings import Settings
from tayori.programs.daemons.dispatch.ended import Work
from tayori.programs.daemons.dispatch.leaving import Leaving
from tayori.queue.content import Content, blocks
from tayori.queue.model import Attributes, Message, Slice, Stored
from tayori.rewrite.checks import Checks
from tayori.rewrite.results import Deferred
from tayori.tables.registry import Tables

RULES = {
    "smtp_header_checks": "regexp:{{/^Subject: (.*)/ REPLACE Subject: [out] $$1}, {/^X-Gone/ IGNORE}, {/^From/ REJECT no}}",
    "smtp_body_checks": "regexp:{{/^old/ REPLACE new}, {/^bad/ INFO seen}}",
}
HEADER = b"From: a@b.example\nSubject: hello\nX-Gone: yes\n"
BODY = b"\nold\nsame\nold\nbad\n"
AFTER = b"From: a@b.example\nSubject: [out] hello\n\nnew\nsame\nnew\nbad\n"


def leave(content: Content, **rules: str) -> tuple[Content | Deferred, list[str]]:
    settings = Settings.of(rules or RULES)
    lines: list[str] = []
    leaving = Leaving(Checks(settings, Tables(settings), "smtp_"), "smtp", lambda program, text: lines.append(text))
    message = Message(1, 0.0, "a@b.example", len(content), Attributes(), ())
    return asyncio.run(leaving.content(Work(message, content, 0.0))), lines


def test_rules_change_what_leaves_and_cannot_refuse_it() -> None:
    found, lines = leave(HEADER + BODY)
    assert found == AFTER
    assert any("REJECT is no action for mail that leaves" in line for line in lines)
    assert any(line.startswith("1: info: body bad: seen") for line in lines)


def test_a_large_message_is_changed_by_parts(tmp_path: Path) -> None:
    path = tmp_path / "1"
    path.write_bytes(b"gap" + HEADER + BODY)
    found, _ = leave(Stored((HEADER, Slice(str(path), 3 + len(HEADER), len(BODY)))))
    assert isinstance(found, Stored) and len(found) == len(AFTER)
    assert b"".join(blocks(found)) == AFTER


def test_what_cannot_be_asked_or_read_defers(tmp_path: Path) -> None:
    assert isinstance(leave(HEADER + BODY, smtp_header_checks="fail:x")[0], Deferred)
    assert isinstance(leave(HEADER + BODY, smtp_body_checks="fail:x")[0], Deferred)
    assert isinstance(leave(Stored((HEADER, Slice(str(tmp_path / "none"), 0, 5))))[0], Deferred)
