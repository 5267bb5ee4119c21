"""What the documents name exists: files, names in them, commands, targets of make, links."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tayori.programs.main import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "src" / "tayori"
WALKS = ("docs/path.md", "docs/adding.md")
DOCUMENTS = tuple(sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]))
FILE = re.compile(r"`([a-z0-9_/]+(?:/|\.(?:py|md)))(?::(\w+))?`")


def names_in(path: Path) -> set[str]:
    """Everything that a module defines at its top."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("document", WALKS)
def test_files_and_names_exist(document: str) -> None:
    named = FILE.findall(" ".join((ROOT / document).read_text().split()).replace("\n", " "))
    named += re.findall(r"`([a-z0-9_/]+/__init__\.py):(\w+)`", (ROOT / document).read_text())
    assert len(named) > 20
    for path, name in named:
        place = SOURCE / path if (SOURCE / path).exists() else ROOT / path
        assert place.exists(), f"{document}: {path}"
        assert not name or name in names_in(place), f"{document}: {path}:{name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text()):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_targets_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^([a-z]+(?: [a-z]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {word for target in targets for word in target.split()}
    for command in re.findall(r"(?:`|^    |\$ )tayori ([a-z][a-z0-9-]+)", text, re.MULTILINE):
        assert command in COMMANDS, f"{document}: tayori {command}"
    for target in re.findall(r"(?:`|^    )make ([a-z]+)", text, re.MULTILINE):
        assert target in known, f"{document}: make {target}"


def test_the_two_readmes_say_the_same() -> None:
    """The same commands, links and code blocks in both languages."""
    english, japanese = ((ROOT / name).read_text() for name in ("README.md", "README.ja.md"))

    def blocks(text: str) -> list[str]:
        return [
            re.split(r"\s{2,}#", line.strip())[0].strip() for line in text.splitlines() if line.startswith("    ")
        ]

    def headings(text: str) -> list[str]:
        return re.findall(r"^#+", text, re.MULTILINE)

    def links(text: str) -> set[str]:
        return {link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("README")}

    assert [b.split(" #")[0].strip() for b in blocks(english)] == [b.split(" #")[0].strip() for b in blocks(japanese)]
    assert headings(english) == headings(japanese)
    assert links(english) == links(japanese)


def test_every_log_option_of_make_help_is_a_target() -> None:
    said = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory", "help"], capture_output=True, text=True)
    targets = re.findall(r"^make (\w+)", said.stdout, re.MULTILINE)
    assert {"run", "test", "lint", "bench", "setup", "install", "uninstall"} <= set(targets)


def test_constraints_pin_versions_and_name_no_address() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    assert not any("://" in line for line in lines)
