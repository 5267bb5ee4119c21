"""check never falls over, whatever was typed: good configurations, mutated."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tayori.config import mastercf, smtpdconf
from tayori.config.lint import Source, lint
from tayori.config.lint.finding import SEVERITIES
from tayori.config.maincf import parse_all
from tayori.config.settings import Settings
from tayori.programs.commands.check import mended

GOOD = sorted((Path(__file__).parent / "good").iterdir())
SPICE = [
    "$",
    "${",
    "}",
    "{",
    "=",
    "#",
    ";",
    ",",
    " ",
    "\n",
    "\n ",
    "\t",
    ":",
    "!",
    "/",
    "[",
    "]",
    "é",
    "\\",
    "%",
    "-o",
    "$$",
]


def mutated(text: str, dice: random.Random) -> str:
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(text) + 1)
        kind = dice.randrange(3)
        if kind == 0:
            text = text[:at] + dice.choice(SPICE) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + dice.randint(1, 12) :]
        else:
            other = dice.randrange(len(text) + 1)
            text = text[:at] + text[other : other + 20] + text[at:]
    return text


@pytest.mark.parametrize("folder", GOOD, ids=lambda path: path.name)
def test_no_text_makes_check_fail(folder: Path) -> None:
    dice = random.Random(folder.name)
    main = (folder / "main.cf").read_text()
    master = (folder / "master.cf").read_text() if (folder / "master.cf").exists() else "smtp inet n - - - - smtpd\n"
    for _ in range(25):
        texts = {"d/main.cf": mutated(main, dice), "d/master.cf": mutated(master, dice)}
        conf, conf_errors = smtpdconf.parse_all(mutated("pwcheck_method: saslauthd\nmech_list: plain\n", dice), "s")
        assignments, errors = parse_all(texts["d/main.cf"], "d/main.cf")
        services, service_errors = mastercf.parse_all(texts["d/master.cf"], "d/master.cf")
        settings = Settings("d", assignments)
        problems = (*errors, *service_errors, *conf_errors)
        source = Source(settings, services, conf, texts, problems, lambda _: "", lambda _: "")
        for finding in lint(source):
            assert finding.severity in SEVERITIES
            if finding.fix is not None and finding.fix.file in texts:
                mended(texts[finding.fix.file], [finding.fix])
        assert replace(source) == source
