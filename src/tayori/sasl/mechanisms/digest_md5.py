"""DIGEST-MD5 (RFC 2831) with qop=auth. Historic (RFC 6331) and off unless asked for.

The server offers its realms, takes each nonce once with nc=00000001, and, where the context has a `Nonces`, lets
a client log in again with the next count (RFC 2831 2.2); any other count gets a new challenge with stale=true.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from tayori.sasl.mechanisms.base import (
    Broken,
    ClientContext,
    ClientDialogue,
    ClientTalk,
    ServerContext,
    ServerDialogue,
    ServerTalk,
    acting_as,
    name,
    refusal,
)
from tayori.sasl.mechanisms.digest_fields import Fields, quote, read
from tayori.sasl.steps import Challenge, Failure, FetchSecret, SaslError, Secret

WANTED = ("userPassword", "cmusaslsecretDIGEST-MD5")
FIRST_COUNT = "00000001"
NOBODY = Secret({"userPassword": b"?"})


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _encode(text: str, utf8: bool) -> bytes:
    """ISO 8859-1 where it fits, as RFC 2831 2.1.2.1 has it even with charset=utf-8; else UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        if not utf8:
            raise Broken("text outside ISO 8859-1 without charset=utf-8") from None
        return text.encode()


def user_hash(username: str, realm: str, password: str, utf8: bool = True) -> bytes:
    """H(username:realm:password): the 16 bytes that a server may store instead of the password."""
    return _md5(b":".join(_encode(part, utf8) for part in (username, realm, password)))


def proof(secret: bytes, fields: Fields, nonce: str, method: str) -> str:
    """response-value (RFC 2831 2.1.2.1); `method` is "AUTHENTICATE", or "" for the server's rspauth."""
    a1 = b":".join([secret, nonce.encode(), fields["cnonce"].encode()])
    if "authzid" in fields:
        a1 += b":" + fields["authzid"].encode()
    a2 = f"{method}:{fields['digest-uri']}".encode()
    middle = f"{nonce}:{fields['nc']}:{fields['cnonce']}:auth".encode()
    return _md5(_md5(a1).hex().encode() + b":" + middle + b":" + _md5(a2).hex().encode()).hex()


def _realms(context: ServerContext) -> list[str]:
    return context.realm.split() or [context.hostname]


def _challenge(context: ServerContext, nonce: str, stale: bool) -> bytes:
    realms = [f"realm={quote(realm)}" for realm in _realms(context)]
    parts = [*realms, f"nonce={quote(nonce)}", 'qop="auth"', "charset=utf-8", "algorithm=md5-sess"]
    return ",".join([*parts, "stale=true"] if stale else parts).encode()


def _checked(response: bytes, context: ServerContext) -> Fields:
    """The client's fields, each rule of RFC 2831 2.1.2 held that does not need the secret."""
    fields = read(response)
    for needed in ("username", "nonce", "cnonce", "nc", "digest-uri", "response"):
        if not fields.get(needed):
            raise Broken(f"DIGEST-MD5: {needed} is missing")
    name(fields["username"].encode())
    if fields.get("qop", "auth") != "auth":
        raise Broken("DIGEST-MD5: only qop=auth is offered")
    if fields.get("charset", "utf-8").lower() != "utf-8":
        raise Broken("DIGEST-MD5: unknown charset")
    if len(fields["nc"]) != 8 or len(fields["response"]) != 32:
        raise Broken("DIGEST-MD5: nc or response has the wrong length")
    if fields["digest-uri"].partition("/")[0].lower() != context.service:
        raise Broken("DIGEST-MD5: digest-uri is for another service")
    realm = fields.setdefault("realm", "")
    if realm and realm not in _realms(context):
        raise Broken("DIGEST-MD5: the realm is none of those offered")
    return fields


def _secret(answer: Secret, fields: Fields) -> bytes | None:
    """H(username:realm:password) from a plain password or as stored (16 bytes, or 32 hexadecimal digits)."""
    utf8 = "charset" in fields
    plain = answer.values.get("userPassword", b"")
    if plain:
        try:
            return user_hash(fields["username"], fields["realm"], plain.decode(), utf8)
        except UnicodeDecodeError:
            return None
    stored = answer.values.get("cmusaslsecretDIGEST-MD5", b"")
    if len(stored) == 32:
        try:
            return bytes.fromhex(stored.decode("ascii"))
        except ValueError:
            return None
    return stored if len(stored) == 16 else None


