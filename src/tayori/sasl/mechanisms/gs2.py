"""The GS2 header and its names, which SCRAM and OAUTHBEARER share (RFC 5801 4, RFC 5802 5.1)."""

from __future__ import annotations

import re

from tayori.sasl.mechanisms.base import Broken

# What a client takes, best first; tls-unique, which every server knows, exists before TLS 1.3 alone (RFC 9266 3).
BINDINGS = ("tls-exporter", "tls-unique", "tls-server-end-point")
_BAD_ESCAPE = re.compile(r"=(?!2C|3D)")


def encode_name(text: str) -> str:
    """saslname: comma and equals sign are escaped."""
    return text.replace("=", "=3D").replace(",", "=2C")


def decode_name(text: str) -> str:
    """The name behind a saslname; Broken for any other escape (RFC 5802 5.1)."""
    if _BAD_ESCAPE.search(text):
        raise Broken("name holds an equals sign that escapes nothing")
    return text.replace("=2C", ",").replace("=3D", "=")
