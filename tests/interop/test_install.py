"""make install and uninstall into a folder (DESTDIR); nothing outside of it is touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.peers import find, missing

ROOT = Path(__file__).resolve().parents[2]


def make(target: str, destination: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", target, f"DESTDIR={destination}", "INSTALL_EXTRAS=bcrypt", *words],
        capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_install_links_units_and_uninstall(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "tayori-saslauthd.service").write_text("# mine\n")
    (tmp_path / "usr/local/sbin").mkdir(parents=True)
    (tmp_path / "usr/local/sbin/mailq").write_text("another program\n")
    done = make("install", tmp_path, "LINKS=sendmail mailq")
    if done.returncode != 0 and "No matching distribution" in done.stderr:
        missing("a package index is not reachable")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept: /usr/local/sbin/mailq" in done.stdout
    assert "kept: /etc/systemd/system/tayori-saslauthd.service" in done.stdout
    assert os.readlink(tmp_path / "usr/local/bin/tayori") == "/opt/tayori/bin/tayori"
    assert os.readlink(tmp_path / "usr/local/sbin/sendmail") == "/opt/tayori/bin/tayori"
    assert (tmp_path / "opt/tayori/bin/tayori").read_text().startswith("#!/opt/tayori/bin/python")
    version = subprocess.run(
        [tmp_path / "opt/tayori/bin/python", "-m", "tayori", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("tayori ")
    unit = (units / "tayori.service").read_text()
    for line in (
        "Type=notify",
        "ExecStart=/opt/tayori/bin/tayori start",
        "ExecReload=/opt/tayori/bin/tayori reload",
        "Restart=on-failure",
        "WantedBy=multi-user.target",
    ):
        assert line in unit.splitlines()
    again = make("uninstall", tmp_path)
    assert again.returncode == 0, again.stderr
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if not p.is_dir())
    assert left == ["etc/systemd/system/tayori-saslauthd.service", "usr/local/sbin/mailq"]


def test_the_units_are_well_formed(tmp_path: Path) -> None:
    program = find("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    for name in ("tayori.service", "tayori-saslauthd.service"):
        text = (ROOT / "packaging" / name).read_text()
        (tmp_path / name).write_text(text.replace("@LIBDIR@/bin/tayori", "/bin/true"))
        done = subprocess.run(
            [program, "verify", str(tmp_path / name)], capture_output=True, text=True, timeout=60, check=False
        )
        assert name not in done.stderr, done.stderr
