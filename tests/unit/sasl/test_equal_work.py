"""A name that does not exist, or is locked, costs the same hash calls as a wrong password (issue 3), counted, not timed.

What is counted: each call of a hash function with all that decides its price (algorithm, rounds, memory, lengths).
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import hmac
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argon2
import pytest

from tayori.config import smtpdconf
from tayori.config.settings import Settings
from tayori.sasl import hashes, sasldb, secrets
from tayori.sasl.accounts import AccountFile
from tayori.sasl.authenticator import Authenticator
from tayori.sasl.mechanisms import MECHANISMS, ClientContext, digest_md5
from tayori.sasl.steps import Challenge, Failure, SaslError
from tayori.sasl.verifiers.accounts import Accounts
from tayori.sasl.verifiers.base import Refused, Verifier
from tayori.sasl.verifiers.ldap import LdapStore
from tayori.sasl.verifiers.passwd_file import PasswdFile
from tayori.sasl.verifiers.sasldb import Sasldb
from tayori.sasl.verifiers.shadow import Shadow
from tayori.sasl.verifiers.sql import Sql

Work = list[tuple[object, ...]]
PASSWORD = "secret"


class Meter:
    """Notes every call of a hash function."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.work: Work = []
        note = self.work.append

        def spy(owner: Any, name: str, price: Callable[..., tuple[object, ...]]) -> None:
            real = getattr(owner, name)

            def called(*args: Any, **named: Any) -> Any:
                note((name, *price(*args, **named)))
                return real(*args, **named)

            patch.setattr(owner, name, called)

        spy(hashlib, "pbkdf2_hmac", lambda hash_, password, salt, rounds, size=0: (hash_, len(salt), rounds, size))
        spy(hashlib, "scrypt", lambda password, **cost: tuple(cost[key] for key in ("n", "r", "p", "dklen")))
        spy(hashlib, "new", lambda name, data=b"", **_: (name, len(data)))
        spy(hmac, "digest", lambda key, text, name: (str(name),))
        spy(argon2.PasswordHasher, "verify", lambda self, value, password: (argon2.extract_parameters(value),))
        spy(hashes, "_md5_crypt", lambda password, salt, magic: (len(salt), magic))
        spy(digest_md5, "_md5", lambda data: ())
        library, real_crypt = hashes._libcrypt(), hashes._libcrypt().crypt_r

        class Library:
            @staticmethod
            def crypt_r(password: bytes, value: bytes, data: object) -> object:
                note(("crypt", value.rpartition(b"$")[0].rpartition(b"$")[0], len(value)))
                return real_crypt(password, value, data)

        patch.setattr(hashes, "_libcrypt", lambda: Library)
        self.library = library

    def of(self, verifier: Verifier, name: str, password: str = "wrong!") -> Work:
        """What one question costs; it must be refused."""
        asyncio.run(verifier.probe())  # reading the file is no part of it
        del self.work[:]
        answer = asyncio.run(verifier.verify(name, password, "", "smtp"))
        assert isinstance(answer, Refused), (name, answer)
        return list(self.work)


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    return Meter(monkeypatch)


def crypted(setting: str) -> str:
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    made = library.crypt(PASSWORD.encode(), setting.encode())
    assert made and made[:1] != b"*", setting
    return str(made.decode())


def salted(name: str) -> str:
    import base64

    return base64.b64encode(hashlib.new(name, PASSWORD.encode() + b"salt").digest() + b"salt").decode()


def passlib(name: str) -> str:
    import base64

    made = hashlib.pbkdf2_hmac(name, PASSWORD.encode(), b"saltsalt", 100)
    text = base64.b64encode(made).decode().rstrip("=").replace("+", ".")
    return f"$pbkdf2-{name}$100$c2FsdHNhbHQ${text}"


