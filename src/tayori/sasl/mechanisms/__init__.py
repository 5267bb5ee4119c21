"""The SASL mechanisms: `MECHANISMS[name]` gives server and client side, needs and traits.

Sans-IO: nothing here opens a socket, reads a clock or draws a random number; the contexts bring them.
"""

from __future__ import annotations

from tayori.sasl.mechanisms import login, plain
from tayori.sasl.mechanisms.base import SECURITY_OPTIONS, ClientContext, Nonces, Row, ServerContext, Traits

_PASSWORD = Traits(plaintext=True)

MECHANISMS: dict[str, Row] = {
    "PLAIN": Row("PLAIN", plain.server, plain.client, "password", _PASSWORD, 20),
    "LOGIN": Row("LOGIN", login.server, login.client, "password", _PASSWORD, 10),
}

__all__ = ["MECHANISMS", "SECURITY_OPTIONS", "ClientContext", "Nonces", "Row", "ServerContext", "Traits"]
