"""The picture of DESIGN.md, held: who may import whom, and which packages are sans-IO."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "tayori"

BANDS: dict[str, int] = {
    "config": 0, "protocol": 0,
    "net": 1,
    "tables": 2,
    "sasl": 3, "rewrite": 3, "queue": 3,
    "policy": 4, "schedule": 4, "delivery": 4, "bounce": 4,
    "programs": 5,
}  # fmt: skip
PURE = ("protocol", "schedule", "sasl/mechanisms")
IMPURE = {"asyncio", "socket", "ssl", "os", "time", "random", "secrets", "logging"}
MODULES = sorted(path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            if node.module == "tayori":
                found.update(f"tayori.{alias.name}" for alias in node.names)
    return found


def test_every_package_has_a_band() -> None:
    assert {p.name for p in SRC.iterdir() if p.is_dir() and p.name not in ("__pycache__", "locale")} == set(BANDS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    package = module.split("/")[0]
    for name in imports(SRC / module):
        parts = name.split(".")
        if parts[0] != "tayori" or len(parts) == 1 or package not in BANDS or parts[1] not in BANDS:
            continue
        other = parts[1]
        assert other == package or BANDS[other] < BANDS[package], f"{module} imports {name}: not a lower band"


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(PURE)])
def test_pure_packages_do_no_io(module: str) -> None:
    used = {name.split(".")[0] for name in imports(SRC / module)} & IMPURE
    assert not used, f"{module} is sans-IO but imports {', '.join(sorted(used))}"