def samples() -> dict[str, str]:
    """One stored value for each scheme that tayori knows."""
    scrypt = hashlib.scrypt(PASSWORD.encode(), salt=b"saltsalt", n=16, r=1, p=1, dklen=32)
    import base64

    argon = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    argon_i = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1, type=argon2.Type.I)
    found = {
        "PLAIN": PASSWORD,
        "CLEAR": PASSWORD,
        "CLEARTEXT": PASSWORD,
        "ARGON2ID": argon.hash(PASSWORD),
        "ARGON2I": argon_i.hash(PASSWORD),
        "ARGON2": argon.hash(PASSWORD),
        "CRYPT": crypted("$6$rounds=1000$saltsalt$"),
        "DES-CRYPT": crypted("ab"),
        "MD5-CRYPT": crypted("$1$saltsalt$"),
        "SHA256-CRYPT": crypted("$5$rounds=1000$saltsalt$"),
        "SHA512-CRYPT": crypted("$6$rounds=1000$saltsalt$"),
        "BLF-CRYPT": crypted("$2b$04$abcdefghijklmnopqrstuu"),
        "YESCRYPT": crypted("$y$j75$saltsalt"),
        "APR1": hashes._md5_crypt(PASSWORD.encode(), b"saltsalt", b"$apr1$").decode(),
        "SCRYPT": f"$scrypt$ln=4,r=1,p=1$c2FsdHNhbHQ${base64.b64encode(scrypt).decode().rstrip('=')}",
        "PBKDF2": f"$1$salt$100${hashlib.pbkdf2_hmac('sha1', PASSWORD.encode(), b'salt', 100, 20).hex()}",
        "PBKDF2-SHA1": passlib("sha1"),
        "PBKDF2-SHA256": passlib("sha256"),
        "PBKDF2-SHA512": passlib("sha512"),
        "SHA": hashlib.sha1(PASSWORD.encode()).hexdigest(),
        "SHA1": hashlib.sha1(PASSWORD.encode()).hexdigest(),
        "SHA256": hashlib.sha256(PASSWORD.encode()).hexdigest(),
        "SHA512": hashlib.sha512(PASSWORD.encode()).hexdigest(),
        "PLAIN-MD5": hashlib.md5(PASSWORD.encode()).hexdigest(),
        "LDAP-MD5": hashlib.md5(PASSWORD.encode()).hexdigest(),
        "SMD5": salted("md5"),
        "SSHA": salted("sha1"),
        "SSHA256": salted("sha256"),
        "SSHA512": salted("sha512"),
    }
    for hash_ in secrets.HASHES:
        found[f"SCRAM-{hash_}"] = hashes.make_scram(PASSWORD, hash_, 100).partition("}")[2]
    return found


SAMPLES = samples()


def test_every_scheme_has_a_sample() -> None:
    assert SAMPLES.keys() == hashes.SCHEMES.keys()
    for scheme, value in SAMPLES.items():
        assert hashes.matches(f"{{{scheme}}}{value}", PASSWORD), scheme


@pytest.mark.parametrize("scheme", SAMPLES)
def test_passwd_file(tmp_path: Path, meter: Meter, scheme: str) -> None:
    file = tmp_path / "users"
    file.write_text(f"taro:{{{scheme}}}{SAMPLES[scheme]}\nlocked:{{CRYPT}}!x\nnologin:*\n")
    verifier = PasswdFile(file)
    wrong = meter.of(verifier, "taro")
    assert wrong or scheme in ("PLAIN", "CLEAR", "CLEARTEXT")
    for name in ("nobody", "taro@other.example", "locked", "nologin"):
        assert meter.of(verifier, name) == wrong, name
    assert meter.of(verifier, "nobody", PASSWORD) == wrong, "the decoy's own password lets nobody in"
    assert meter.of(verifier, "locked", PASSWORD) == wrong


def test_a_file_of_many_kinds(tmp_path: Path, meter: Meter) -> None:
    """An unknown name looks like one of the others, always like the same one, in each worker."""
    schemes = ("SHA512-CRYPT", "ARGON2ID", "SSHA", "PBKDF2-SHA256")
    file = tmp_path / "users"
    file.write_text("".join(f"user{n}:{{{s}}}{SAMPLES[s]}\n" for n, s in enumerate(schemes)))
    one, two = PasswdFile(file), PasswdFile(file)
    known = [meter.of(one, f"user{n}") for n in range(len(schemes))]
    unknown = [meter.of(one, f"nobody{n}") for n in range(60)]
    assert [work for work in known if work not in unknown] == [] and [w for w in unknown if w not in known] == []
    assert [meter.of(two, f"nobody{n}") for n in range(60)] == unknown


