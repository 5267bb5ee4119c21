"""What check finds by looking at the machine."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.ports import free_port
from tayori.config.lint import read_source
from tayori.net.system import probe
from tayori.programs.commands import certificate, check_live


def findings(tmp_path: Path, main: str = "", master: str = "", smtpd: str = "") -> list[tuple[str, str, int]]:
    """(code, title, line) of each."""
    (tmp_path / "main.cf").write_text(
        f"compatibility_level = 3.6\nmyhostname = mail.example.com\nqueue_directory = {tmp_path}/q\n{main}"
    )
    (tmp_path / "master.cf").write_text(master or f"127.0.0.1:{free_port()} inet n - n - - smtpd\n")
    (tmp_path / "sasl").mkdir(exist_ok=True)
    (tmp_path / "sasl" / "smtpd.conf").write_text(smtpd or "pwcheck_method: accounts\n")
    source = read_source(str(tmp_path), probe())
    return [(f.code, f"{f.title} {f.mend}", f.origin.line) for f in check_live.check(source)]


def test_a_port_that_somebody_holds(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ((code, text, line),) = findings(tmp_path, master=f"127.0.0.1:{port} inet n - n - - smtpd\n")
    assert code == "port-taken" and line == 1
    assert f"port {port} is taken by" in text and "Stop it with: kill" in text
    assert findings(tmp_path) == []


def test_saslauthd_that_is_not_there_and_one_that_is(tmp_path: Path) -> None:
    main = "smtpd_sasl_auth_enable = yes\n"
    smtpd = f"mech_list: plain\npwcheck_method: saslauthd\nsaslauthd_path: {tmp_path}/s\n"
    ((code, text, line),) = findings(tmp_path, main, smtpd=smtpd)
    assert code == "saslauthd-unreachable" and line == 3
    assert f"{tmp_path}/s: No such file or directory" in text
    assert findings(tmp_path, smtpd=smtpd) == []
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "s"))
        (tmp_path / "s").chmod(0o777)
        daemon.listen()
        assert "saslauthd-unreachable" not in [f[0] for f in findings(tmp_path, main, smtpd=smtpd)]


def test_dovecot_that_is_not_there_and_one_that_is(tmp_path: Path) -> None:
    main = "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n"
    ((code, text, line),) = findings(tmp_path, main)
    assert code == "dovecot-unreachable" and line == 6
    assert f"{tmp_path}/q/private/auth: No such file or directory" in text
    assert findings(tmp_path, main.replace("private/auth", "inet:127.0.0.1:1")) == []
    (tmp_path / "q" / "private").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "q" / "private" / "auth"))
        daemon.listen()
        assert findings(tmp_path, main) == []


TLS = "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {0}\n"


def test_a_good_certificate_is_passed_over(tmp_path: Path) -> None:
    certificate.make(tmp_path / "tls.pem", ("mail.example.com",))
    assert findings(tmp_path, TLS.format(tmp_path / "tls.pem")) == []
    assert (tmp_path / "tls.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        certificate.make(tmp_path / "tls.pem", ("mail.example.com",))


def test_bad_certificates(tmp_path: Path) -> None:
    ((code, text, line),) = findings(tmp_path, TLS.format(tmp_path / "none.pem"))
    assert code == "certificate-unreadable" and line == 5 and "No such file" in text
    certificate.make(tmp_path / "other.pem", ("*.example.org",))
    ((code, text, _),) = findings(tmp_path, TLS.format(tmp_path / "other.pem"))
    assert code == "certificate-name" and "is for *.example.org, not for mail.example.com" in text
    certificate.make(tmp_path / "a.pem", ("mail.example.com",))
    certificate.public_part(tmp_path / "a.pem", tmp_path / "a-public.pem")
    pair = f"{tmp_path}/other.pem, {tmp_path}/a-public.pem"
    assert "certificate-mismatch" not in [f[0] for f in findings(tmp_path, TLS.format(pair))]
    own = f"smtpd_tls_security_level = may\nsmtpd_tls_key_file = {tmp_path}/other.pem\nsmtpd_tls_cert_file = {{}}\n"
    key_only = tmp_path / "key.pem"
    key_only.write_text((tmp_path / "other.pem").read_text().partition("-----BEGIN CERTIFICATE")[0])
    own = own.replace("other.pem", "key.pem").format(tmp_path / "a-public.pem")
    assert [f[0] for f in findings(tmp_path, own)] == ["certificate-mismatch"]
    ((code, text, _),) = findings(tmp_path, TLS.format(tmp_path / "a-public.pem"))
    assert code == "certificate-unreadable" and "no private key" in text


@pytest.mark.parametrize(("days", "says"), [(-1, "expired on"), (5, "expires on")])
def test_old_certificates(tmp_path: Path, days: int, says: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=30)).not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem, pkcs8, none = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "t.pem").write_bytes(key.private_bytes(pem, pkcs8, none) + made.public_bytes(pem))
    ((code, text, _),) = findings(tmp_path, TLS.format(tmp_path / "t.pem"))
    assert code == "certificate-expired" and says in text
