"""Stored passwords: `{SCHEME}value` as Dovecot writes them, htpasswd's and crypt(3)'s `$id$…`, SCRAM keys.

`matches(stored, password)` is slow on purpose for good schemes: call it in a thread. Passwords are taken in NFC
(RFC 8265 OpaqueString, but nothing is refused).
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import ctypes.util
import hashlib
import hmac
import os
import unicodedata
from collections.abc import Callable
from functools import cache

import argon2

from tayori.sasl import secrets

# RFC 9106 asks for as much as the machine can spare; this is OWASP's smallest recommended setting, about 20 ms.
_ARGON2 = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
SCRAM_ROUNDS = 10000


class UnknownScheme(Exception):
    """A stored form that cannot be checked here; the text names it and holds no secret."""


def prepare(password: str) -> bytes:
    """The octets that are hashed."""
    if not password.isascii():
        password = unicodedata.normalize("NFC", password)
    return password.encode("utf-8", "surrogateescape")


def make_argon2id(password: str) -> str:
    """`{ARGON2ID}$argon2id$…`, fresh salt."""
    return "{ARGON2ID}" + _ARGON2.hash(prepare(password))


def never(stored: str, default_scheme: str = "CRYPT") -> bool:
    """Whether no password can fit: a crypt(3) value that is locked (`!…`, `*…`) or too short to be one."""
    scheme, value = split(stored)
    return SCHEMES.get((scheme or default_scheme).partition(".")[0]) is crypt and not _usable(value)


def checkable(stored: str, default_scheme: str = "CRYPT") -> bool:
    """Whether `matches` knows the scheme."""
    return (split(stored)[0] or default_scheme).partition(".")[0] in SCHEMES


def is_plain(stored: str, default_scheme: str = "CRYPT") -> bool:
    """Whether the password itself is stored."""
    return SCHEMES.get(split(stored)[0] or default_scheme) is _plain


def split(stored: str) -> tuple[str, str]:
    """(SCHEME, value). Without braces the scheme is told from the value's beginning."""
    if stored.startswith("{"):
        scheme, brace, value = stored[1:].partition("}")
        if brace:
            return scheme.upper(), value
    keys = secrets.parse(stored) if stored.startswith("SCRAM-") else None
    if keys is not None:
        return split(secrets.braces(keys))
    for beginning, scheme in _BEGINNINGS.items():
        if stored.startswith(beginning):
            return scheme, stored
    return "", stored


def matches(stored: str, password: str, default_scheme: str = "CRYPT") -> bool:
    """Whether the password fits. Raises UnknownScheme."""
    scheme, value = split(stored)
    scheme = scheme or default_scheme
    base, _, encoding = scheme.partition(".")
    check = SCHEMES.get(base)
    if check is None:
        raise UnknownScheme(f"passwords stored as {{{scheme}}} cannot be checked")
    if encoding:
        value = _recode(value, encoding)
    try:
        return check(value, prepare(password))
    except (ValueError, binascii.Error) as error:
        raise UnknownScheme(f"a {{{scheme}}} value that cannot be read") from error


def _recode(value: str, encoding: str) -> str:
    """Dovecot's `.b64` and `.hex` suffixes: the value brought to base64."""
    if encoding in ("B64", "BASE64"):
        return value
    if encoding == "HEX":
        return base64.b64encode(bytes.fromhex(value)).decode()
    raise ValueError("unknown encoding")


def _same(a: bytes, b: bytes) -> bool:
    return hmac.compare_digest(a, b)


def _plain(value: str, password: bytes) -> bool:
    return _same(prepare(value), password)


def _argon2(value: str, password: bytes) -> bool:
    try:
        return argon2.PasswordHasher().verify(value, password)
    except argon2.exceptions.VerifyMismatchError:
        return False
    except (argon2.exceptions.InvalidHashError, argon2.exceptions.VerificationError) as error:
        raise ValueError("argon2") from error