def test_what_cannot_be_checked_is_no_decoy(tmp_path: Path, meter: Meter) -> None:
    file = tmp_path / "users"
    file.write_text(f"odd:{{NTLM}}x\nbroken:{{SSHA}}!!\ntaro:{{SSHA}}{SAMPLES['SSHA']}\n")
    verifier = PasswdFile(file)
    for number in range(50):
        meter.of(verifier, f"nobody{number}")


def test_accounts(tmp_path: Path, meter: Meter) -> None:
    file = AccountFile(tmp_path / "accounts")
    file.add("taro", PASSWORD)
    with file.path.open("a") as more:
        more.write("locked:!{ARGON2ID}$argon2id$x\n")
    verifier = Accounts(file.path)
    wrong = meter.of(verifier, "taro")
    assert [word[0] for word in wrong] == ["digest", "verify"]
    for name in ("nobody", "nobody@example.com", "locked"):
        assert meter.of(verifier, name) == wrong, name


def test_shadow(tmp_path: Path, meter: Meter) -> None:
    file = tmp_path / "shadow"
    row = ":19000:0:99999:7:::\n"
    file.write_text(f"root:*{row}daemon:!*{row}empty:{row}taro:{SAMPLES['YESCRYPT']}{row}bin:!{row}")
    verifier = Shadow(str(file))
    wrong = meter.of(verifier, "taro")
    assert len(wrong) == 1 and wrong[0][0] == "crypt"
    for name in ("nobody", "root", "daemon", "bin", "empty"):
        assert meter.of(verifier, name) == wrong, name
        assert meter.of(verifier, name, PASSWORD) == wrong, name


@pytest.mark.parametrize("scheme", ["SHA512-CRYPT", "BLF-CRYPT", "ARGON2ID", "SSHA512", "PLAIN", "SCRAM-SHA-256"])
def test_sql(tmp_path: Path, meter: Meter, scheme: str) -> None:
    base = sqlite3.connect(tmp_path / "users.sqlite")
    base.execute("CREATE TABLE users (name, password)")
    base.execute("INSERT INTO users VALUES ('taro', ?), ('locked', '{CRYPT}!x')", (f"{{{scheme}}}{SAMPLES[scheme]}",))
    base.commit()
    text = f"sql_engine: sqlite\nsql_database: {tmp_path}/users.sqlite\nsql_select: "
    conf = smtpdconf.parse(text + "SELECT password FROM users WHERE name = '%u'\n", "smtpd.conf")
    verifier = Sql.from_conf(conf, "mail.example.com")
    wrong = meter.of(verifier, "taro")
    assert wrong or scheme == "PLAIN"
    for name in ("nobody", "locked", "x@example.com"):
        assert meter.of(verifier, name) == wrong, name
    verifier.close()


def test_ldapdb(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"taro": [f"{{CRYPT}}{SAMPLES['SHA512-CRYPT']}"]}
    monkeypatch.setattr(LdapStore, "_read", lambda self, username, realm, attributes: entries.get(username, []))
    verifier = LdapStore("ldap://localhost", hostname="mail.example.com")
    wrong = meter.of(verifier, "taro")
    assert wrong and meter.of(verifier, "nobody") == wrong
    verifier.close()


