"""A small certificate authority for one test: an authority, a server, a client, and a client nobody signed."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pki:
    """Paths of PEM files; each of `server`, `client` and `lone` holds key and certificate."""

    authority: Path
    server: Path
    client: Path
    lone: Path
    lone_fingerprint: str


def _make(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None, email: str = "", ca: bool = False
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    alternative: x509.GeneralName = x509.RFC822Name(email) if email else x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    return certificate, key


def make(folder: Path) -> Pki:
    """Write everything into `folder`."""
    authority = _make("test authority", None, ca=True)
    pairs = {
        "server": _make("localhost", authority),
        "client": _make("somebody", authority, email="taro@example.com"),
        "lone": _make("lone", None, email="taro@example.com"),
    }
    for name, (certificate, key) in pairs.items():
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.pem").write_bytes(authority[0].public_bytes(serialization.Encoding.PEM))
    print_ = pairs["lone"][0].fingerprint(hashes.SHA256()).hex(":").upper()
    return Pki(folder / "ca.pem", *(folder / f"{name}.pem" for name in pairs), print_)
