"""What `--json` prints has the shape that docs/reasons.md describes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tayori.programs.commands.explain import main
from tayori.programs.explain import schema

PAGE = Path(__file__).parents[3] / "docs" / "reasons.md"
SHAPE = re.compile(r"\*\*(\w+)\*\*: (?:.+\n)+\n((?:.+\n)+)")
FIELD = re.compile(r"`(\w+)` ([^,]+)")
MAIN = """compatibility_level = 3.6
myhostname = mail.example.com
mydestination = example.com
mynetworks = 192.0.2.0/24
alias_maps = inline:{{info=root,{"x@[127.0.0.5]"}}}
header_checks = inline:{{Subject: x=INFO}}
queue_directory = DIR
data_directory = DIR
smtpd_peername_lookup = no
"""
SIMPLE = {"text": str, "number": (int, float), "true/false": bool, "null": type(None)}


def described() -> dict[str, dict[str, str]]:
    """{shape: {field: type}} as the page has it."""
    found = SHAPE.findall(PAGE.read_text("utf-8"))
    return {name: dict(FIELD.findall(" ".join(fields.split()).removesuffix("."))) for name, fields in found}


def fits(value: object, kind: str, shapes: dict[str, dict[str, str]], at: str) -> None:
    """Fails where a value is not of its kind."""
    for one in kind.split(" or "):
        if one.startswith("list of ") and isinstance(value, list):
            for item in value:
                fits(item, one.removeprefix("list of "), shapes, at)
            return
        if one in SIMPLE and isinstance(value, SIMPLE[one]):  # type: ignore[arg-type]
            return
        if one in shapes and isinstance(value, dict):
            assert list(value) == list(shapes[one]), at
            for name, inner in value.items():
                fits(inner, shapes[one][name], shapes, f"{at}.{name}")
            return
    raise AssertionError(f"{at}: {value!r} is not {kind}")


def test_the_page_is_made_from_the_values() -> None:
    text = PAGE.read_text("utf-8")
    assert schema.page(text) == text


def test_explain_prints_what_the_page_describes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "main.cf").write_text(MAIN.replace("DIR", str(tmp_path)))
    (tmp_path / "master.cf").write_text("127.0.0.1:2525 inet n - n - - smtpd\n")
    (tmp_path / "mail").write_bytes(b"Subject: x\n\nhello\n")
    shapes = described()
    seen = set()
    for recipient in ("info@example.com", "nobody@example.com", "x@[127.0.0.9]"):
        words = ["-c", str(tmp_path), "--client", "192.0.2.1", "--from", "a@b.example", "--to", recipient, "--json"]
        main([*words, "--message", str(tmp_path / "mail")])
        found = json.loads(capsys.readouterr().out)
        fits(found, "Explanation", shapes, "Explanation")
        seen |= {name for name, value in found.items() if value}
    assert {"judged", "routes", "content", "session", "log"} <= seen


def test_a_wrong_value_is_noticed() -> None:
    shapes = described()
    with pytest.raises(AssertionError):
        fits({"text": 1, "place": ""}, "Remedy", shapes, "x")
    with pytest.raises(AssertionError):
        fits({"text": ""}, "Remedy", shapes, "x")
