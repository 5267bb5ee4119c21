"""`tayori check` says which mechanisms are not offered, by which setting, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tayori.programs.commands import check


def said(folder: Path, capsys: pytest.CaptureFixture[str], main: str, conf: str) -> str:
    (folder / "sasl").mkdir(exist_ok=True)
    (folder / "main.cf").write_text(
        "compatibility_level = 3.6\nmyhostname = mail.example.com\nsmtpd_sasl_auth_enable = yes\n" + main
    )
    (folder / "sasl/smtpd.conf").write_text(conf)
    (folder / "users").write_text("taro:{PLAIN}x\n")
    check.main(["-c", str(folder)])
    return " ".join(capsys.readouterr().out.split())


def test_by_default_old_mechanisms_are_off_and_it_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(tmp_path, capsys, "", f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\n")
    assert "CRAM-MD5 is not offered, because of mech_list" in out and "can be guessed from what is overheard" in out
    assert "DIGEST-MD5 is not offered, because of mech_list" in out and "obsolete (RFC 6331)" in out


def test_the_back_end_and_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = f"pwcheck_method: saslauthd\nsaslauthd_path: {tmp_path}/mux\nmech_list: plain login cram-md5\n"
    out = said(tmp_path, capsys, "smtpd_sasl_security_options = noanonymous, noplaintext\n", conf)
    assert f"{tmp_path}/sasl/smtpd.conf:1: note: CRAM-MD5 is not offered, because of pwcheck_method" in out
    assert "cannot give stored secrets" in out
    assert (
        f"{tmp_path}/main.cf:4: note: PLAIN, LOGIN are not offered without TLS, because of smtpd_sasl_security_options"
        in out
    )


def test_gssapi_without_a_keytab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\n"
    out = said(tmp_path, capsys, "", users)
    assert "GSSAPI" not in out, "nobody asked for it"
    out = said(tmp_path, capsys, "", f"{users}mech_list: plain gssapi\nkeytab: {tmp_path}/no-keytab\n")
    assert f"{tmp_path}/sasl/smtpd.conf:4: note: GSSAPI is not offered, because of keytab" in out
    assert f"No key for smtp/mail.example.com in {tmp_path}/no-keytab" in out or "Needs the gssapi library" in out


def test_an_old_mechanism_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\nmech_list: plain digest-md5\n"
    out = said(tmp_path, capsys, "", conf)
    assert f"{tmp_path}/sasl/smtpd.conf:3: note: DIGEST-MD5 is offered, since mech_list names it" in out
