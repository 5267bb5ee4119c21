"""Internationalised domains in explain and trace: both forms are said, and SMTPUTF8 is asked for where it is offered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tayori.programs.commands.explain import main
from tayori.programs.explain.forms import forms
from tayori.programs.history.record import Record
from tayori.programs.history.tell import story
from tayori.programs.language import ENGLISH, choose

MAIN = """compatibility_level = 3.6
myhostname = mail.example.com
mydestination = example.com
mynetworks = 192.0.2.0/24
relay_domains = bücher.example
transport_maps = inline:{bücher.example=relay:[192.0.2.9]}
queue_directory = DIR
data_directory = DIR
smtpd_peername_lookup = no
"""


def explained(folder: Path, capsys: pytest.CaptureFixture[str], recipient: str, more: str = "") -> str:
    (folder / "main.cf").write_text(MAIN.replace("DIR", str(folder)) + more)
    (folder / "master.cf").write_text("127.0.0.1:2525 inet n - n - - smtpd\n")
    main(["-c", str(folder), "--lang", "en", "--client", "192.0.2.1", "--from", "a@b.example", "--to", recipient])
    return capsys.readouterr().out


def test_forms() -> None:
    found = list(
        forms(["a@bücher.example", "b@bücher.example", "c@xn--strae-oqa.example", "d@plain.example", None], ENGLISH)
    )
    assert found == [
        "DNS knows bücher.example as xn--bcher-kva.example",
        "xn--strae-oqa.example reads straße.example",
    ]
    assert "読みます" in next(forms(["c@xn--strae-oqa.example"], choose("ja")))


def test_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = explained(tmp_path, capsys, "jürgen@bücher.example")
    assert "DNS knows bücher.example as xn--bcher-kva.example" in text and "192.0.2.9" in text
    text = explained(tmp_path, capsys, "jürgen@xn--bcher-kva.example")
    assert "xn--bcher-kva.example reads bücher.example" in text and "192.0.2.9" not in text
    # where it is not offered no client asks for it, and a U-label is no domain
    text = explained(tmp_path, capsys, "jürgen@bücher.example", "smtputf8_enable = no\n")
    assert "5.1.3 Bad recipient address syntax" in text and "555" not in text


def test_trace() -> None:
    record = Record(number=1, when=0.0, kind="smtp", client="192.0.2.1", sender="a@bücher.example")
    assert "  DNS knows bücher.example as xn--bcher-kva.example" in list(story(record, (), ENGLISH))
