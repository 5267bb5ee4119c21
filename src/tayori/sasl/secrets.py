"""SCRAM stored keys: making them from a password, reading and writing the forms they are kept in.

Forms read (`parse`): `{SCRAM-SHA-256}4096,SALT,STOREDKEY,SERVERKEY` (Dovecot's passdb);
`SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY` (PostgreSQL's pg_authid, and authPassword values of RFC 5803, which
Cyrus SASL writes). The parts are base64. A password file that holds these lets nobody log in who reads it,
though it lets him pretend to be the server, and guess.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from functools import lru_cache

from tayori.sasl.prep import PrepError, saslprep

HASHES = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
SIZES = {"SHA-1": 20, "SHA-256": 32, "SHA-512": 64}
MAX_ITERATIONS = 10_000_000
DEFAULT_ITERATIONS = 4096  # RFC 5802 5.1 and RFC 7677 4, and what PostgreSQL and Cyrus SASL use

_BRACES = re.compile(r"\{SCRAM-(SHA-1|SHA-256|SHA-512)\}(\d{1,8}),([^,]+),([^,]+),([^,]+)", re.ASCII | re.IGNORECASE)
_DOLLARS = re.compile(
    r"\s*SCRAM-(SHA-1|SHA-256|SHA-512)\s*\$\s*(\d{1,8}):([^$:]+?)\s*\$\s*([^$:]+):([^$:]+?)\s*",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps of a password. `hash` is "SHA-1", "SHA-256" or "SHA-512"."""

    hash: str
    iterations: int
    salt: bytes
    stored: bytes = field(repr=False)
    server: bytes = field(repr=False)


def mac(hash_: str, key: bytes, text: bytes) -> bytes:
    """HMAC of RFC 5802 2.2."""
    return hmac.digest(key, text, HASHES[hash_])


def digest(hash_: str, text: bytes) -> bytes:
    """H of RFC 5802 2.2."""
    return hashlib.new(HASHES[hash_], text, usedforsecurity=False).digest()


def salted(hash_: str, password: str, salt: bytes, iterations: int) -> bytes:
    """SaltedPassword of RFC 5802 3. A password that SASLprep prohibits is taken as it is, as other servers do."""
    try:
        prepared = saslprep(password, query=True)
    except PrepError:
        prepared = password
    return hashlib.pbkdf2_hmac(HASHES[hash_], prepared.encode(), salt, iterations)


def derive(hash_: str, password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> ScramKeys:
    """Keys for a password (RFC 5802 3). Costs `iterations` HMACs: 1.5 ms for 4096 of SHA-256."""
    secret = salted(hash_, password, salt, iterations)
    stored = digest(hash_, mac(hash_, secret, b"Client Key"))
    return ScramKeys(hash_, iterations, salt, stored, mac(hash_, secret, b"Server Key"))


def matches(keys: ScramKeys, password: str) -> bool:
    """Whether stored keys belong to a plain password, as PLAIN needs to know; in constant time."""
    made = derive(keys.hash, password, keys.salt, keys.iterations)
    return hmac.compare_digest(made.stored, keys.stored)


@lru_cache(4096)
def parse(text: str) -> ScramKeys | None:
    """Keys from one of the forms above; None when it is none of them or is damaged."""
    found = _BRACES.fullmatch(text) or _DOLLARS.fullmatch(text)
    if found is None:
        return None
    hash_, iterations = found[1].upper(), int(found[2])
    try:
        salt, stored, server = (base64.b64decode(part, validate=True) for part in found.group(3, 4, 5))
    except (binascii.Error, ValueError):
        return None
    size = SIZES[hash_]
    if not (0 < iterations <= MAX_ITERATIONS and salt and len(stored) == len(server) == size):
        return None
    return ScramKeys(hash_, iterations, salt, stored, server)


def _base64(*parts: bytes) -> list[str]:
    return [base64.b64encode(part).decode() for part in parts]


def braces(keys: ScramKeys) -> str:
    """`{SCRAM-SHA-256}iterations,salt,stored,server`, for a passwd-file."""
    salt, stored, server = _base64(keys.salt, keys.stored, keys.server)
    return f"{{SCRAM-{keys.hash}}}{keys.iterations},{salt},{stored},{server}"


def dollars(keys: ScramKeys) -> str:
    """`SCRAM-SHA-256$iterations:salt$stored:server`, for PostgreSQL and authPassword (RFC 5803)."""
    salt, stored, server = _base64(keys.salt, keys.stored, keys.server)
    return f"SCRAM-{keys.hash}${keys.iterations}:{salt}${stored}:{server}"
