"""The SASL mechanisms: `MECHANISMS[name]` gives server and client side, needs and traits.

Sans-IO: nothing here opens a socket, reads a clock or draws a random number; the contexts bring them.
(GSSAPI's library reads a keytab or a credential cache, and a client may ask a KDC: drive it from a thread.)
"""

from __future__ import annotations

from tayori.sasl.mechanisms import anonymous, cram_md5, digest_md5, external, gssapi, login, oauth, plain
from tayori.sasl.mechanisms.base import SECURITY_OPTIONS, ClientContext, Nonces, Row, ServerContext, Traits
from tayori.sasl.mechanisms.scram import Server as ScramServer
from tayori.sasl.mechanisms.scram import wanted as scram_wanted
from tayori.sasl.mechanisms.scram_client import Client as ScramClient

_PASSWORD = Traits(plaintext=True)
_TOKEN = Traits(plaintext=True, dictionary=False)
_SCRAM = Traits(active=False, mutual_auth=True)


def _scram(hash_: str, plus: bool, strength: int) -> Row:
    name = f"SCRAM-{hash_}-PLUS" if plus else f"SCRAM-{hash_}"
    makers = ScramServer(hash_, plus), ScramClient(hash_, plus)
    return Row(name, *makers, "secrets", _SCRAM, strength, scram_wanted(hash_))


MECHANISMS: dict[str, Row] = {
    "EXTERNAL": Row("EXTERNAL", external.server, external.client, "certificate", Traits(dictionary=False), 100),
    "SCRAM-SHA-512-PLUS": _scram("SHA-512", True, 86),
    "SCRAM-SHA-256-PLUS": _scram("SHA-256", True, 85),
    "SCRAM-SHA-1-PLUS": _scram("SHA-1", True, 84),
    "SCRAM-SHA-512": _scram("SHA-512", False, 76),
    "SCRAM-SHA-256": _scram("SHA-256", False, 75),
    "SCRAM-SHA-1": _scram("SHA-1", False, 74),
    "GSSAPI": Row("GSSAPI", gssapi.server, gssapi.client, "gssapi", Traits(active=False, mutual_auth=True), 90),
    "OAUTHBEARER": Row("OAUTHBEARER", oauth.bearer_server, oauth.bearer_client, "token", _TOKEN, 61),
    "XOAUTH2": Row("XOAUTH2", oauth.xoauth2_server, oauth.xoauth2_client, "token", _TOKEN, 60),
    "DIGEST-MD5": Row(
        "DIGEST-MD5", digest_md5.server, digest_md5.client, "secrets", Traits(mutual_auth=True), 40, digest_md5.WANTED
    ),
    "CRAM-MD5": Row("CRAM-MD5", cram_md5.server, cram_md5.client, "secrets", Traits(), 30, cram_md5.WANTED),
    "PLAIN": Row("PLAIN", plain.server, plain.client, "password", _PASSWORD, 20),
    "LOGIN": Row("LOGIN", login.server, login.client, "password", _PASSWORD, 10),
    "ANONYMOUS": Row(
        "ANONYMOUS", anonymous.server, anonymous.client, "nothing", Traits(anonymous=True, dictionary=True), 1
    ),
}

__all__ = ["MECHANISMS", "SECURITY_OPTIONS", "ClientContext", "Nonces", "Row", "ServerContext", "Traits"]