def _digest(name: str) -> Callable[[str, bytes], bool]:
    """Unsalted digests, hex or base64."""
    size = hashlib.new(name, usedforsecurity=False).digest_size

    def check(value: str, password: bytes) -> bool:
        raw = bytes.fromhex(value) if len(value) == 2 * size else base64.b64decode(value, validate=True)
        return _same(raw, hashlib.new(name, password, usedforsecurity=False).digest())

    return check


def _salted(name: str) -> Callable[[str, bytes], bool]:
    """RFC 2307 {SSHA} and its like: base64(digest + salt)."""
    size = hashlib.new(name, usedforsecurity=False).digest_size

    def check(value: str, password: bytes) -> bool:
        raw = base64.b64decode(value, validate=True)
        if len(raw) < size:
            raise ValueError("too short")
        return _same(raw[:size], hashlib.new(name, password + raw[size:], usedforsecurity=False).digest())

    return check


def _pbkdf2(value: str, password: bytes) -> bool:
    """Dovecot: `$1$salt$rounds$hex` with SHA-1, the salt as text."""
    _, _, salt, rounds, digest = value.split("$")
    wanted = bytes.fromhex(digest)
    return _same(wanted, hashlib.pbkdf2_hmac("sha1", password, salt.encode(), _rounds(rounds), len(wanted)))


def _pbkdf2_passlib(name: str) -> Callable[[str, bytes], bool]:
    """`$pbkdf2-sha256$rounds$salt$digest`, base64 with `.` for `+` and no padding."""

    def check(value: str, password: bytes) -> bool:
        rounds, salt, digest = value.rsplit("$", 3)[1:]
        wanted = _ab64(digest)
        return _same(wanted, hashlib.pbkdf2_hmac(name, password, _ab64(salt), _rounds(rounds), len(wanted)))

    return check


def _ab64(text: str) -> bytes:
    return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4), validate=True)


def _rounds(text: str) -> int:
    rounds = int(text)
    if not 1 <= rounds <= 10_000_000:
        raise ValueError("rounds")
    return rounds


def _scrypt(value: str, password: bytes) -> bool:
    """`$scrypt$ln=15,r=8,p=1$salt$digest` (passlib) or the `N$r$p$salt$digest` of plain tools, base64."""
    parts = value.strip("$").split("$")
    if parts[0] == "scrypt":
        cost = dict(item.split("=", 1) for item in parts[1].split(","))
        n, r, p = 1 << int(cost["ln"]), int(cost["r"]), int(cost["p"])
        salt, wanted = _ab64(parts[2]), _ab64(parts[3])
    else:
        n, r, p = int(parts[0]), int(parts[1]), int(parts[2])
        salt, wanted = _ab64(parts[3]), _ab64(parts[4])
    memory = 128 * n * r * (p + 2)
    if memory > 1 << 30:
        raise ValueError("too costly")
    return _same(
        wanted, hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=memory + (1 << 20), dklen=len(wanted))
    )


@cache
def _libcrypt() -> ctypes.CDLL:
    name = ctypes.util.find_library("crypt") or "libcrypt.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise UnknownScheme("crypt(3) passwords need libcrypt (libxcrypt), which is not installed") from error
    library.crypt_r.restype = ctypes.c_char_p
    library.crypt_r.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
    return library


def crypt(value: str, password: bytes) -> bool:
    """crypt(3) of libxcrypt: DES, MD5, SHA-2, bcrypt, scrypt, yescrypt, whatever the library knows."""
    if b"\0" in password or not _usable(value):
        return False
    data = ctypes.create_string_buffer(131072)  # above any library's struct crypt_data
    made = _libcrypt().crypt_r(password, value.encode(), data)
    return made is not None and not made.startswith(b"*") and _same(made, value.encode())


def _usable(value: str) -> bool:
    return value.isascii() and not value.startswith(("!", "*")) and len(value) >= 13


def _apr1(value: str, password: bytes) -> bool:
    """htpasswd's `$apr1$salt$digest`: MD5-crypt of 1,000 rounds with Apache's own magic."""
    _, _, salt_text, _ = value.split("$")
    return _same(value.encode(), _md5_crypt(password, salt_text.encode()[:8], b"$apr1$"))