def _verify(context: ServerContext, fields: Fields, nonce: str) -> ServerDialogue:
    """Check the response, prove ourselves with rspauth, and remember the nonce."""
    realm = fields["realm"]
    authcid = name(fields["username"].encode())  # the proof is made with the name as it was sent
    answer = yield FetchSecret(authcid, WANTED, realm)
    # a name that does not exist costs the same work
    secret = _secret(answer if isinstance(answer, Secret) else NOBODY, fields)
    right = proof(secret or bytes(16), fields, nonce, "AUTHENTICATE")
    same = hmac.compare_digest(right.encode(), fields["response"].lower().encode())
    refused = refusal(answer)
    if refused:
        return refused
    if secret is None:
        return Failure(f"no plain password is stored for {authcid}, as DIGEST-MD5 needs")
    if not same:
        return Failure("wrong password")
    result = acting_as(answer.username or authcid, fields.get("authzid", ""), authcid)
    if isinstance(result, Failure):
        return result
    if context.nonces is not None:
        context.nonces.remember(nonce, fields["username"], realm, int(fields["nc"], 16), context.clock())
    if (yield Challenge(f"rspauth={proof(secret, fields, nonce, '')}".encode())):
        raise Broken("DIGEST-MD5: the answer to rspauth must be empty")
    return result


def _repeated(initial: bytes, context: ServerContext) -> Fields:
    """The fields of an initial response; none when it cannot be one, which Cyrus SASL answers by a challenge."""
    try:
        return _checked(initial, context)
    except Broken:
        return {}


def _again(context: ServerContext, fields: Fields) -> bool:
    """Whether an initial response carries on with a nonce that logged in here, at the very next count."""
    if context.nonces is None or not fields:
        return False
    due = context.nonces.expects(fields["nonce"], fields["username"], fields["realm"], context.clock())
    return due > 0 and fields["nc"].lower() == f"{due:08x}"


def serve(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """A challenge and its answer; or a repeated login by initial response, when its nonce-count is the next."""
    stale = False
    if initial:
        fields = _repeated(initial, context)
        if _again(context, fields):
            return (yield from _verify(context, fields, fields["nonce"]))
        stale = bool(fields)
    nonce = base64.b64encode(context.random(24)).decode()
    fields = _checked((yield Challenge(_challenge(context, nonce, stale))), context)
    if not hmac.compare_digest(fields["nonce"].encode(), nonce.encode()):
        raise Broken("DIGEST-MD5: the nonce is not ours")
    if fields["nc"] != FIRST_COUNT:
        raise Broken("DIGEST-MD5: the nonce-count of a new nonce must be 1: a replay?")
    return (yield from _verify(context, fields, nonce))


def _answer(context: ClientContext, challenge: bytes) -> Fields:
    """Our fields for a server's challenge, all but the response itself."""
    try:
        offered = read(challenge, repeated=True)
    except Broken as error:
        raise SaslError(str(error)) from None
    if not offered.get("nonce") or offered.get("algorithm") != "md5-sess":
        raise SaslError("DIGEST-MD5 challenge without nonce or algorithm=md5-sess")
    if "auth" not in [option.strip() for option in offered.get("qop", "auth").split(",")]:
        raise SaslError("DIGEST-MD5 server does not offer qop=auth")
    realms = offered["realm"].split("\n") if offered.get("realm") else []
    realm = context.realm if context.realm in realms or not realms else realms[0]
    fields: Fields = {"charset": "utf-8"} if offered.get("charset", "").lower() == "utf-8" else {}
    fields.update({"username": context.username, "realm": realm, "nonce": offered["nonce"], "nc": FIRST_COUNT})
    fields["cnonce"] = base64.b64encode(context.random(24)).decode()
    fields["digest-uri"] = f"{context.service}/{context.host or 'localhost'}"
    if context.authzid and context.authzid != context.username:
        fields["authzid"] = context.authzid
    return fields


def speak(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    """The server speaks first, and proves itself with rspauth last."""
    if not context.username or not context.password:
        raise SaslError("DIGEST-MD5 needs a name and a password")
    challenge = yield None
    fields = _answer(context, challenge or b"")
    try:
        secret = user_hash(context.username, fields["realm"], context.password, "charset" in fields)
    except Broken as error:
        raise SaslError(str(error)) from None
    bare = {"nc", "qop", "response", "charset"}
    fields["response"] = proof(secret, fields, fields["nonce"], "AUTHENTICATE")
    fields["qop"] = "auth"
    charset = "utf-8" if "charset" in fields else "latin-1"
    text = ",".join(f"{key}={value if key in bare else quote(value)}" for key, value in fields.items())
    try:
        message = text.encode(charset)
    except UnicodeEncodeError:
        raise SaslError("text outside ISO 8859-1 without charset=utf-8") from None
    challenge = yield message
    try:
        given = read(challenge).get("rspauth", "")
    except Broken as error:
        raise SaslError(str(error)) from None
    if not hmac.compare_digest(given.lower().encode(), proof(secret, fields, fields["nonce"], "").encode()):
        raise SaslError("the server does not know the password: it is not the one we have an account with")
    talk.complete = True
    yield b""


def server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve, context)


def client(context: ClientContext) -> ClientTalk:
    return ClientTalk(speak, context)
