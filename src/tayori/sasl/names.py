"""Mechanism names that may be repeated in logs: a word that is none may be a password in the wrong place."""

from __future__ import annotations

from tayori.sasl.mechanisms import MECHANISMS

ELSEWHERE = frozenset(
    (
        "9798-M-DSA-SHA1", "9798-M-ECDSA-SHA1", "9798-M-RSA-SHA1-ENC", "9798-U-DSA-SHA1", "9798-U-ECDSA-SHA1",
        "9798-U-RSA-SHA1-ENC", "APOP", "EAP-AES128", "EAP-AES128-PLUS", "ECDH-X25519-CHALLENGE",
        "ECDSA-NIST256P-CHALLENGE", "GS2-IAKERB", "GS2-IAKERB-PLUS", "GS2-KRB5", "GS2-KRB5-PLUS", "GSS-SPNEGO",
        "KERBEROS_V4", "KERBEROS_V5", "MSN", "NMAS_AUTHEN", "NMAS_LOGIN", "NMAS-SAMBA-AUTH", "NTLM", "OPENID20",
        "OTP", "PASSDSS-3DES-1", "RPA", "SAML20", "SCRAM-SHA-224", "SCRAM-SHA-224-PLUS", "SCRAM-SHA-384",
        "SCRAM-SHA-384-PLUS", "SECURID", "SKEY", "SPNEGO", "SRP", "SXOVER-PLUS", "XOAUTH",
    )
)  # fmt: skip
"""Registered or seen in the field (IANA "SASL mechanisms"), and not known here."""
UNKNOWN = "UNKNOWN"


def known(word: str) -> str:
    """The name in capitals, or UNKNOWN for a word that names no mechanism."""
    name = word.upper()
    return name if name in MECHANISMS or name in ELSEWHERE else UNKNOWN
