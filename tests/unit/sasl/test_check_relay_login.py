"""`tayori check` about logging in to a relay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tayori.programs.commands import check

RELAY = "relayhost = [mail.isp.example]:587\nsmtp_sasl_auth_enable = yes\n"
MAPS = "smtp_sasl_password_maps = inline:{ {[mail.isp.example]:587 = u:p} }\n"
SAFE = "smtp_tls_security_level = encrypt\nsmtp_sasl_tls_security_options = noanonymous\n"


def said(folder: Path, capsys: pytest.CaptureFixture[str], main: str) -> str:
    (folder / "main.cf").write_text(f"compatibility_level = 3.6\nmyhostname = mail.example.com\n{main}")
    (folder / "master.cf").write_text("127.0.0.1:10025 inet n - n - - smtpd\n")  # not root's port
    check.main(["-c", str(folder)])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (RELAY, "main.cf:4: warning: smtp_sasl_auth_enable is set, but smtp_sasl_password_maps is empty"),
        (RELAY + MAPS, "note: the SMTP client does not log in with PLAIN or LOGIN, because of smtp_sasl_security_op"),
        (
            RELAY + MAPS + "smtp_sasl_security_options = noanonymous\n",
            "main.cf:6: warning: the password for a relay can be sent without encryption",
        ),
        (RELAY + MAPS + "smtp_sasl_mechanism_filter = plian\n", "warning: the SMTP client cannot log in anywhere"),
        (RELAY + MAPS + "smtp_sasl_type = dovecot\n", "main.cf:6: error: smtp_sasl_type: dovecot is no SASL client"),
        (RELAY + MAPS + "smtp_sasl_security_options = noanonymus\n", "error: smtp_sasl_security_options: noanonymus"),
        (RELAY + MAPS + "smtp_sasl_password_result_delimiter = ab\n", "error: smtp_sasl_password_result_delimiter"),
        ("lmtp_sasl_auth_enable = yes\n", "lmtp_sasl_auth_enable is set, but lmtp_sasl_password_maps is empty"),
    ],
)
def test_what_nothing_can_come_of(tmp_path: Path, capsys: pytest.CaptureFixture[str], main: str, words: str) -> None:
    assert words in said(tmp_path, capsys, main)


@pytest.mark.parametrize(
    "main",
    [
        RELAY + MAPS + SAFE,
        RELAY + MAPS + "smtp_tls_security_level = encrypt\nsmtp_sasl_security_options = noanonymous\n",
        RELAY + MAPS + SAFE + "smtp_sasl_mechanism_filter = !gssapi, static:rest\n",
        "",
    ],
)
def test_what_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str], main: str) -> None:
    assert "nothing to complain about" in said(tmp_path, capsys, main)
