"""Stored forms against known vectors and against the programs that make them."""

from __future__ import annotations

import subprocess

import pytest

from support.peers import require
from tayori.sasl import hashes

# RFC 7914 12 (scrypt), RFC 6070 (PBKDF2-HMAC-SHA1), and values published with bcrypt, MD5-crypt and APR.
KNOWN = {
    "bcrypt": ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
    "md5-crypt": ("$1$3azHgidD$SrJPt7B.9rekpmwJwtON31", "password"),
    "apr1": ("$apr1$qHDFfhPC$nITSVHgYbDAK1Y0acGRnY0", "myPassword"),
    "scrypt": (
        "{SCRYPT}1024$8$16$TmFDbA==$"
        "/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA==",
        "password",
    ),
    "pbkdf2": ("{PBKDF2}$1$salt$4096$4b007901b765489abead49d926f721d065a429c1", "password"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_published_values(name: str) -> None:
    stored, password = KNOWN[name]
    assert hashes.matches(stored, password)
    assert not hashes.matches(stored, password + "x")


def test_salted_digests() -> None:
    import base64
    import hashlib

    for scheme, kind in (("SSHA", "sha1"), ("SSHA256", "sha256"), ("SSHA512", "sha512"), ("SMD5", "md5")):
        made = base64.b64encode(hashlib.new(kind, b"pwsalt").digest() + b"salt").decode()
        assert hashes.matches(f"{{{scheme}}}{made}", "pw") and not hashes.matches(f"{{{scheme}}}{made}", "pw2")


@pytest.mark.peer
@pytest.mark.parametrize("flag", ["-1", "-5", "-6", "-apr1"])
def test_openssl_passwd(flag: str) -> None:
    made = subprocess.run(
        [require("openssl"), "passwd", flag, "Hello world!"], capture_output=True, text=True, check=True
    )
    stored = made.stdout.strip()
    assert hashes.matches(stored, "Hello world!") and not hashes.matches(stored, "hello world!")


@pytest.mark.peer
@pytest.mark.parametrize("flag", ["-B", "-m", "-d"])
def test_htpasswd(flag: str) -> None:
    program = require("htpasswd", "apache2-utils")
    line = subprocess.run([program, "-bn", flag, "taro", "pa$$w0rd"], capture_output=True, text=True, check=True)
    stored = line.stdout.strip().partition(":")[2]
    assert hashes.matches(stored, "pa$$w0rd") and not hashes.matches(stored, "Pa$$w0rd")


@pytest.mark.peer
@pytest.mark.parametrize(
    "method", ["yescrypt", "gost-yescrypt", "scrypt", "bcrypt", "sha512crypt", "md5crypt", "descrypt"]
)
def test_mkpasswd(method: str) -> None:
    program = require("mkpasswd", "whois")
    made = subprocess.run([program, "-m", method, "--stdin"], input="pässwort", capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert hashes.matches(made.stdout.strip(), "pässwort") and not hashes.matches(made.stdout.strip(), "passwort")


DOVECOT = (
    "ARGON2ID", "ARGON2I", "BLF-CRYPT", "CRYPT", "DES-CRYPT", "MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "PBKDF2",
    "SSHA", "SSHA256", "SSHA512", "SMD5", "SHA", "SHA1", "SHA256", "SHA512", "PLAIN-MD5", "LDAP-MD5", "PLAIN",
    "CLEARTEXT", "SCRAM-SHA-1", "SCRAM-SHA-256", "SHA256.hex", "SSHA512.b64",
)  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("scheme", DOVECOT)
def test_doveadm_pw(scheme: str) -> None:
    program = require("doveadm", "dovecot-core")
    made = subprocess.run([program, "-O", "pw", "-s", scheme, "-p", "Secret-123"], capture_output=True, text=True)
    if made.returncode or not made.stdout.startswith("{"):
        pytest.skip(f"this doveadm does not make {scheme}: {made.stderr.strip()[:80]}")
    stored = made.stdout.strip()
    assert hashes.matches(stored, "Secret-123") and not hashes.matches(stored, "secret-123")
