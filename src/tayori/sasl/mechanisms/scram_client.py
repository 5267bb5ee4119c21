"""SCRAM (RFC 5802), the client side: refuses a server that does not know the password."""

from __future__ import annotations

import base64
import binascii
import hmac
import re

from tayori.sasl.mechanisms.base import ClientContext, ClientDialogue, ClientTalk
from tayori.sasl.mechanisms.gs2 import BINDINGS, encode_name
from tayori.sasl.prep import PrepError, saslprep
from tayori.sasl.secrets import digest, mac, salted
from tayori.sasl.steps import SaslError

_SERVER_FIRST = re.compile(r"r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,8})(?:,.*)?", re.DOTALL)
MIN_ITERATIONS = 4096  # RFC 7677 4; less would make an eavesdropper's guessing cheap
MAX_ITERATIONS = 2_000_000  # about a second: a hostile server shall not hold us longer


def _flag(plus: bool, context: ClientContext) -> tuple[str, bytes]:
    """The channel binding flag and its data (RFC 5802 6)."""
    if plus:
        kind = next((kind for kind in BINDINGS if kind in context.channel_bindings), "")
        if not kind:
            raise SaslError("no channel binding for a -PLUS mechanism")
        return f"p={kind}", context.channel_bindings[kind]
    return ("y" if context.channel_bindings and not context.offers_plus else "n"), b""


def _read_first(challenge: bytes, nonce: str) -> tuple[str, str, bytes, int]:
    """The server's first message: itself, the whole nonce, salt and iterations."""
    try:
        text = challenge.decode("ascii")
    except UnicodeDecodeError:
        raise SaslError("SCRAM server-first-message is not ASCII") from None
    found = _SERVER_FIRST.fullmatch(text)
    if found is None:
        raise SaslError("SCRAM server-first-message is malformed")
    if not found[1].startswith(nonce) or len(found[1]) == len(nonce):
        raise SaslError("SCRAM server did not extend our nonce")
    iterations = int(found[3])
    if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise SaslError(
            f"SCRAM server asks for {iterations} iterations; {MIN_ITERATIONS} to {MAX_ITERATIONS} will do"
        )
    try:
        salt = base64.b64decode(found[2], validate=True)
    except (binascii.Error, ValueError):
        raise SaslError("SCRAM salt is not base64") from None
    return text, found[1], salt, iterations


def _speak(hash_: str, plus: bool, context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    if not context.username or not context.password:
        raise SaslError("SCRAM needs a name and a password")
    try:
        user = saslprep(context.username, query=True)
    except PrepError as error:
        raise SaslError(f"the user name {error}") from None
    if not user:
        raise SaslError("nothing is left of the user name after SASLprep (RFC 4013)")
    flag, binding = _flag(plus, context)
    authzid = context.authzid if context.authzid != context.username else ""
    header = f"{flag},{'a=' + encode_name(authzid) if authzid else ''},"
    nonce = base64.b64encode(context.random(18)).decode()
    bare = f"n={encode_name(user)},r={nonce}"
    challenge = yield (header + bare).encode()

    server_first, whole_nonce, salt, iterations = _read_first(challenge, nonce)
    secret = salted(hash_, context.password, salt, iterations)
    client_key = mac(hash_, secret, b"Client Key")
    without_proof = f"c={base64.b64encode(header.encode() + binding).decode()},r={whole_nonce}"
    auth_message = f"{bare},{server_first},{without_proof}".encode()
    signature = mac(hash_, digest(hash_, client_key), auth_message)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    challenge = yield f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    if challenge.startswith(b"e="):
        talk.note = challenge[2:202].decode("ascii", "replace")
        raise SaslError(f"SCRAM server error: {talk.note}")
    expected = b"v=" + base64.b64encode(mac(hash_, mac(hash_, secret, b"Server Key"), auth_message))
    if not hmac.compare_digest(challenge.split(b",", 1)[0], expected):
        raise SaslError("the server does not know the password: it is not the one we have an account with")
    talk.complete = True
    yield b""


class Client:
    """The factory of a row: `Client("SHA-256", plus=True)(context)`."""

    def __init__(self, hash_: str, plus: bool) -> None:
        self._hash = hash_
        self._plus = plus

    def _start(self, context: ClientContext, talk: ClientTalk) -> ClientDialogue:
        return _speak(self._hash, self._plus, context, talk)

    def __call__(self, context: ClientContext) -> ClientTalk:
        return ClientTalk(self._start, context)