def test_sasldb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain passwords: what costs is to look, and to find out in which realms a name is."""
    file = tmp_path / "sasldb2"
    file.write_bytes(b"x")
    os.utime(file, (1, 1))
    rows = {("taro", "mail.example.com"): b"secret"}
    looked: list[str] = []

    def fetch(path: str, user: str, realm: str, names: tuple[str, ...]) -> dict[str, bytes]:
        looked.append("fetch")
        return {names[0]: rows[user, realm]} if (user, realm) in rows else {}

    def users(path: str) -> list[tuple[str, str, str]]:
        looked.append("users")
        return [(user, realm, sasldb.PASSWORD) for user, realm in rows]

    monkeypatch.setattr(sasldb, "fetch", fetch)
    monkeypatch.setattr(sasldb, "users", users)

    def ask(verifier: Sasldb, name: str) -> list[str]:
        del looked[:]
        assert isinstance(asyncio.run(verifier.verify(name, "wrong", "", "smtp")), Refused)
        return list(looked)

    for first, second in (("taro", "nobody"), ("nobody", "taro")):
        verifier = Sasldb(str(file), hostname="mail.example.com")
        assert ask(verifier, first) == ["fetch", "users"], "the realms are looked through once for all names"
        assert ask(verifier, second) == ["fetch"]
        assert ask(verifier, first) == ask(verifier, second) == []
        verifier.close()


STORES = {"plain": "{PLAIN}secret", "keys": hashes.make_scram(PASSWORD, "SHA-256", 4096)}


@pytest.mark.parametrize(
    ("store", "mechanism"),
    [("plain", name) for name in ("CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")]
    + [("keys", "SCRAM-SHA-256")],
)
def test_mechanisms(tmp_path: Path, meter: Meter, store: str, mechanism: str) -> None:
    """The whole exchange, and what the challenge shows."""
    (tmp_path / "users").write_text(f"taro:{STORES[store]}\n")
    text = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\nmech_list: {mechanism}\n"
    settings = Settings.of({"myhostname": "mail.example.com", "data_directory": str(tmp_path)})
    auth = Authenticator(settings, smtpdconf.parse(text, "smtpd.conf"))

    async def log_in(name: str) -> tuple[Work, int]:
        client = MECHANISMS[mechanism].client(
            ClientContext(name, "wrong!", lambda n: bytes(n), time.time, host="mail.example.com")
        )
        exchange = auth.begin(mechanism, client.next(None), client_address="192.0.2.1", tls=True)
        del meter.work[:]
        step, shown = await exchange.step(), 0
        work = list(meter.work)
        while isinstance(step, Challenge):
            shown = len(step.data)
            try:
                response = client.next(step.data) or b""
            except SaslError as error:
                raise AssertionError(step.data) from error
            del meter.work[:]
            step = await exchange.step(response)
            work += meter.work
        assert isinstance(step, Failure) and not step.temporary
        return work, shown

    async def run() -> None:
        wrong = await log_in("taro")
        assert wrong[0]
        for name in ("none", "tari"):
            unknown = await log_in(name)
            assert unknown[0] == wrong[0]
            assert abs(unknown[1] - wrong[1]) < 3 if mechanism == "CRAM-MD5" else unknown[1] == wrong[1]

    asyncio.run(run())
    auth.close()


def test_scram_shows_salts_of_the_size_that_the_store_has(tmp_path: Path) -> None:
    keys = secrets.braces(secrets.derive("SHA-256", PASSWORD, b"s" * 24, 5000))
    (tmp_path / "users").write_text(f"taro:{keys}\n")
    text = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\n"
    settings = Settings.of({"myhostname": "mail.example.com", "data_directory": str(tmp_path)})
    auth = Authenticator(settings, smtpdconf.parse(text, "smtpd.conf"))

    async def first(name: str) -> list[str]:
        exchange = auth.begin("SCRAM-SHA-256", f"n,,n={name},r=abc".encode(), client_address="192.0.2.1", tls=True)
        step = await exchange.step()
        assert isinstance(step, Challenge)
        return step.data.decode().split(",")

    async def run() -> None:
        assert (await first("nobody"))[2] == "i=5000", "known before anybody has logged in"
        known, unknown = await first("taro"), await first("nobody")
        assert known[2] == unknown[2] == "i=5000"
        assert len(known[1]) == len(unknown[1]) and known[1] != unknown[1]
        assert (await first("nobody"))[1] == unknown[1]

    asyncio.run(run())
    auth.close()
