"""SCRAM-SHA-1, -256, -512 and their -PLUS forms (RFC 5802, RFC 7677, RFC 9266): the server side.

Neither side shows the password, each proves that it knows it, and -PLUS ties both proofs to the TLS channel.
Unknown users get a salt that is the same each time (from the server key) and are refused only at the end.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass

from tayori.sasl.mechanisms.base import (
    Broken,
    ServerContext,
    ServerDialogue,
    ServerTalk,
    acting_as,
    name,
    utf8,
)
from tayori.sasl.mechanisms.gs2 import decode_name
from tayori.sasl.prep import PrepError, saslprep
from tayori.sasl.secrets import SIZES, ScramKeys, derive, digest, mac, parse
from tayori.sasl.steps import Challenge, Failure, FetchSecret, Secret
from tayori.sasl.verifiers.base import Refused, TryLater

_FIRST = re.compile(
    r"(n|y|p=[A-Za-z0-9.\-]+),(?:a=([^,]+))?,(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)", re.DOTALL
)
_FINAL = re.compile(r"(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?),p=([A-Za-z0-9+/=]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class First:
    """The client's first message, taken apart. `bare` is what goes into AuthMessage (RFC 5802 3)."""

    header: bytes
    bare: str
    authzid: str
    authcid: str
    nonce: str
    binding: bytes


def wanted(hash_: str) -> tuple[str, ...]:
    """Secrets that can serve: stored keys of this hash first, then a plain password."""
    return (f"cmusaslsecretSCRAM-{hash_}", "authPassword", "userPassword")


def read_first(message: str, plus: bool, context: ServerContext) -> First:
    """Check the GS2 header against what we offered and have (RFC 5802 6), and take the rest apart."""
    found = _FIRST.fullmatch(message)
    if found is None:
        raise Broken("SCRAM client-first-message is malformed")  # m= (mandatory extension) ends here too
    flag, authzid, bare, user, nonce = found.groups()
    binding = b""
    if flag.startswith("p="):
        # also in a mechanism without -PLUS, as libsasl2 2.1.28 names it when it binds: bound is bound
        kind = flag[2:]
        if kind not in context.channel_bindings:
            raise Broken(f"channel binding {kind} is not available here")
        binding = context.channel_bindings[kind]
    elif plus:
        raise Broken("-PLUS without channel binding")
    elif flag == "y" and context.offers_plus:
        raise Broken("the client saw no -PLUS though we offer it: somebody between may have removed it")
    header = message[: len(message) - len(bare)].encode()
    authcid = _prepared(name(decode_name(user).encode()))
    return First(header, bare, decode_name(authzid or ""), authcid, nonce, binding)


def _prepared(user: str) -> str:
    try:
        prepared = saslprep(user, query=True)
    except PrepError as error:
        raise Broken(f"user name {error}") from None
    if not prepared:
        raise Broken("user name is empty")
    return prepared


def _salt(context: ServerContext, hash_: str, authcid: str) -> bytes:
    """The same for the same name, and not to be told from a stored one: for unknown users and plain passwords."""
    text = f"{hash_}\0{context.realm}\0{authcid}".encode()
    return hmac.digest(context.server_key, text, "sha512")[: context.salt_size]


def _stored(secret: Secret, hash_: str) -> ScramKeys | None:
    """Stored keys of this hash, from whichever property holds them (authPassword may hold several, one a line)."""
    for value in secret.values.values():
        for line in value.decode("utf-8", "replace").splitlines():
            keys = parse(line) if "SCRAM-" in line[:8].upper() else None
            if keys is not None and keys.hash == hash_:
                return keys
    return None


def _keys(context: ServerContext, hash_: str, authcid: str, answer: Secret | Refused) -> tuple[ScramKeys, str]:
    """The keys to check against, and why they can never be right ("" when they can).

    Where there is nothing to check against, keys are made all the same, so that neither salt nor time tells.
    """
    salt = _salt(context, hash_, authcid)
    if isinstance(answer, Secret):
        keys = _stored(answer, hash_)
        if keys is not None:
            return keys, ""
        plain = answer.values.get("userPassword", b"")
        why = f"no SCRAM-{hash_} key and no plain password is stored for {authcid}"
        try:
            password = plain.decode()
        except UnicodeDecodeError:
            password, why = "", f"the password stored for {authcid} is not UTF-8"
        if password and not password.startswith("{SCRAM-") and not parse(password):
            return derive(hash_, password, salt, context.iterations), ""
    else:
        why = answer.why
    if context.plain_store:
        return derive(hash_, "?", salt, context.iterations), why
    size = SIZES[hash_]
    return ScramKeys(hash_, context.iterations, salt, bytes(size), bytes(size)), why


def proves(keys: ScramKeys, auth_message: bytes, proof: bytes) -> bool:
    """Whether the client's proof comes from the password behind the keys (RFC 5802 3); in constant time."""
    signature = mac(keys.hash, keys.stored, auth_message)
    if len(proof) != len(signature):
        return False
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return hmac.compare_digest(digest(keys.hash, client_key), keys.stored)


def unbase64(text: str) -> bytes:
    """Strict base64; Broken otherwise."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Broken("SCRAM: invalid base64") from None


def _serve(hash_: str, plus: bool, context: ServerContext, initial: bytes | None) -> ServerDialogue:
    response: bytes = initial if initial is not None else (yield Challenge(b""))
    first = read_first(utf8(response, "SCRAM message"), plus, context)
    answer = yield FetchSecret(first.authcid, wanted(hash_), context.realm)
    if isinstance(answer, TryLater):
        return Failure(answer.why, temporary=True)
    keys, impossible = _keys(context, hash_, first.authcid, answer)

    nonce = first.nonce + base64.b64encode(context.random(18)).decode()
    server_first = f"r={nonce},s={base64.b64encode(keys.salt).decode()},i={keys.iterations}"
    final = _FINAL.fullmatch(utf8((yield Challenge(server_first.encode())), "SCRAM message"))
    if final is None:
        raise Broken("SCRAM client-final-message is malformed")
    without_proof, binding, given_nonce, proof = final.groups()
    if not hmac.compare_digest(given_nonce.encode(), nonce.encode()):
        raise Broken("SCRAM nonce is not ours")
    if not hmac.compare_digest(unbase64(binding), first.header + first.binding):
        raise Broken("channel binding does not match: another TLS session, or a changed header")
    auth_message = f"{first.bare},{server_first},{without_proof}".encode()
    right = proves(keys, auth_message, unbase64(proof))
    if impossible or not right:
        return Failure(impossible or "wrong password")

    username = (answer.username if isinstance(answer, Secret) else "") or first.authcid
    result = acting_as(username, first.authzid, first.authcid, context.realm)
    if isinstance(result, Failure):
        return result
    signature = mac(hash_, keys.server, auth_message)
    if (yield Challenge(b"v=" + base64.b64encode(signature))):
        raise Broken("SCRAM: the answer to the server's proof must be empty")
    return result


class Server:
    """The factory of a row: `Server("SHA-256", plus=True)(context)`."""

    def __init__(self, hash_: str, plus: bool) -> None:
        self._hash = hash_
        self._plus = plus

    def _start(self, context: ServerContext, initial: bytes | None) -> ServerDialogue:
        return _serve(self._hash, self._plus, context, initial)

    def __call__(self, context: ServerContext) -> ServerTalk:
        return ServerTalk(self._start, context)
