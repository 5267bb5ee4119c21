"""tayori postconf against the real one on the same folder: same lines, known differences listed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.peers import require
from tayori.programs.commands.postconf import main

GOOD = Path(__file__).parents[1] / "unit" / "config" / "good"
# Defaults that differ between Postfix 3.7 and 3.12, between Debian and upstream, or from run to run.
DIFFERENT = frozenset(
    [
        "address_verify_map",
        "alias_maps",
        "config_directory",
        "daemon_directory",
        "html_directory",
        "mail_release_date",
        "mail_version",
        "manpage_directory",
        "mydomain",
        "myhostname",
        "mynetworks",
        "postscreen_cache_map",
        "process_id",
        "process_name",
        "readme_directory",
        "shlib_directory",
        "smtp_tls_security_level",
        "smtpd_forbid_bare_newline",
        "smtpd_forbid_unauth_pipelining",
        "tls_eecdh_auto_curves",
        "cleanup_replace_stray_cr_lf",
        "meta_directory",
        "sample_directory",
    ]
)


def real(*arguments: str) -> str:
    done = subprocess.run([require("postconf", "postfix"), *arguments], capture_output=True, text=True, timeout=20)
    return done.stdout


@pytest.mark.peer
@pytest.mark.parametrize("name", ["debian-internet-site", "submission", "many-rules", "pipe-transport", "own-names"])
@pytest.mark.parametrize("option", ["-n", "-nf", "-nx", "-M", "-Mf", "-F", "-P"])
def test_same_output(name: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(GOOD / name, tmp_path / "c")
    if not (tmp_path / "c" / "master.cf").exists():
        (tmp_path / "c" / "master.cf").write_text("smtp inet n - y - - smtpd\n")
    expected = real("-c", str(tmp_path / "c"), option)
    main(["-c", str(tmp_path / "c"), option])
    assert capsys.readouterr().out == expected


@pytest.mark.peer
def test_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(GOOD / "debian-internet-site", tmp_path / "c")
    expected = dict(line.split(" =", 1) for line in real("-c", str(tmp_path / "c"), "-d").splitlines())
    main(["-c", str(tmp_path / "c"), "-d"])
    ours = dict(line.split(" =", 1) for line in capsys.readouterr().out.splitlines())
    assert {n: v for n, v in expected.items() if ours.get(n) != v and n not in DIFFERENT} == {}
