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
    assert "not offered, because of mech_list: CRAM-MD5" in out and "what is overheard can be guessed from" in out
    assert "not offered, because of mech_list: DIGEST-MD5" in out and "It is obsolete (RFC 6331)" in out


def test_the_back_end_and_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = f"pwcheck_method: saslauthd\nsaslauthd_path: {tmp_path}/mux\nmech_list: plain login cram-md5\n"
    out = said(tmp_path, capsys, "smtpd_sasl_security_options = noanonymous, noplaintext\n", conf)
    assert (
        f"{tmp_path}/sasl/smtpd.conf:1: note: login mechanisms not offered, because of pwcheck_method: CRAM-MD5"
        in out
    )
    assert f"saslauthd:{tmp_path}/mux has none to give" in out
    # with TLS the same holds, since smtpd_sasl_tls_security_options is not set: one note for both
    assert (
        f"{tmp_path}/main.cf:4: note: login mechanisms not offered, because of smtpd_sasl_security_options: "
        "PLAIN, LOGIN The option noplaintext leaves out what sends the password itself."
    ) in out
    assert f"{tmp_path}/sasl/smtpd.conf:3: warning: nobody can log in: no mechanism is left" in out


def test_each_state_of_tls_has_its_own_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\n"
    options = "smtpd_sasl_security_options = noplaintext\nsmtpd_sasl_tls_security_options = mutual_auth\n"
    out = said(tmp_path, capsys, options, conf)
    assert "not offered without TLS, because of smtpd_sasl_security_options: PLAIN, LOGIN" in out
    assert "main.cf:5: note: login mechanisms not offered with TLS, because of smtpd_sasl_tls_security_options" in out
    assert "passwords can be sent without encryption" not in out and "nobody can log in" not in out


@pytest.mark.parametrize(
    ("option", "left_out"),
    [
        ("noplaintext", "PLAIN, LOGIN"),
        ("noactive", "PLAIN, LOGIN"),
        ("nodictionary", "SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN"),
        ("mutual_auth", "PLAIN, LOGIN"),
        ("forward_secrecy", "SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN"),
    ],
)
def test_each_option_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, left_out: str
) -> None:
    conf = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\n"
    out = said(tmp_path, capsys, f"smtpd_sasl_security_options = {option}\n", conf)
    assert f"because of smtpd_sasl_security_options: {left_out} The option {option} leaves" in out
    assert ("no mechanism is left" in out) == ("SCRAM" in left_out)
    assert "passwords can be sent without encryption" not in out, "PLAIN is not offered"


def test_a_filter_of_exclamation_marks_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\n"
    out = said(tmp_path, capsys, "smtpd_sasl_mechanism_filter = !plain, !login\n", conf)
    assert "no mechanism is left" in out and "static:rest at the end" in out
    assert "passwords can be sent without encryption" not in out
    out = said(tmp_path, capsys, "smtpd_sasl_mechanism_filter = !plain, static:rest\n", conf)
    assert "no mechanism is left" not in out and "because of smtpd_sasl_mechanism_filter: PLAIN The" in out
    assert "on unencrypted connections with LOGIN:" in out


def test_anonymous_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\nmech_list: plain anonymous\n"
    assert "ANONYMOUS The option noanonymous leaves out" in said(tmp_path, capsys, "", conf)
    out = said(tmp_path, capsys, "smtpd_sasl_security_options =\n", conf)
    assert "smtpd.conf:3: warning: anybody can log in: ANONYMOUS is offered" in out


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ("smtpd_sasl_security_options = noanonymus\n", "noanonymus is not known"),
        ("smtpd_sasl_type = cyrsu\n", "cyrsu is not known"),
        ("smtpd_sasl_type = dovecot\n", "smtpd_sasl_type = dovecot needs smtpd_sasl_path"),
        (
            "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\nsmtpd_sasl_security_options = noplaintxt\n",
            "noplaintxt is not known",
        ),
    ],
)
def test_what_the_server_would_not_start_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], main: str, words: str
) -> None:
    out = said(tmp_path, capsys, main, f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\n")
    assert "error: " in out and words in out and "The server does not start with this." in out


def test_gssapi_without_a_keytab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\n"
    out = said(tmp_path, capsys, "", users)
    assert "GSSAPI" not in out, "nobody asked for it"
    out = said(tmp_path, capsys, "", f"{users}mech_list: plain gssapi\nkeytab: {tmp_path}/no-keytab\n")
    assert f"{tmp_path}/sasl/smtpd.conf:4: note: login mechanisms not offered, because of keytab: GSSAPI" in out
    assert f"No key for smtp/mail.example.com in {tmp_path}/no-keytab" in out or "Needs the gssapi library" in out


def test_an_old_mechanism_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\nmech_list: plain digest-md5\n"
    out = said(tmp_path, capsys, "", conf)
    assert f"{tmp_path}/sasl/smtpd.conf:3: note: DIGEST-MD5 is offered, since mech_list names it" in out