def _md5_crypt(password: bytes, salt: bytes, magic: bytes) -> bytes:
    def md5(data: bytes) -> bytes:
        return hashlib.md5(data, usedforsecurity=False).digest()

    inner = md5(password + salt + password)
    text = password + magic + salt + (inner * (len(password) // 16 + 1))[: len(password)]
    left = len(password)
    while left:
        text += b"\0" if left & 1 else password[:1]
        left >>= 1
    state = md5(text)
    for turn in range(1000):
        data = password if turn & 1 else state
        data += (salt if turn % 3 else b"") + (password if turn % 7 else b"")
        state = md5(data + (state if turn & 1 else password))
    alphabet = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    out = bytearray()
    for a, b, c in ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)):
        number = state[a] << 16 | state[b] << 8 | state[c]
        out += bytes(alphabet[number >> shift & 63] for shift in (0, 6, 12, 18))
    out += bytes((alphabet[state[11] & 63], alphabet[state[11] >> 6]))
    return magic + salt + b"$" + bytes(out)


def make_scram(password: str, hash_: str, rounds: int = SCRAM_ROUNDS) -> str:
    """`{SCRAM-SHA-256}rounds,salt,StoredKey,ServerKey`; `hash_` is "SHA-1", "SHA-256" or "SHA-512"."""
    return secrets.braces(secrets.derive(hash_, password, os.urandom(16), rounds))


def _scram(hash_: str) -> Callable[[str, bytes], bool]:
    def check(value: str, password: bytes) -> bool:
        keys = secrets.parse(f"{{SCRAM-{hash_}}}{value}")
        if keys is None:
            raise ValueError("scram")
        return secrets.matches(keys, password.decode("utf-8", "surrogateescape"))

    return check


def property_of(stored: str) -> tuple[str, str]:
    """(the property that `fetch` may give for a stored value, the value); an empty name for hashes."""
    keys = secrets.parse(stored)
    if keys is not None:
        return f"cmusaslsecretSCRAM-{keys.hash}", secrets.braces(keys)
    scheme, value = split(stored)
    return ("userPassword", value) if scheme in ("", "PLAIN", "CLEAR", "CLEARTEXT") else ("", "")


_BEGINNINGS = {
    "$argon2": "ARGON2ID",
    "$apr1$": "APR1",
    "$scrypt$": "SCRYPT",
    "$pbkdf2-sha256$": "PBKDF2-SHA256",
    "$pbkdf2-sha512$": "PBKDF2-SHA512",
    "$pbkdf2$": "PBKDF2-SHA1",
    "$": "CRYPT",
}
SCHEMES: dict[str, Callable[[str, bytes], bool]] = {
    "PLAIN": _plain,
    "CLEAR": _plain,
    "CLEARTEXT": _plain,
    "ARGON2ID": _argon2,
    "ARGON2I": _argon2,
    "ARGON2": _argon2,
    "CRYPT": crypt,
    "DES-CRYPT": crypt,
    "MD5-CRYPT": crypt,
    "SHA256-CRYPT": crypt,
    "SHA512-CRYPT": crypt,
    "BLF-CRYPT": crypt,
    "YESCRYPT": crypt,
    "APR1": _apr1,
    "SCRYPT": _scrypt,
    "PBKDF2": _pbkdf2,
    "PBKDF2-SHA1": _pbkdf2_passlib("sha1"),
    "PBKDF2-SHA256": _pbkdf2_passlib("sha256"),
    "PBKDF2-SHA512": _pbkdf2_passlib("sha512"),
    "SHA": _digest("sha1"),
    "SHA1": _digest("sha1"),
    "SHA256": _digest("sha256"),
    "SHA512": _digest("sha512"),
    "PLAIN-MD5": _digest("md5"),
    "LDAP-MD5": _digest("md5"),
    "SMD5": _salted("md5"),
    "SSHA": _salted("sha1"),
    "SSHA256": _salted("sha256"),
    "SSHA512": _salted("sha512"),
    "SCRAM-SHA-1": _scram("SHA-1"),
    "SCRAM-SHA-256": _scram("SHA-256"),
    "SCRAM-SHA-512": _scram("SHA-512"),
}
